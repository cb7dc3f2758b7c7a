"""Configure → Destinations in the browser's words: pages, forms, buttons."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import changes, delivery, outgoing, platforms
from destinations.models import AccessToken, Delivery, Destination, EventMode, Hold, LedgerEntry, State
from destinations.platforms.base import Response
from events.ingest import Sender, accept_batch
from routing import snapshot
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

PLATFORM = platforms.get("meta")
SECRET_FIELD = next(field for field in PLATFORM.fields if field.secret and field.required)
PLAIN_FIELD = next(field for field in PLATFORM.fields if not field.secret and field.required)
WRITTEN = "EAAB" + "z9Q" * 40


def form_data(**values: Any) -> dict[str, Any]:
    data = {f"field_{field.name}": field.example or field.default for field in PLATFORM.fields if field.required}
    return {"name": "Pixel", "source_choice": "all", **data, **values}


def pages(destination: Destination) -> list[str]:
    return [
        reverse("destinations:list"),
        reverse("destinations:add"),
        reverse("destinations:create", args=["meta"]),
        reverse("destinations:edit", args=[destination.pk]),
        reverse("destinations:delete", args=[destination.pk]),
    ]


def test_every_page_asks_who_is_there_and_what_they_may() -> None:
    destination = factories.make_destination("meta")
    nobody, engineer = client_with(), client_with(group="Engineer")
    for page in pages(destination):
        answer = Client().get(page)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("admin:login"))
        assert nobody.get(page).status_code == 403
        assert engineer.get(page).status_code == 200


@pytest.mark.parametrize("name", ["switch", "pause", "resume", "delete"])
def test_changes_are_post_with_csrf_and_permission(name: str) -> None:
    url = reverse(f"destinations:{name}", args=[factories.make_destination("meta").pk])
    assert Client().post(url).status_code == 302
    assert client_with("destinations.view_destination").post(url).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client_with(group="Engineer").cookies
    assert strict.post(url).status_code == 403
    if name != "delete":
        assert client_with(group="Engineer").get(url).status_code == 405


def test_every_platform_has_a_form_that_takes_its_own_example() -> None:
    client = client_with(group="Engineer")
    for platform in changes.choices():
        page = client.get(reverse("destinations:create", args=[platform.key]))
        assert page.status_code == 200
        html = page.content.decode()
        assert all(f'name="field_{field.name}"' in html for field in platform.fields)
    assert client.get(reverse("destinations:create", args=["warehouse"])).status_code == 404
    assert client.get(reverse("destinations:create", args=["nothing"])).status_code == 404


def test_create_stores_secrets_apart_and_raises_the_version() -> None:
    client, before = client_with(group="Engineer"), snapshot.stored_version()
    answer = client.post(
        reverse("destinations:create", args=["meta"]), form_data(**{f"field_{SECRET_FIELD.name}": WRITTEN})
    )
    assert answer.status_code == 302, answer.content
    made = Destination.objects.get(name="Pixel")
    assert made.secrets[SECRET_FIELD.name] == WRITTEN
    assert SECRET_FIELD.name not in made.settings
    assert made.event_mode == EventMode.RECOMMENDED
    assert snapshot.stored_version() > before
    change = RoutingChange.objects.latest("pk")
    assert (change.action, change.destination_name) == ("created", "Pixel")
    assert WRITTEN not in str(change.sentences)


def test_others_than_ads_start_with_everything() -> None:
    assert changes.starting_mode(platforms.get("webhook")) == EventMode.EVERYTHING
    assert changes.starting_mode(platforms.get("meta")) == EventMode.RECOMMENDED


def test_a_misshapen_value_is_refused_with_the_platforms_sentence_and_no_secret_comes_back() -> None:
    data = form_data(**{f"field_{PLAIN_FIELD.name}": "not it", f"field_{SECRET_FIELD.name}": WRITTEN})
    answer = client_with(group="Engineer").post(reverse("destinations:create", args=["meta"]), data)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f"{PLAIN_FIELD.label} does not look right" in html
    assert WRITTEN not in html
    assert not Destination.objects.filter(name="Pixel").exists()


def test_stored_secrets_are_in_no_page_and_survive_an_edit_that_leaves_them_empty() -> None:
    destination = factories.make_destination("meta", name="Pixel", secrets={SECRET_FIELD.name: WRITTEN})
    for group in ("Engineer", "Marketer", "Viewer"):
        client = client_with(group=group)
        for page in pages(destination):
            assert WRITTEN not in client.get(page).content.decode()
    data = form_data(**{f"field_{SECRET_FIELD.name}": "", "name": "Pixel EU"})
    answer = client_with(group="Engineer").post(reverse("destinations:edit", args=[destination.pk]), data)
    assert answer.status_code == 302, answer.content
    destination.refresh_from_db()
    assert (destination.name, destination.secrets) == ("Pixel EU", {SECRET_FIELD.name: WRITTEN})


def test_multiline_secrets_are_write_only_too() -> None:
    destination = factories.make_destination("webhook")
    destination.secrets |= {"headers": "X-Api-Token: hush-hush-hush"}
    destination.save()
    page = reverse("destinations:edit", args=[destination.pk])
    client = client_with(group="Engineer")
    assert "hush-hush" not in client.get(page).content.decode()
    data = {f"field_{name}": value for name, value in destination.config.items()}
    bad = client.post(page, {**data, "name": "Hook", "source_choice": "all", "field_url": "nowhere"})
    assert "hush-hush" not in bad.content.decode()
    kept = {**data, "name": "Hook", "source_choice": "all", "field_secret": "", "field_headers": ""}
    client.post(page, kept)
    destination.refresh_from_db()
    assert destination.secrets["headers"] == "X-Api-Token: hush-hush-hush"
    client.post(page, {**kept, "clear_headers": "on"})
    destination.refresh_from_db()
    assert "headers" not in destination.secrets
    assert "secret" in destination.secrets


def test_one_of_several_credentials_will_do() -> None:
    keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    values = {f"field_{name}": "k" * 24 for name in keys} | {"field_pixel_id": "o8z6j"}
    client = client_with(group="Engineer")
    url = reverse("destinations:create", args=["x"])
    answer = client.post(url, {"name": "X", "source_choice": "all", **values})
    assert answer.status_code == 302
    assert set(Destination.objects.get(name="X").secrets) >= set(keys)
    missing = client.post(url, {"name": "X 2", "source_choice": "all", "field_pixel_id": "o8z6j"})
    assert "Conversion API access token is required." in missing.content.decode()


def test_those_who_may_only_look_see_no_form_and_may_not_post() -> None:
    destination = factories.make_destination("meta")
    client = client_with(group="Marketer")
    page = reverse("destinations:edit", args=[destination.pk])
    assert "Your account may look at these settings" in client.get(page).content.decode()
    assert client.post(page, form_data()).status_code == 403


def test_chosen_sources() -> None:
    one, _two = factories.make_source("One"), factories.make_source("Two")
    client, page = client_with(group="Engineer"), reverse("destinations:create", args=["meta"])
    assert "Choose at least one" in client.post(page, form_data(source_choice="chosen")).content.decode()
    client.post(page, form_data(source_choice="chosen", sources=[one.pk]))
    rule = snapshot.current().rules[Destination.objects.get(name="Pixel").pk]
    assert rule.source_ids == frozenset({one.pk})


def posted(html: str) -> dict[str, Any]:
    """What a browser posts of the destination's form as it stands."""
    (form,) = re.findall(r'<form method="post" class="form card".*?</form>', html, re.S)
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        given = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        is_box = given["type"] in ("checkbox", "radio")
        if not is_box or " checked" in tag:
            found.setdefault(given["name"], []).append(given.get("value", "on" if is_box else ""))
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        found[name] = [unescape(text).removeprefix("\n").replace("\n", "\r\n")]
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)"[^>]* selected', options)
        found[name] = [unescape(chosen[1]) if chosen else ""]
    return found


