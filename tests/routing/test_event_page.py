"""The page of one event: its books, what it carried lately, and calls that work."""

from __future__ import annotations

import ast
import json
import re
import shlex
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import ledger, reasons, uses
from destinations.models import Delivery, Destination, LedgerEntry, LedgerState, State
from events import calls, fields, needs, recent, samples, taxonomy, usable_keys
from events.ingest import Sender, accept_batch
from events.models import CanonicalEvent, SeenName
from routing import event_page, snapshot
from routing.dispatch import route_due
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

LOOKS = ("routing.view_route", "destinations.view_delivery")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def receive(*events: dict[str, Any]) -> None:
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=factories.make_source().pk, trace_id="c" * 32))
    route_due()


def page_of(name: str) -> str:
    return reverse("routing:event", args=[name])


def look(name: str = "SignUp", *permissions: str) -> str:
    answer = client_with(*(permissions or LOOKS)).get(page_of(name))
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def test_the_page_asks_who_is_there_and_what_they_may() -> None:
    answer = Client().get(page_of("SignUp"))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))
    assert client_with("destinations.view_delivery").get(page_of("SignUp")).status_code == 403
    assert client_with("routing.view_route").get(page_of("SignUp")).status_code == 200
    assert client_with("events.view_canonicalevent").get(page_of("SignUp")).status_code == 200
    assert client_with(*LOOKS).get(page_of("NoSuchEvent")).status_code == 404


def test_matrix_and_taxonomy_lead_here() -> None:
    matrix = client_with("routing.view_route").get(reverse("routing:matrix")).content.decode()
    assert '<a href="SignUp/">' in matrix
    assert page_of("SignUp") == reverse("routing:matrix") + "SignUp/"
    taxonomy = client_with("events.view_canonicalevent").get(reverse("events:taxonomy")).content.decode()
    assert page_of("SignUp") in taxonomy


def test_it_says_what_the_event_means() -> None:
    event = CanonicalEvent.objects.get(name="SignUp")
    html = unescape(look())
    for text in (event.description, event.when_to_fire, event.avoid, event.stage.label):
        assert text in html


def test_the_books_balance_and_every_figure_leads_to_its_rows() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    off = factories.make_destination("meta", name="Off", is_enabled=False)
    receive(*(factories.event("SignUp") for _ in range(5)), factories.event("PageView"))
    receive(factories.event("SignUp", consent={"marketing": False}))
    rows = list(Delivery.objects.filter(destination=pixel, event__name="SignUp"))
    today = timezone.now().date()
    Delivery.objects.filter(pk=rows[0].pk).update(state=State.DEAD, reason="refused")
    tally = ledger.Tally()
    tally.add(today, pixel.pk, "SignUp", LedgerState.DEAD, "refused")
    with connection.cursor() as cursor:
        tally.write(cursor)
    for _ in range(2):
        found = {line.rule.id: line for line in event_page.lines("SignUp", snapshot.current(), today)}
        figures = {figure.label: figure.number for figure in found[pixel.pk].figures}
        assert figures == {"Received": 6, "Delivered": 0, "Waiting": 4, "Skipped": 1, "Dead": 1}
        assert {(why.code, why.number) for why in found[pixel.pk].why} == {("consent_denied", 1), ("refused", 1)}
        assert [why.code for why in found[off.pk].why] == ["destination_disabled"]
        assert (found[off.pk].is_sent, found[off.pk].standing) == (False, "Off is switched off.")
        ledger.fold()  # the same once more from the totals
    client = client_with(*LOOKS)
    urls = {figure.label: figure.url for figure in found[pixel.pk].figures}
    html = client.get(page_of("SignUp")).content.decode()
    for label, count in (("Received", 6), ("Waiting", 4), ("Skipped", 1), ("Dead", 1)):
        assert urls[label].replace("&", "&amp;") in html
        listed = client.get(urls[label]).content.decode()
        assert listed.count('<th scope="row">') == count
    for why in found[pixel.pk].why:
        assert why.url.replace("&", "&amp;") in html
        assert client.get(why.url).content.decode().count('<th scope="row">') == why.number
    assert reasons.label("consent_denied").lower() in html


