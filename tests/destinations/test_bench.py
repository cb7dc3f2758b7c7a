"""Preview payload, Send as test and the test bench, with the real sandbox as the platform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from destinations import http, platforms
from destinations.models import Attempt, Delivery, Destination, LedgerEntry
from destinations.platforms.base import ACCESS_TOKEN, Request, Response
from destinations.sandbox.server import Sandbox, running_sandbox
from destinations.views.bench import event_url
from events.ingest import Sender, accept_batch
from events.models import Event, Source
from routing import snapshot, toggles
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

TESTABLE = next(p for p in platforms.every() if p.test_mode is not None and p.test_mode.needs)
PERSON = "grace.hopper@example.org"


@pytest.fixture(scope="module")
def _server() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server: Sandbox, settings: Any) -> Sandbox:
    _server.clear()
    settings.SANDBOX_URL = _server.url
    return _server


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def receive(*events: dict[str, Any], source: Source | None = None) -> None:
    sender = Sender(source_id=(source or factories.make_source()).pk, trace_id="c" * 32)
    accept_batch(json.dumps(list(events)).encode(), sender)
    route_due()


def try_one(destination: Destination, client: Client | None = None, **data: Any) -> str:
    page = reverse("destinations:try", args=[destination.pk])
    answer = (client or client_with(group="Engineer")).post(page, {"pick": "sample", "event": "SignUp", **data})
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def bench(*destinations: Destination, **data: Any) -> str:
    values = {"pick": "sample", "event": "SignUp", "to": [row.pk for row in destinations], **data}
    answer = client_with(group="Engineer").post(reverse("destinations:bench"), values, follow=True)
    assert answer.status_code == 200, answer.content
    html: str = answer.content.decode()
    return html


# --- Who may --------------------------------------------------------------------------------------------


def test_pages_ask_who_is_there_and_what_they_may() -> None:
    destination = factories.make_destination("meta")
    for page in (reverse("destinations:bench"), reverse("destinations:try", args=[destination.pk])):
        answer = Client().get(page)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("admin:login"))
        assert client_with("destinations.view_delivery").get(page).status_code == 403
        assert client_with("destinations.view_destination").get(page).status_code == 200


def test_a_test_needs_the_permission_to_change_destinations(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta")
    page = reverse("destinations:try", args=[destination.pk])
    data = {"pick": "sample", "event": "SignUp", "send": destination.pk}
    assert Client().post(page, data).status_code == 302
    assert client_with(group="Marketer").post(page, data).status_code == 403
    assert (
        client_with(group="Marketer").post(reverse("destinations:bench"), data | {"to": destination.pk}).status_code
        == 403
    )
    assert sandbox.received() == []
    assert not RoutingChange.objects.filter(action="test").exists()
    assert client_with(group="Engineer").post(page, data).status_code == 200
    assert len(sandbox.received()) == 1
    assert 'name="send"' not in try_one(destination, client_with(group="Viewer"))


def test_who_may_not_see_events_cannot_take_a_real_one() -> None:
    destination = factories.make_destination("meta")
    receive(factories.event("SignUp"))
    client = client_with("destinations.view_destination")
    page = reverse("destinations:try", args=[destination.pk])
    assert 'value="real"' not in client.get(page).content.decode()
    assert client.post(page, {"pick": "real", "event": "SignUp"}).status_code == 422


# --- Preview ----------------------------------------------------------------------------------------------


def test_the_destinations_page_offers_preview_and_test(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta")
    html = client_with(group="Engineer").get(reverse("destinations:edit", args=[destination.pk])).content.decode()
    assert "Preview payload" in html
    assert "Send as test" in html
    assert reverse("destinations:try", args=[destination.pk]) in html


def test_a_preview_shows_the_request_without_secrets_and_sends_nothing(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta")
    html = try_one(destination)
    assert "&quot;event_name&quot;: &quot;CompleteRegistration&quot;" in html
    assert "Bearer ***" in html
    assert destination.secrets["access_token"] not in html
    assert sha256(b"ada@example.com").hexdigest() in html, "identity as it would leave"
    assert sandbox.received() == []


def test_the_last_real_event_is_shown_without_whom_it_is_about() -> None:
    for platform in platforms.every():
        destination = factories.make_destination(platform.key, name=f"To {platform.key}", event_mode="everything")
        person = {
            "email": PERSON,
            "externalId": "user-secret-99",
            "phone": "+1 (415) 555-0188",
            "lastName": "Hopperson",
        }
        receive(factories.event("SignUp", **person, plan="team", properties={"note": "hush-hush"}))
        html = try_one(destination, pick="real")
        for told in (PERSON, "grace.hopper", "user-secret-99", "203.0.113.7", "5550188", "opperson"):
            assert told not in html.replace("-", ""), (platform.key, told)
            assert told not in html, (platform.key, told)
        assert "hush-hush" not in html.partition("Contract")[2], platform.key
        assert "&quot;plan&quot;: &quot;team&quot;" in html


@pytest.mark.parametrize(("first", "last"), [("Farid", "Rossi"), ("Al", "Ng"), ("José", 'O"Neil'), ("李", "明")])
def test_a_short_name_is_masked_like_a_long_one(first: str, last: str) -> None:
    person = {"email": PERSON, "firstName": first, "lastName": last, "city": "Bari", "zip": "70121", "country": "IT"}
    receive(factories.event("SignUp", **person, salesOwner="Kim Vo", properties={"full name": f"{first} {last}"}))
    words = [first, last, "Bari", "70121", "Kim Vo"]
    as_value = [word if len(word) > 2 else rf'["\s]{word}[\\"\s]' for word in words]
    for platform in platforms.every():
        destination = factories.make_destination(platform.key, name=f"To {platform.key}", event_mode="everything")
        html = unescape(try_one(destination, client_with(group="Viewer"), pick="real"))
        shown = html.partition('id="try-results"')[2]
        assert "Contract" in shown
        for word in as_value:
            assert not re.search(word, shown), (platform.key, word)


def test_json_within_json_is_masked_too() -> None:
    receive(factories.event("ApiDocsViewed", firstName="Farid", lastName="Ng", city="Bari"))
    destination = factories.make_destination("salesforce", event_mode="everything")
    html = unescape(try_one(destination, client_with(group="Viewer"), event="ApiDocsViewed", pick="real"))
    assert "Payload__c" in html
    for told in ("Farid", 'Ng\\"', "Bari"):
        assert told not in html


def test_a_rare_or_unknown_name_has_no_last_event() -> None:
    destination = factories.make_destination("meta")
    answer = client_with(group="Engineer").post(
        reverse("destinations:try", args=[destination.pk]), {"pick": "real", "event": "Refund"}
    )
    assert answer.status_code == 422
    assert "Take the sample, or paste one" in answer.content.decode()


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not JSON"), ("", "Paste an event"), ("[]", "no events"), ("x" * 70_000, "at most 65536")]
)
def test_what_is_pasted_and_no_event_is_told(text: str, says: str) -> None:
    destination = factories.make_destination("meta")
    page = reverse("destinations:try", args=[destination.pk])
    for headers in ({}, {"HX-Request": "true"}):
        answer = client_with(group="Engineer").post(page, {"pick": "pasted", "text": text}, headers=headers)
        assert answer.status_code == 422
        assert says in answer.content.decode()


def test_what_is_pasted_is_escaped() -> None:
    event = factories.event("SignUp", plan="<script>alert(1)</script>")
    html = try_one(factories.make_destination("meta"), pick="pasted", text=json.dumps(event))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


# --- Dry run ------------------------------------------------------------------------------------------------


def test_a_dry_run_gives_every_steps_verdict() -> None:
    good = factories.make_destination("meta", name="Pixel")
    off = factories.make_destination("meta", name="Dormant", is_enabled=False)
    unmapped = factories.make_destination("linkedin", name="Ruleless")
    unmapped.routes.all().delete()
    factories.make_source()
    html = bench(good, off, unmapped)
    assert html.count("The event keeps the contract.") == 3
    assert "SignUp is sent to Pixel." in html
    assert " gets it as CompleteRegistration." in html
    assert "Meta gets email, phone, firstName" in html
    assert "Dormant is switched off." in html
    assert "This is what would be sent if the steps above let it pass." in html
    assert "LinkedIn needs an id for SignUp, and none was entered." in html
    assert reverse("routing:mapping", args=[unmapped.pk, "SignUp"]) in html
    assert (html.count("Would be sent"), html.count("Would not be sent")) == (1, 2)


def test_consent_of_the_event_and_of_the_source() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    strict = factories.make_source("Strict", default_marketing_consent=False)
    html = bench(pixel, pick="pasted", text=json.dumps(factories.event(consent={"marketing": False})))
    assert "The event denies marketing consent, which Pixel needs." in html
    assert "The default of Strict denies marketing consent" in bench(pixel, source=strict.pk)
    granted = json.dumps(factories.event(consent={"marketing": True}))
    assert "The event gives marketing consent." in bench(pixel, pick="pasted", text=granted, source=strict.pk)


def test_a_rejected_event_stops_at_the_contract() -> None:
    html = bench(factories.make_destination("meta"), pick="pasted", text='{"event": "signup", "eventId": "1"}')
    assert "did you mean" in html
    assert "unknown_name" in html
    assert "Mapped name" not in html


def test_a_warning_and_a_skip_of_the_platform_are_told() -> None:
    pixel = factories.make_destination("meta")
    text = json.dumps({"event": "SignUp", "eventId": "1", "emial": "ada@example.com"})
    html = bench(pixel, pick="pasted", text=text)
    assert "Accepted with a warning" in html
    assert "no_identity" in html
    old = json.dumps(factories.event(ts=int((datetime.now(UTC) - timedelta(days=30)).timestamp())))
    assert "too_old" in bench(pixel, pick="pasted", text=old)


def test_the_dry_run_decides_as_routing_does() -> None:
    rows = [factories.make_destination(p.key, name=p.label) for p in platforms.every() if not p.is_builtin]
    source = factories.make_source()
    for name in ("SignUp", "Refund", "ApiDocsViewed"):
        html = bench(*rows, event=name, source=source.pk)
        Delivery.objects.all().delete()
        receive(factories.event(name), source=source)
        routed = set(Delivery.objects.filter(destination__in=rows).values_list("destination__name", flat=True))
        decided = {row.name for row in rows if f"{name} is sent to {row.name}." in html}
        assert decided == routed


def test_queries_do_not_grow_with_destinations(django_assert_max_num_queries: Any) -> None:
    rows = [factories.make_destination("meta") for _ in range(6)]
    client = client_with(group="Engineer")
    page = reverse("destinations:bench")
    with django_assert_max_num_queries(17):
        client.get(page)
    with django_assert_max_num_queries(17):
        client.get(page, {"pick": "sample", "event": "SignUp", "to": [row.pk for row in rows]})


# --- What is tried, and where it stands ---------------------------------------------------------------------


def test_a_dry_run_stands_in_the_address(sandbox: Sandbox) -> None:
    pixel, other = factories.make_destination("meta", name="Pixel"), factories.make_destination("webhook", name="Hook")
    client, page = client_with(group="Marketer"), reverse("destinations:bench")
    answer = client.post(page, {"pick": "sample", "event": "StartTrial", "to": [pixel.pk]})
    assert answer.status_code == 302
    assert answer.url == f"{page}?event=StartTrial&pick=sample&to={pixel.pk}"
    html = client.get(answer.url).content.decode()
    assert f'id="lane-{pixel.pk}"' in html
    assert f'id="lane-{other.pk}"' not in html
    assert re.search(r'<option value="StartTrial"[^>]* selected', html)
    headers = {"HX-Request": "true", "HX-Target": "try-results"}
    answer = client.post(page, {"pick": "sample", "event": "StartTrial", "to": [pixel.pk]}, headers=headers)
    assert answer["HX-Replace-Url"] == f"{page}?event=StartTrial&pick=sample&to={pixel.pk}"
    assert client.get(page, {"event": "StartTrial", "pick": "sample", "to": "x"}).status_code == 422
    client_with(group="Engineer").get(page, {"event": "SignUp", "pick": "sample", "to": pixel.pk, "send": pixel.pk})
    assert sandbox.received() == [], "an address sends nothing"


def test_the_event_one_came_from_stays_the_same_on_reload() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    receive(factories.event("SignUp", "older", plan="the-older"))
    receive(factories.event("SignUp", "newer", plan="the-newer"))
    older = Event.objects.get(event_id="older")
    client, page = client_with(group="Viewer"), reverse("destinations:bench")
    data = {"event": "SignUp", "pick": "real", "key": older.pk, "to": pixel.pk}
    address = client.post(page, data, headers={"HX-Request": "true", "HX-Target": "try-results"})["HX-Replace-Url"]
    html = client.get(address).content.decode()
    assert "the-older" in html
    assert "The one you came from" in html
    other = client.get(page, data | {"event": "Purchase", "pick": "sample"}).content.decode()
    assert "The last one received" in other


def test_an_event_that_is_gone_is_not_replaced_by_another() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    receive(factories.event("SignUp", "newer", plan="the-newer"))
    data = {"event": "SignUp", "pick": "real", "key": 987654321, "to": pixel.pk}
    answer = client_with(group="Viewer").get(reverse("destinations:bench"), data)
    assert answer.status_code == 422
    assert "no longer kept" in answer.content.decode()
    assert "the-newer" not in answer.content.decode()


def test_an_unregistered_event_is_tried_out_from_its_link() -> None:
    hook = factories.make_destination("webhook", event_mode="everything")
    receive(factories.event("WorkspaceDeleted", plan="gone"))
    event = Event.objects.get(name="WorkspaceDeleted")
    client = client_with(group="Viewer")
    for page in (event_url(event), event_url(event, hook.pk)):
        answer = client.get(page)
        assert answer.status_code == 200
        assert re.search(r'<option value="WorkspaceDeleted"[^>]* selected', answer.content.decode())
    assert "WorkspaceDeleted received" in answer.content.decode()
    strangers = client_with("destinations.view_destination").get(event_url(event)).content.decode()
    assert 'value="WorkspaceDeleted"' not in strangers


def test_what_is_pasted_stays_out_of_the_address() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    data = {"pick": "pasted", "text": '{"event": "SignUp", "eventId": "secret-1"}', "to": [pixel.pk]}
    client, page = client_with(group="Marketer"), reverse("destinations:bench")
    answer = client.post(page, data)
    assert answer.status_code == 200
    assert f'id="lane-{pixel.pk}"' in answer.content.decode()
    answer = client.post(page, data, headers={"HX-Request": "true", "HX-Target": "try-results"})
    assert answer["HX-Replace-Url"] == page


def test_ticked_are_those_where_the_event_is_on() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    off = factories.make_destination("meta", name="Off", is_enabled=False)
    client = client_with(group="Marketer")

    def ticked(**query: str) -> set[str]:
        html = client.get(reverse("destinations:bench"), query).content.decode()
        return set(re.findall(r'name="to" value="(\d+)"[^>]* checked', html))

    assert str(pixel.pk) in ticked()
    assert str(off.pk) not in ticked()
    assert str(pixel.pk) in ticked(event="PageView")
    assert str(pixel.pk) not in ticked(event="ApiDocsViewed")


def test_several_verdicts_are_a_line_each_and_one_is_open() -> None:
    rows = [factories.make_destination("meta") for _ in range(2)]
    assert bench(*rows).count("<details open>") == 0
    assert bench(rows[0]).count("<details open>") == 1
    assert "1 of 1 destination would get it" in bench(rows[0])
    line = bench(*rows).partition("<summary><h3")[2].partition("</summary>")[0]
    assert " gets it as CompleteRegistration." in line


def test_who_may_send_a_test_is_told(sandbox: Sandbox) -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    query = {"event": "SignUp", "pick": "sample", "to": pixel.pk}
    for group, is_told in (("Marketer", True), ("Viewer", True), ("Engineer", False)):
        html = client_with(group=group).get(reverse("destinations:bench"), query).content.decode()
        assert ("Sending a test needs the permission to change destinations" in html) is is_told
        assert ('name="send"' in html) is not is_told


def test_a_test_of_what_would_not_be_sent_says_that_it_overrides(sandbox: Sandbox) -> None:
    assert "overrides the verdict" not in bench(factories.make_destination("meta"))
    html = bench(factories.make_destination("meta", is_enabled=False))
    assert "Send as test all the same" in html
    assert "A test overrides the verdict" in html
    html = bench(factories.make_destination("google_ads"), event="ApiDocsViewed")
    assert 'name="send"' not in html, "there is no request to send"


# --- Send as test -------------------------------------------------------------------------------------------


def test_a_test_is_really_sent_and_stands_in_no_count(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta", name="Pixel")
    stood = snapshot.stored_version()
    html = try_one(destination, send=destination.pk)
    (received,) = sandbox.received("meta")
    assert "Taken." in html
    assert "Meta took it." in html
    assert "200 in" in html
    event_id = html.partition("Its id is <code>")[2].partition("<")[0]
    assert event_id.startswith("test-")
    assert event_id in json.dumps(received)
    assert not Delivery.objects.exists()
    assert not Attempt.objects.exists()
    assert not LedgerEntry.objects.exists()
    (entry,) = RoutingChange.objects.filter(action="test")
    assert entry.version == snapshot.stored_version() == stood, "a test changes nothing of the routing"
    assert entry.sentences == ["SignUp is sent to the sandbox of Pixel as a test"]
    assert entry.user is not None
    assert entry.note.startswith("Taken (200 in ")


def test_an_event_that_is_switched_off_can_be_tested(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta", is_enabled=False)
    assert "Meta took it." in bench(destination, send=destination.pk)


def test_with_htmx_only_the_lane_comes_back(sandbox: Sandbox) -> None:
    one, two = factories.make_destination("meta"), factories.make_destination("webhook")
    data = {"pick": "sample", "event": "SignUp", "to": [one.pk, two.pk], "send": one.pk}
    headers = {"HX-Request": "true", "HX-Target": f"lane-{one.pk}"}
    html = client_with(group="Engineer").post(reverse("destinations:bench"), data, headers=headers).content.decode()
    assert f'id="lane-{one.pk}"' in html
    assert f'id="lane-{two.pk}"' not in html
    assert "<html" not in html
    assert "Meta took it." in html
    headers = {"HX-Request": "true", "HX-Target": "try-results"}
    html = (
        client_with(group="Engineer")
        .post(reverse("destinations:bench"), data | {"send": ""}, headers=headers)
        .content.decode()
    )
    assert f'id="lane-{two.pk}"' in html
    assert "<html" not in html


def test_a_refusal_is_told_in_plain_words_and_changes_nothing(sandbox: Sandbox) -> None:
    destination = factories.make_destination("meta")
    destination.secrets = {"access_token": "EAA-expired-" + "x" * 40}
    destination.save()
    html = try_one(destination, send=destination.pk)
    assert "Credentials or settings refused." in html
    assert "x" * 40 not in html
    destination.refresh_from_db()
    assert (destination.hold, destination.failures) == ("", 0)
    assert RoutingChange.objects.get(action="test").note.startswith("Credentials or settings refused")


def test_no_answer_is_told(settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    destination = factories.make_destination("meta")
    html = try_one(destination, send=destination.pk)
    assert "No answer." in html
    assert "The connection was refused." in html


def test_a_real_events_person_is_not_sent(sandbox: Sandbox) -> None:
    hook = factories.make_destination("webhook")
    event = factories.event(
        "SignUp", "real-1", email=PERSON, externalId="user-secret-99", plan="team", crmId="crm-real",
        properties={"told": "in confidence"}, clickIds={"fbclid": "IwARreal"},
    )  # fmt: skip
    receive(event)
    assert "took it" in try_one(hook, pick="real", send=hook.pk)
    sent = json.dumps(sandbox.received("webhook"))
    for told in (PERSON, "user-secret-99", "crm-real", "in confidence", "IwARreal", "real-1"):
        assert told not in sent, told
    assert "ada@example.com" in sent
    assert '"team"' in sent.replace("\\", "")


def test_obstacles_are_explained_and_nothing_is_sent(sandbox: Sandbox) -> None:
    no_test_mode = next(p for p in platforms.every() if p.test_mode is None and not p.is_builtin)
    without = factories.make_destination(no_test_mode.key, is_sandbox=False)
    lacking = factories.make_destination(TESTABLE.key, is_sandbox=False)
    builtin = Destination.objects.get(platform_key=next(p.key for p in platforms.every() if p.is_builtin))
    for destination, says in (
        (without, "has no way to take a test event"),
        (lacking, "takes no test without it"),
        (builtin, "is built in"),
    ):
        html = try_one(destination, send=destination.pk)
        assert "No test was sent." in html
        assert says in html
    assert sandbox.received() == []
    assert not RoutingChange.objects.filter(action="test").exists()


def test_sandbox_mode_without_a_sandbox_is_told(settings: Any) -> None:
    settings.SANDBOX_URL = ""
    destination = factories.make_destination("meta")
    assert "no sandbox runs" in try_one(destination, send=destination.pk)


def test_files_are_not_written_for_a_test(sandbox: Sandbox, settings: Any, tmp_path: Any) -> None:
    settings.FILES_ROOT = tmp_path
    destination = factories.make_destination("files")
    assert "would stay there as real data" in try_one(destination, send=destination.pk)
    assert list(tmp_path.iterdir()) == []
    assert RoutingChange.objects.get(action="test").note.startswith("Not sent")


@pytest.mark.parametrize("key", [p.key for p in platforms.every() if p.test_mode is not None])
def test_outside_the_sandbox_the_platform_is_told_that_it_is_a_test(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = platforms.get(key)
    destination = factories.make_destination(key, is_sandbox=False)
    mode = platform.test_mode
    assert mode is not None
    if mode.needs:
        destination.settings |= {mode.needs: "TEST12345"}
        destination.save()
    sent: list[Request] = []

    def send(request: Request, *, timeout: float | None = None) -> tuple[Response, int]:
        if not request.items:
            return Response(status=200, body=b'{"access_token": "a-token", "expires_in": 3600}'), 7
        sent.append(request)
        return Response(status=200, body=b"{}"), 7

    monkeypatch.setattr(http, "send", send)  # the machine's edge: no platform is reached from here
    try_one(destination, send=destination.pk)
    (request,) = sent
    config = destination.config | ({mode.needs: ""} if mode.needs else {})
    if platform.oauth is not None:
        config[ACCESS_TOKEN] = "a-token"
    plain = platform.build(request.items, config, datetime.now(UTC))
    assert (request.url, request.body) != (plain.requests[0].url, plain.requests[0].body)


def test_a_test_is_kept_out_of_undo() -> None:
    destination = factories.make_destination("meta")
    change = toggles.apply(destination, on={"SignUp": False})
    assert change is not None
    toggles.record_test(destination, ["SignUp is sent to it as a test"])
    client_with(group="Engineer").post(reverse("routing:undo"), {"change": change.pk})
    destination.refresh_from_db()
    assert destination.event_mode == "recommended"


@pytest.mark.parametrize("key", [p.key for p in platforms.every() if not p.is_builtin and p.key != "files"])
def test_every_platforms_sandbox_takes_a_test(key: str, sandbox: Sandbox) -> None:
    destination = factories.make_destination(key)
    platform = destination.platform
    html = try_one(destination, send=destination.pk)
    assert f"{platform.label} took it." in html
    assert "Not now" not in html
    for secret in destination.secrets.values():
        assert len(secret) < 8 or secret not in html