def test_a_form_that_stood_open_writes_only_what_its_reader_changed() -> None:
    one, two = factories.make_source("One"), factories.make_source("Two")
    hook = factories.make_destination("webhook", name="Hook", all_sources=False)
    hook.sources.set([one])
    page, client = reverse("destinations:edit", args=[hook.pk]), client_with(group="Engineer")
    stale = posted(client.get(page).content.decode())
    theirs = {
        "field_url": ["https://new.example.com/in"],
        "is_sandbox": [],
        "sources": [two.pk],
        "field_headers": ["X-Key: hush-hush-hush"],
    }
    assert client.post(page, stale | theirs).status_code == 302
    assert client.post(page, stale | {"name": ["Hook EU"]}).status_code == 302
    hook.refresh_from_db()
    assert (hook.name, hook.settings["url"], hook.is_sandbox) == ("Hook EU", "https://new.example.com/in", False)
    assert (list(hook.sources.all()), hook.secrets["headers"]) == ([two], "X-Key: hush-hush-hush")


def test_what_both_changed_is_shown_before_it_is_replaced() -> None:
    one, two = factories.make_source("One"), factories.make_source("Two")
    hook = factories.make_destination("webhook", name="Hook")
    page, client = reverse("destinations:edit", args=[hook.pk]), client_with(group="Engineer")
    stale = posted(client.get(page).content.decode())
    theirs = {"field_url": ["https://b.example.com/"], "source_choice": ["chosen"], "sources": [one.pk]}
    assert client.post(page, stale | theirs).status_code == 302
    mine = {"field_url": ["https://a.example.com/"], "source_choice": ["chosen"], "sources": [one.pk, two.pk]}
    html = client.post(page, stale | mine).content.decode()
    assert "Somebody made it “https://b.example.com/” meanwhile." in html
    assert "Somebody made it “One” meanwhile." in html
    hook.refresh_from_db()
    assert hook.settings["url"] == "https://b.example.com/"
    again = posted(html)
    assert again["field_url"] == ["https://a.example.com/"]
    assert client.post(page, again).status_code == 302
    hook.refresh_from_db()
    assert (hook.settings["url"], hook.sources.count()) == ("https://a.example.com/", 2)