def test_a_backfill_is_offered_where_something_was_not_sent() -> None:
    early = factories.make_destination("meta", name="Early")
    off = factories.make_destination("meta", name="Off", is_enabled=False)
    receive(factories.event("SignUp"), factories.event("PageView", consent={"marketing": False}))
    late = factories.make_destination("meta", name="Late")
    today = timezone.now().date()

    def offered(event: str) -> set[str]:
        return {line.rule.name for line in event_page.lines(event, snapshot.current(), today) if line.backfill_url}

    assert offered("SignUp") == {late.name}, "it was not asked; the other has it, and the third is off"
    Destination.objects.filter(pk=off.pk).update(is_enabled=True)
    snapshot.bump()
    assert offered("SignUp") == {late.name, off.name}
    assert early.name not in offered("PageView"), "who denied consent is skipped again"
    assert offered("StartTrial") == set(), "nothing was received"
    html = client_with(*LOOKS, "destinations.add_replay").get(page_of("SignUp")).content.decode()
    assert html.count("Backfill…") == 2


def test_what_is_on_and_cannot_be_sent_says_so() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    account = factories.make_destination("linkedin", name="LI", event_mode="everything")

    def standing() -> dict[int, tuple[bool, bool]]:
        lines = event_page.lines("SignUp", snapshot.load(), timezone.now().date())
        return {line.rule.id: (line.is_on, line.is_sent) for line in lines}

    assert standing()[pixel.pk] == (True, True)
    account.routes.filter(event_name="SignUp").delete()
    snapshot.bump()
    assert standing()[account.pk] == (True, False), "its id is missing"
    assert "On, not sent" in look("SignUp")
    assert "On, not sent" not in look("Refund"), "off for ads"


def test_counts_of_an_older_week_and_of_other_events_stay_out() -> None:
    pixel = factories.make_destination("meta")
    today = timezone.now().date()
    days = event_page.days_to(today)
    assert (len(days), days[-1]) == (7, today)
    common = {"destination": pixel, "state": "received", "count": 9}
    LedgerEntry.objects.create(day=days[0] - timedelta(days=1), event_name="SignUp", **common)
    LedgerEntry.objects.create(day=today, event_name="PageView", **common)
    assert event_page.books("SignUp", days, [pixel.pk]) == {}


def test_the_last_payload_is_masked_and_needs_permission() -> None:
    receive(factories.event("SignUp", "e-1", email="grace@example.org", plan="team"))
    html = look()
    assert "grace@example.org" not in html
    assert "&quot;plan&quot;: &quot;team&quot;" in html
    assert "?id=e-1" in html
    assert "&quot;team&quot;" not in look("SignUp", "routing.view_route")


def test_coverage_counts_the_newest_of_the_name() -> None:
    receive(
        factories.event("SignUp", "e-1"),
        factories.event("SignUp", "e-2", email=None, clickIds={"gclid": "x"}),
        factories.event("PageView", "e-3"),
    )
    found = recent.coverage("SignUp")
    shares = {share.fields[0]: (share.carrying, share.percent) for share in found.shares}
    assert found.events == 2
    assert found.last is not None
    assert found.last.event_id == "e-2"
    assert (shares["email"], shares["clickIds"], shares["phone"]) == ((1, 50), (1, 50), (0, 0))
    assert "50 %" in look()
    assert recent.coverage("Refund").events == 0


def words_of(html: str, start: str, end: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition(start)[2].partition(end)[0]).split())


def test_what_the_event_needs_comes_first_with_how_many_carry_it() -> None:
    factories.make_destination("meta", name="Pixel")
    receive(factories.event("Purchase", value=9.5, currency="EUR"), factories.event("Purchase", value=9.5))
    html = look("Purchase")
    needed = words_of(html, "<caption>Needed</caption>", "</table>")
    for said in ("value * needed 1 of 1 100 % (2)", "currency * needed 1 of 1 50 % (1)", "0 % (0)"):
        assert said in needed
    assert "transactionId * needed" in needed
    assert "email or phone or externalId" in needed
    assert html.index("<caption>Needed</caption>") < html.index("<caption>Who it is about</caption>")
    assert "subscriptionId" in words_of(html, "<caption>Its own</caption>", "</table>")
    assert "<caption>Needed</caption>" in look("Purchase", "routing.view_route"), "it is the taxonomy's, not an event's"
    assert "100 %" not in look("Purchase", "routing.view_route")


def test_every_need_is_a_field_of_a_shipped_event() -> None:
    names = {row.name for row in taxonomy.shipped()}
    assert set(needs.NEEDS) <= names
    known = {field.name for field in fields.FIELDS}
    assert {one for wanted in needs.NEEDS.values() for need in wanted for one in need} <= known
    for name in needs.NEEDS:
        single = {need[0] for need in needs.needed(name) if len(need) == 1}
        assert not single & set(needs.own(name, ""))


