"""What this app says is said in its reader's language; what it keeps stays as it stands in the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.urls import reverse

from destinations import changes, checking, replays, standing, trial
from destinations.alert_models import AlertIncident, AlertRule, RuleKind
from destinations.models import Delivery, Destination, EventMode, Hold, ReplayKind, State
from destinations.platforms.base import Outcome, Result
from destinations.replay_plan import Plan
from destinations.sandbox.server import running_sandbox
from events.ingest import Sender, accept_batch
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with
from tests.visible_text import CLOSE, OPEN, pseudo, unmarked  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pseudo")]


@pytest.fixture
def sandbox(settings: Any) -> Iterator[None]:
    with running_sandbox() as server:
        settings.SANDBOX_URL = server.url
        yield


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch", "destinations.replays"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def receive(*batch: dict[str, Any]) -> None:
    accept_batch(json.dumps(batch).encode(), Sender(source_id=factories.make_source().pk, trace_id="c" * 32))
    route_due()


def content(html: str) -> str:
    """What is below the heading of a page; of a fragment, all of it."""
    return html.partition("</header>\n  \n  ")[2].partition("</main>")[0] or html


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_each_step_of_a_dry_run(sandbox: None) -> None:
    sent = factories.make_destination("meta", name="Pixel")
    held = factories.make_destination("ga4", name="Held", hold=Hold.PAUSED)
    off = factories.make_destination("linkedin", name="Off", is_enabled=False)
    custom = factories.make_destination("tiktok", name="None", event_mode=EventMode.CUSTOM)
    builtin = Destination.objects.get(platform_key="warehouse")
    client, page = client_with(group="Engineer"), reverse("destinations:bench")
    data = {"pick": "sample", "event": "SignUp", "to": [one.pk for one in (sent, held, off, custom, builtin)]}
    for changed in (
        {},
        {"pick": "pasted", "text": json.dumps(factories.event("SignUp", consent={"marketing": False}))},
        {"pick": "pasted", "text": json.dumps({"event": "Nope", "eventId": "1"})},
        {"pick": "pasted", "text": json.dumps([factories.event("SignUp"), factories.event("Purchase")])},
        {"pick": "pasted", "text": ""},
        {"pick": "real"},
        {"to": []},
    ):
        html = client.post(page, {**data, **changed}, headers={"HX-Request": "true"}).content.decode()
        assert OPEN in html
        assert unmarked(html) == [], changed


def test_a_test_is_told_in_one_language_and_noted_in_another(sandbox: None) -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    page = reverse("destinations:try", args=[pixel.pk])
    data = {"pick": "sample", "event": "SignUp", "send": pixel.pk}
    html = client_with(group="Engineer").post(page, data, headers={"HX-Request": "true"}).content.decode()
    assert f"{OPEN}Taken{CLOSE}" in html
    assert unmarked(html) == []
    assert RoutingChange.objects.get(action="test").note.startswith(trial.TAKEN)
    steps = client_with(group="Engineer").get(reverse("destinations:progress", args=[pixel.pk])).content.decode()
    assert "is-done" in steps
    assert unmarked(steps) == []


def test_a_test_that_cannot_be_sent(sandbox: None, settings: Any, tmp_path: Any) -> None:
    settings.FILES_ROOT = tmp_path
    files = factories.make_destination("files")
    page = reverse("destinations:try", args=[files.pk])
    data = {"pick": "sample", "event": "SignUp", "send": files.pk}
    html = client_with(group="Engineer").post(page, data, headers={"HX-Request": "true"}).content.decode()
    assert f"{OPEN}It writes files" in html
    assert unmarked(html) == []
    assert RoutingChange.objects.get(action="test").note.startswith("Not sent: It writes files")


def test_a_change_is_told_and_kept() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    config = pixel.config | {"test_event_code": "TEST1"}
    told = changes.update(pixel, name="Ads", config=config, is_sandbox=False, sources=[], user=None)
    assert all(one.startswith(OPEN) for one in told)
    kept = RoutingChange.objects.get(action="edited").sentences
    assert kept == [
        "Pixel is renamed Ads",
        "Ads: Test event code empty → TEST1",
        "Ads: sandbox off",
        "Ads takes events from no source, before from every source",
    ]


def test_a_check_is_kept_as_it_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    linkedin = factories.make_destination("linkedin", is_sandbox=False)
    monkeypatch.setattr(checking._Asking, "_take_token", lambda _: None)
    broken = Outcome(result=Result.RETRY, detail="No answer within 8 s.")
    monkeypatch.setattr(checking._Asking, "_ask", lambda *_: (broken, None))
    answer = client_with(group="Engineer").post(
        reverse("destinations:check", args=[linkedin.pk]), headers={"HX-Request": "true"}
    )
    linkedin.refresh_from_db()
    assert linkedin.check_said == "It could not be checked just now, try again later: No answer within 8 s."
    assert unmarked(answer.content.decode()) == []


def test_what_is_wrong_with_the_settings_is_kept_in_english_as_well() -> None:
    pixel = factories.make_destination("meta", secrets={}, is_sandbox=False)
    client_with(group="Engineer").post(reverse("destinations:check", args=[pixel.pk]))
    pixel.refresh_from_db()
    assert pixel.check_said == "Conversions API access token is required."


def test_a_replay_is_kept_in_the_history_as_it_stands_in_the_code() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    receive(factories.event("SignUp"))
    plan = Plan(ReplayKind("dead"), pixel, event="SignUp")
    replay = replays.start(plan, rate=50, user=None)
    (kept,) = RoutingChange.objects.get(action="replay").sentences
    assert kept == "Dead deliveries of SignUp are sent again to Pixel, 50 a second at most"
    assert replays.progress(replay).sentence.startswith(OPEN)


def test_what_is_remembered_for_a_moment_is_worded_when_it_is_read() -> None:
    behind = standing.Behind(60, (None, "Pixel"))
    assert behind.late == (f"{OPEN}routing what came in{CLOSE}", "Pixel")


def test_messages_and_errors_of_forms() -> None:
    engineer = client_with(group="Engineer")
    pixel = factories.make_destination("meta", name="Pixel")
    for name, data in (("pause", {}), ("resume", {}), ("switch", {"on": "0"}), ("switch", {"on": "1"})):
        answer = engineer.post(reverse(f"destinations:{name}", args=[pixel.pk]), data)
        assert said(answer).startswith(OPEN)
    page = reverse("destinations:edit", args=[pixel.pk])
    refused = engineer.post(page, {"name": "Pixel", "source_choice": "chosen", "field_pixel_id": "x"}).content.decode()
    assert "errors" in refused
    assert unmarked(content(refused)) == []


def test_a_reader_who_may_only_look() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    html = client_with(group="Viewer").get(reverse("destinations:edit", args=[pixel.pk])).content.decode()
    assert f"{OPEN}Your account may look" in html
    assert unmarked(content(html)) == []


@pytest.mark.parametrize("state", list(State))
def test_each_state_of_a_delivery(state: State) -> None:
    factories.make_destination("meta", name="Pixel")
    receive(factories.event("SignUp", "e1"))
    detail = "The platform said so" if state == State.DEAD else ""
    Delivery.objects.update(state=state, reason="refused" if state == State.DEAD else "", detail=detail)
    client = client_with(group="Engineer")
    for page in (reverse("destinations:deliveries"), f"{reverse('destinations:trace')}?id=e1"):
        html = client.get(page).content.decode()
        assert "Pixel" in html
        assert [one for one in unmarked(content(html)) if "<option>" not in one] == []


def test_health_and_alerts_of_each_trouble() -> None:
    factories.make_destination("meta", name="Held", hold=Hold.CREDENTIALS, hold_detail="The token has ended")
    factories.make_destination("ga4", name="Paused", hold=Hold.PAUSED)
    factories.make_destination("tiktok", name="Failing", failures=4)
    factories.make_destination("linkedin", name="Off", is_enabled=False)
    receive(factories.event("SignUp"))
    AlertIncident.objects.create(rule=AlertRule.objects.get(kind=RuleKind.DEAD), key="1", sentence="Some died.")
    client = client_with(group="Engineer")
    for name in ("health", "list", "alerts", "alert_history"):
        html = client.get(reverse(f"destinations:{name}")).content.decode()
        assert unmarked(content(html)) == [], name


def test_a_command_line_speaks_as_the_code_does(capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_destination("meta", name="Pixel")
    receive(factories.event("SignUp", "e1"))
    call_command("trace", "e1")
    written = capsys.readouterr().out
    assert "Waits for its first try." in written
    assert OPEN not in written