@pytest.mark.parametrize("key", [platform.key for platform in changes.choices()])
def test_a_form_that_was_not_touched_changes_nothing_and_has_no_secret(key: str) -> None:
    destination = factories.make_destination(key)
    page, client = reverse("destinations:edit", args=[destination.pk]), client_with(group="Engineer")
    html = client.get(page).content.decode()
    for name in destination.platform.secret_names:
        assert f"initial-field_{name}" not in html
    answer = client.post(page, posted(html), follow=True).content.decode()
    assert "Nothing was changed." in answer


def test_names_are_taken_once() -> None:
    factories.make_destination("meta", name="pixel")
    answer = client_with(group="Engineer").post(reverse("destinations:create", args=["meta"]), form_data())
    assert "of that name already" in answer.content.decode()


def test_marketers_switch_and_pause(django_capture_on_commit_callbacks: Any) -> None:
    destination = factories.make_destination("meta")
    client = client_with(group="Marketer")
    client.post(reverse("destinations:switch", args=[destination.pk]), {"on": "0"})
    destination.refresh_from_db()
    assert not destination.is_enabled
    client.post(reverse("destinations:switch", args=[destination.pk]), {"on": "1"})
    client.post(reverse("destinations:pause", args=[destination.pk]))
    destination.refresh_from_db()
    assert (destination.is_enabled, destination.hold) == (True, Hold.PAUSED)
    assert "Paused" in client.get(reverse("destinations:list")).content.decode()