def test_a_platform_uses_what_changes_its_request() -> None:
    used = uses.used("meta", "Purchase", "Purchase")
    assert {"value", "currency", "email", "transactionId"} <= used, "transactionId too, though orderId goes before it"
    assert "salesOwner" not in used


def test_reads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"LIMIT {recent.LOOK_BACK}" in recent._COVERAGE_SQL
    monkeypatch.setattr(recent, "_COVERAGE_SQL", recent._COVERAGE_SQL.replace(f"LIMIT {recent.LOOK_BACK}", "LIMIT 1"))
    receive(factories.event("SignUp", "e-1"), factories.event("PageView", "e-2"))
    assert recent.coverage("SignUp").events == 0
    assert recent.coverage("PageView").events == 1


def test_queries_are_few_however_many_destinations(django_assert_max_num_queries: Any) -> None:
    for _ in range(4):
        factories.make_destination("meta")
    receive(factories.event("SignUp"))
    client = client_with(*LOOKS)
    with django_assert_max_num_queries(21):  # ten read the snapshot, once a process; one is the strip
        client.get(page_of("SignUp"))


def test_a_name_that_nobody_registered_has_a_page() -> None:
    factories.make_destination("meta")
    receive(factories.event("WebinarAttended"))
    assert SeenName.objects.filter(name="WebinarAttended").exists()
    html = look("WebinarAttended")
    assert "Nobody registered this name yet" in html
    assert "WebinarAttended is not registered" in html


# --- Calls -------------------------------------------------------------------------------------------------


def test_the_calls_name_the_key_that_was_chosen() -> None:
    shop, app = factories.make_source("Web shop 2"), factories.make_source("App")
    secret = factories.make_key(shop)
    factories.make_key(app)
    factories.make_key(app, revoked_at=timezone.now(), label="gone")
    factories.make_key(app, expires_at=timezone.now() - timedelta(days=1), label="gone")
    client = client_with(*LOOKS, "events.view_apikey")
    prefix = secret[4:12]
    html = unescape(client.get(page_of("SignUp"), {"key": prefix}).content.decode())
    assert secret not in html
    assert f"# key tsk_{prefix}_… of source Web shop 2" in html
    for text in ('"x-ts-key: $WEB_SHOP_2_KEY"', 'os.environ["WEB_SHOP_2_KEY"]', "process.env.WEB_SHOP_2_KEY"):
        assert text in html
    assert f'value="{prefix}" selected' in html
    assert "gone" not in html
    assert "$APP_KEY" in unescape(client.get(page_of("SignUp"), {"key": "nobody"}).content.decode())
    assert prefix not in look(), "who may not see keys"
    assert "$TRACKSTACK_KEY" in unescape(look())


def test_without_a_key_the_way_to_one_is_shown() -> None:
    html = look("SignUp", *LOOKS, "events.view_apikey")
    assert "No key works yet." in html
    assert reverse("events:sources") in html


@pytest.mark.parametrize(
    ("source", "variable"), [("Shop", "SHOP_KEY"), ("3D-Shop é", "_3D_SHOP_KEY"), ("店", "TRACKSTACK_KEY")]
)
def test_a_variable_is_one_that_shells_take(source: str, variable: str) -> None:
    assert usable_keys.UsableKey("abcdefgh", source, "").variable == variable
    assert "\n" not in usable_keys.UsableKey("abcdefgh", "a\nb", "").comment


def test_the_calls_are_taken_by_the_api() -> None:
    found = {call.id: call.text for call in calls.calls("http://testserver/events", samples.sample("SignUp"))}
    words = shlex.split(found["curl"])
    assert words[:3] == ["curl", "-sS", "http://testserver/events"]
    answer = Client().post(
        "/events",
        words[words.index("-d") + 1],
        content_type="application/json",
        headers={"x-ts-key": factories.make_key()},
    )
    assert (answer.status_code, answer.json()["accepted"], answer.json()["warnings"]) == (202, 1, [])
    tree = ast.parse(found["python"])
    assigned = next(node for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(assigned.value) == samples.sample("SignUp")
    (body,) = re.findall(r"JSON\.stringify\((.*)\),\n\}\);", found["javascript"], re.DOTALL)
    assert json.loads(body)["events"] == [samples.sample("SignUp")]
