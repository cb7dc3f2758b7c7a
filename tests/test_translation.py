"""Every text on every page is marked for translation, or marked as data that nobody must translate."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, reverse

import destinations.urls
import events.urls
import routing.urls
from destinations import platforms, replays
from destinations.alert_models import AlertChannel, AlertRule
from destinations.models import Attempt, Delivery, Hold, ReplayKind
from destinations.replay_plan import Plan
from events.ingest import Sender, accept_batch
from events.models import ApiKey, Event, RejectedEvent
from routing import api, drafts, publishing, snapshot, toggles
from routing.dispatch import route_due
from routing.models import Draft, RoutingChange
from tests import factories
from tests.destinations.test_observe_views import kill
from tests.visible_text import pseudo, unmarked  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db

NOT_PAGES = {
    "cell_days": "shown by the matrix",
    "meaning": "shown by the matrix",
    "config_token_revoke": "POST",
    "collecting": "POST",
    "draft_act": "POST",
    "draft_undo": "POST",
    "toggle": "POST",
    "undo": "POST",
    "look": "POST",
    "pulse": "changes of others only",
    "export": "CSV",
    "look_at_field": "POST",
    "look_at_id": "POST",
    "check": "POST",
    "id_choices": "POST",
    "switch": "POST",
    "pause": "POST",
    "resume": "POST",
    "keep": "POST",
    "deliveries_csv": "CSV",
    "attempts_csv": "CSV",
    "dead_csv": "CSV",
    "alert_mute": "POST",
    "alert_channel_test": "POST",
    "alert_channel_remove": "POST",
    "replay_one": "POST",
    "replay_steer": "POST",
    "restore": "POST",
}
"""Addresses that answer no page to a GET, and why."""


@pytest.fixture
def reader() -> Client:
    user = User.objects.create_superuser("ada")
    client = Client()
    client.force_login(user)
    return client


def send(*batch: object) -> None:
    source = ApiKey.objects.get().source
    accept_batch(json.dumps(batch).encode(), Sender(source_id=source.pk, trace_id="e" * 32))
    route_due()


@pytest.fixture
def pages(reader: Client) -> dict[str, str]:
    """Each page of the three apps by its name, with something to show on it."""
    ada, bob = User.objects.get(), User.objects.create_superuser("bob")
    factories.make_key(factories.make_source("Shop"))
    pixel = factories.make_destination("meta", name="Pixel")
    held = factories.make_destination("linkedin", name="Held", hold=Hold.CREDENTIALS, hold_detail="Token refused")
    factories.make_destination("google_ads", name="Ads", hold=Hold.PAUSED)
    factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event("SignUp", "e1"), factories.event("PageView", "e2", consent={"marketing": False}))
    attempt = kill(pixel)
    send(
        factories.event("SignUp", "e3"), factories.event("Purchase", "e4", value=12, currency="EUR"), {"event": "Nope"}
    )
    toggles.apply(pixel, on={"SignUp": False}, native_names={"Purchase": "Bought"}, user=ada)
    drafts.set_collecting(ada, True)
    state = snapshot.current()
    drafts.collect(ada, state.rules[pixel.pk], state, on={"SignUp": True, "PageView": False})
    draft = Draft.objects.get()
    publishing.ask_review(draft.pk, ada, bob)
    replay = replays.start(Plan(ReplayKind("dead"), pixel), rate=50, user=ada, expected=1)
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    rule = AlertRule.objects.order_by("id")[0]
    rule.channels.add(channel)
    api.make_token("CI", may_write=True, user=ada)
    version = RoutingChange.objects.filter(action="toggle").latest("pk")
    toggles.record_destination_change(held, "edited", ["Held: API version 202609"], user=bob)
    row = Delivery.objects.filter(destination=held).first()
    assert row is not None
    arguments: dict[str, list[object]] = {
        "history_entry": [version.pk],
        "roll_back": [0],
        "take_back": [version.pk],
        "draft": [draft.pk],
        "draft_discard": [draft.pk],
        "modes": [pixel.pk],
        "event": ["SignUp"],
        "mapping": [pixel.pk, "SignUp"],
        "create": ["meta"],
        "edit": [pixel.pk],
        "progress": [pixel.pk],
        "meanwhile": [held.pk],
        "ids": [held.pk],
        "delete": [pixel.pk],
        "switch_off": [pixel.pk],
        "try": [pixel.pk],
        "attempt": [attempt.pk],
        "trace_payload": [Event.objects.get(event_id="e3").pk, held.pk],
        "alert_rule": [rule.pk],
        "alert_channel": [channel.pk],
        "replay": [replay.pk],
        "source": [ApiKey.objects.get().source_id],
        "key_add": [ApiKey.objects.get().source_id],
        "key_revoke": [ApiKey.objects.get().pk],
        "rejected_detail": [RejectedEvent.objects.get().pk],
        "event_edit": ["SignUp"],
        "retire": ["SignUp"],
    }
    queries = {
        "trace": "?id=e4",
        "history_compare": "?from=0",
        "change": f"?set={pixel.pk}:=everything",
        "set_range": f"?set={pixel.pk}:SignUp,PageView:0",
        "replay_new": f"?kind=missed&destination={pixel.pk}",
        "quality": "",
    }
    found = {}
    for app, patterns in (("routing", routing.urls), ("destinations", destinations.urls), ("events", events.urls)):
        for name in names(patterns.urlpatterns):
            if name not in NOT_PAGES:
                found[f"{app}:{name}"] = reverse(f"{app}:{name}", args=arguments.get(name)) + queries.get(name, "")
    assert Attempt.objects.exists()
    return found


def names(patterns: list[URLPattern]) -> Iterator[str]:
    for pattern in patterns:
        assert pattern.name
        yield pattern.name


@pytest.mark.parametrize("app", ["routing", "destinations", "events"])
def test_every_text_is_marked(app: str, reader: Client, pages: dict[str, str], pseudo: None) -> None:  # noqa: F811
    wrong = []
    for name, address in pages.items():
        if not name.startswith(app):
            continue
        answer = reader.get(address)
        assert answer.status_code == 200, (name, address, answer.status_code)
        wrong += [f"{name}: {text}" for text in unmarked(answer.content.decode())]
    assert wrong == [], "\n".join(wrong)


def shown_of(reader: Client, key: str) -> Iterator[tuple[str, str]]:
    """Every page that shows what a platform says of itself: as it is set up, looked at, and tried."""
    platform, whole = platforms.get(key), factories.make_destination(key, is_sandbox=False)
    empty = factories.make_destination(key, settings={}, secrets={}, is_sandbox=False)
    create = reverse("destinations:create", args=[key])
    yield "create", create
    yield "post create", create
    for field in platform.fields:
        yield "post ¿", reverse("destinations:look_at_field", args=[key, field.name])
    for destination in (whole, empty):
        yield "edit", reverse("destinations:edit", args=[destination.pk])
        yield "progress", reverse("destinations:progress", args=[destination.pk])
        yield "mapping", reverse("routing:mapping", args=[destination.pk, "SignUp"])
        if platform.native_id is not None or platform.lists_names:
            yield "ids", reverse("destinations:ids", args=[destination.pk])
    yield "post ids", reverse("destinations:id_choices", args=[empty.pk])  # nothing can be asked without credentials
    if platform.native_id is not None:
        yield "post ¿", reverse("destinations:look_at_id", args=[key])
    yield "look", reverse("destinations:edit", args=[whole.pk])


@pytest.mark.parametrize("key", [key for key in platforms.PLATFORMS if not platforms.get(key).is_builtin])
def test_every_word_of_a_platform_is_marked(key: str, reader: Client, pseudo: None) -> None:  # noqa: F811
    viewer, wrong = Client(), []
    viewer.force_login(User.objects.create_user("vi", is_staff=True))
    User.objects.get(username="vi").groups.add(Group.objects.get(name="Viewer"))
    for what, address in list(shown_of(reader, key)):
        values = dict.fromkeys(("native_id", *(f"field_{one.name}" for one in platforms.get(key).fields)), "¿")
        if what.startswith("post"):
            answer = reader.post(address, values if what == "post ¿" else {})
        else:
            answer = (viewer if what == "look" else reader).get(address)
        assert answer.status_code == 200, (what, address, answer.status_code)
        wrong += [f"{what}: {text}" for text in unmarked(answer.content.decode())]
    assert wrong == [], "\n".join(wrong)


def test_pages_of_strangers_and_errors_are_marked(client: Client, pseudo: None) -> None:  # noqa: F811
    for address in (reverse("admin:login"), "/admin/nowhere/"):
        assert unmarked(client.get(address).content.decode()) == [], address


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>⟦Sent⟧</p>", []),
        ("<p>Sent</p>", ["<p> Sent"]),
        ("<p>⟦Sent to <b>Meta</b> now⟧ or later</p>", ["<p> or later"]),
        ('<p translate="no">SignUp <b translate="yes">is off</b></p>', ["<b> is off"]),
        ('<input placeholder="Filter">', ["<placeholder> Filter"]),
        ("<p>⟦cut off</p><p>Hidden?</p>", ["<p> Hidden?"]),
        ("<code>SELECT</code> 12,000 · 3 %", []),
    ],
)
def test_what_counts_as_unmarked(html: str, expected: list[str]) -> None:
    assert unmarked(html) == expected