def test_resume_ends_backing_off_and_wakes_the_delivery(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[tuple[Any, ...]] = []
    monkeypatch.setattr(changes, "nudge", lambda *wake: woken.append(wake))
    from django.utils import timezone

    destination = factories.make_destination("meta", hold=Hold.CREDENTIALS, backoff_until=timezone.now(), failures=3)
    with django_capture_on_commit_callbacks(execute=True):
        client_with(group="Engineer").post(reverse("destinations:resume", args=[destination.pk]))
    destination.refresh_from_db()
    assert (destination.hold, destination.backoff_until, destination.failures) == (Hold.NONE, None, 0)
    assert woken == [("destinations.deliver", destination.pk)]


def test_new_credentials_release_a_hold_that_the_old_ones_caused() -> None:
    destination = factories.make_destination("meta", name="Pixel", hold=Hold.CREDENTIALS, is_sandbox=False)
    data = form_data(**{f"field_{SECRET_FIELD.name}": WRITTEN})
    client_with(group="Engineer").post(reverse("destinations:edit", args=[destination.pk]), data)
    destination.refresh_from_db()
    assert destination.hold == Hold.NONE
    paused = factories.make_destination("meta", name="Other", hold=Hold.PAUSED, is_sandbox=False)
    client_with(group="Engineer").post(reverse("destinations:edit", args=[paused.pk]), {**data, "name": "Other"})
    paused.refresh_from_db()
    assert paused.hold == Hold.PAUSED


def test_saving_untouched_defaults_is_no_change() -> None:
    destination = factories.make_destination("meta", name="Pixel")
    assert "api_version" not in destination.settings, "as a destination of the demo or of the API"
    client, page = client_with(group="Engineer"), reverse("destinations:edit", args=[destination.pk])
    form = client.get(page).context["form"]
    shown = {bound.html_name: bound.value() or "" for bound in form if bound.name != "sources"} | {"is_sandbox": "on"}
    before = RoutingChange.objects.count()
    answer = client.post(page, shown, follow=True)
    assert "Nothing was changed." in answer.content.decode()
    assert RoutingChange.objects.count() == before
    client.post(page, shown | {"field_ldu_mode": "geo"})
    assert RoutingChange.objects.latest("pk").sentences == ["Pixel: Limited Data Use off → geo"]


def test_delete_only_without_a_past() -> None:
    destination = factories.make_destination("meta", name="Pixel", event_mode=EventMode.CUSTOM)
    send()
    assert LedgerEntry.objects.filter(destination=destination).exists()
    client, page = client_with(group="Engineer"), reverse("destinations:delete", args=[destination.pk])
    assert "Nothing was ever sent" in client.get(page).content.decode()
    assert client.post(page).status_code == 302
    assert not Destination.objects.filter(pk=destination.pk).exists()
    assert RoutingChange.objects.latest("pk").action == "deleted"


@pytest.fixture
def waiting() -> Destination:
    destination = factories.make_destination("meta", name="Pixel")
    send()
    assert Delivery.objects.filter(destination=destination, state=State.WAITING).count() == 1
    return destination


def test_deleting_asks_what_becomes_of_what_waits_and_can_drop_it(waiting: Destination) -> None:
    client, page = client_with(group="Engineer"), reverse("destinations:delete", args=[waiting.pk])
    assert "1 delivery waits" in client.get(page).content.decode()
    assert client.post(page, {"waiting": "drop"}).status_code == 302
    waiting.refresh_from_db()
    assert (waiting.config, waiting.is_enabled) == ({}, False), "its credentials are forgotten"
    assert waiting.name == f"Pixel (deleted {timezone.now():%Y-%m-%d})"
    assert not waiting.routes.exists()
    delivery.deliver_due(waiting.pk)
    row = Delivery.objects.get(destination=waiting)
    assert (row.state, row.reason) == (State.SKIPPED, "destination_disabled")
    received = LedgerEntry.objects.filter(destination=waiting, state="received")
    before = sum(received.values_list("count", flat=True))
    send("e2")
    assert sum(received.values_list("count", flat=True)) == before, "it is no destination any more"
    assert "was deleted" in client.get(reverse("destinations:edit", args=[waiting.pk])).content.decode()
    assert client.get(page).status_code == 404
    assert "Pixel (deleted" in client.get(reverse("destinations:deliveries")).content.decode()
    assert "Pixel" not in client.get(reverse("destinations:list")).content.decode()
    factories.make_destination("meta", name="Pixel")  # its name is free again


def test_deleting_can_send_first_what_waits(
    waiting: Destination, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    client, page = client_with(group="Engineer"), reverse("destinations:delete", args=[waiting.pk])
    client.post(page, {"waiting": "send"})
    waiting.refresh_from_db()
    assert waiting.removed_at is None
    send("e2")
    assert LedgerEntry.objects.get(destination=waiting, event_name="SignUp", state="skipped").count == 1
    assert "Closing" in client.get(reverse("destinations:list")).content.decode()
    Destination.objects.filter(pk=waiting.pk).update(closing_at=timezone.now() - timedelta(minutes=1))
    assert changes.finish_closing() == 0, "one still waits"
    answer = Response(status=200, body=b'{"events_received": 1}')
    monkeypatch.setattr(outgoing, "send", lambda *_: (answer, 3))
    delivery.deliver_due(waiting.pk)
    assert Delivery.objects.get(destination=waiting).state == State.DELIVERED
    assert changes.finish_closing() == 1
    assert changes.finish_closing() == 0
    waiting.refresh_from_db()
    assert waiting.removed_at is not None


def test_a_deletion_that_waits_can_be_taken_back(waiting: Destination) -> None:
    client = client_with(group="Engineer")
    client.post(reverse("destinations:delete", args=[waiting.pk]), {"waiting": "send"})
    client.post(reverse("destinations:pause", args=[waiting.pk]))
    html = client.get(reverse("destinations:edit", args=[waiting.pk])).content.decode()
    assert html.count("It gets nothing new, and is deleted when what waits for it is sent.") == 1, (
        "said of a paused one as well"
    )
    assert client.post(reverse("destinations:keep", args=[waiting.pk])).status_code == 302
    send("e2")
    assert Delivery.objects.filter(destination=waiting, state=State.WAITING).count() == 2
    assert RoutingChange.objects.latest("pk").action == "kept"


def test_the_built_in_warehouse_is_there_to_stay() -> None:
    warehouse = Destination.objects.get(platform_key="warehouse")
    client = client_with(group="Engineer")
    for name in ("switch", "pause", "resume", "delete"):
        assert client.post(reverse(f"destinations:{name}", args=[warehouse.pk])).status_code == 404
    page = reverse("destinations:edit", args=[warehouse.pk])
    assert "built in" in client.get(page).content.decode()
    assert client.post(page, {"name": "Mine"}).status_code == 405
    assert f"destinations/{warehouse.pk}/switch" not in client.get(reverse("destinations:list")).content.decode()


def test_the_list_balances_and_does_not_ask_more_for_more_destinations(django_assert_max_num_queries: Any) -> None:
    for _ in range(4):
        factories.make_destination("meta")
    send()
    client = client_with(group="Engineer")
    with django_assert_max_num_queries(8):
        html = client.get(reverse("destinations:list")).content.decode()
    assert html.count("Recommended") == 4


@pytest.mark.parametrize(("days", "is_listed"), [(59, True), (61, False), (-1, True)])
def test_what_expires_is_told_on_its_page_and_when_near_in_the_list(days: int, is_listed: bool) -> None:
    destination = factories.make_destination("meta", name="Pixel")
    AccessToken.objects.create(destination=destination, expires_at=timezone.now() + timedelta(days=days, hours=1))
    client = client_with(group="Viewer")
    said = "Access token expired on" if days < 0 else "Access token expires on"
    page = client.get(reverse("destinations:edit", args=[destination.pk])).content.decode()
    assert said in page
    if days > 0:
        assert f"in {days} days" in page
    assert (said in client.get(reverse("destinations:list")).content.decode()) is is_listed


def test_an_entered_end_of_credentials_is_kept_told_and_in_history() -> None:
    destination = factories.make_destination("meta", name="Pixel", is_sandbox=False)
    client, page = client_with(group="Engineer"), reverse("destinations:edit", args=[destination.pk])
    day = timezone.now().date() + timedelta(days=7)
    client.post(page, form_data(credentials_end=day.isoformat()))
    destination.refresh_from_db()
    assert destination.credentials_end == day
    assert f"Pixel: end of the credentials unknown → {day}" in RoutingChange.objects.latest("pk").sentences
    shown = client.get(page).content.decode()
    assert f"Token or key expires on {day}, in 7 days" in shown
    assert f'value="{day}"' in shown
    assert f"Token or key expires on {day}" in client.get(reverse("destinations:list")).content.decode()
    client.post(page, form_data())
    destination.refresh_from_db()
    assert destination.credentials_end is None


def test_the_gallery_keeps_the_words_of_its_search() -> None:
    html = client_with(group="Engineer").get(reverse("destinations:add"), {"q": '"li'}).content.decode()
    assert 'value="&quot;li"' in html


def send(event_id: str = "") -> None:
    import json

    accept_batch(
        json.dumps([factories.event("SignUp", event_id)]).encode(),
        Sender(source_id=factories.make_source().pk, trace_id="b" * 32),
    )
    route_due()
