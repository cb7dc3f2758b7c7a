"""Alerts: each trouble is found, told once, told again when it is over; and nobody's address is shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import alerts, health, notices, silence
from destinations.alert_models import AlertChannel, AlertIncident, AlertNotice, AlertRule, NoticeState, RuleKind
from destinations.models import Destination, Hold
from destinations.signing import keys_of, signature
from destinations.standing import Standing
from events.ingest import Sender, accept_batch
from tests import factories
from tests.logins import client_with
from trackstack_site import env

pytestmark = pytest.mark.django_db
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def rule(kind: RuleKind) -> AlertRule:
    return AlertRule.objects.get(kind=kind)


QUIET = health.Figures()


def row(destination: Destination, *, hour: health.Figures = QUIET, **values: Any) -> health.Row:
    return health.Row(destination, values.pop("status", None), hour, hour, values.pop("standing", Standing()), [])


def sentences(kind: RuleKind, *rows: health.Row, silences: Any = ()) -> list[str]:
    return [one.sentence for one in alerts.found(rule(kind), rows, silences)]


# --- Finding ------------------------------------------------------------------------------------------------
def test_success_rate_over_enough_tries() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    poor = health.Figures(delivered=60, failed=40)
    assert sentences(RuleKind.SUCCESS, row(meta, hour=poor)) == [
        "Only 60 % of 100 tries at Pixel succeeded in an hour."
    ]  # fmt: skip
    assert sentences(RuleKind.SUCCESS, row(meta, hour=health.Figures(delivered=95, failed=5))) == []
    assert sentences(RuleKind.SUCCESS, row(meta, hour=health.Figures(failed=3))) == [], "three tries say little"


def test_dead_letters_and_lag() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    assert sentences(RuleKind.DEAD, row(meta, hour=health.Figures(dead=51)))
    assert not sentences(RuleKind.DEAD, row(meta, hour=health.Figures(dead=50)))
    assert sentences(RuleKind.LAG, row(meta, standing=Standing(overdue=900, waiting=7))) == [
        "Pixel is 15 minutes behind: 7 deliveries wait."
    ]
    assert not sentences(RuleKind.LAG, row(meta, standing=Standing(overdue=20)))


def test_what_is_switched_off_worries_nobody() -> None:
    off = factories.make_destination("meta", is_enabled=False)
    assert not sentences(RuleKind.DEAD, row(off, hour=health.Figures(dead=999)))


def test_stopped_and_silent() -> None:
    held = factories.make_destination("meta", name="Held", hold=Hold.CREDENTIALS, hold_detail="Token refused.")
    paused = factories.make_destination("meta", name="Paused", hold=Hold.PAUSED)
    broken = factories.make_destination("meta", name="Broken", breaker_since=timezone.now(), breaker_detail="503")
    said = sentences(RuleKind.STOPPED, row(held), row(paused), row(broken))
    assert said[0] == "Held is stopped, its events wait: Token refused."
    assert said[1].startswith("Broken has not answered since")
    assert len(said) == 2, "a pause is somebody's wish"
    gone = silence.Silence(held.pk, "Purchase", expected=40, received=38, hours=3)
    assert sentences(RuleKind.SILENCE, row(held), silences=[gone]) == [
        "Held got no Purchase in 3 hours; in past weeks it was 40 at least."
    ]
    few = gone._replace(hours=1, delivered=2, reason="no_identity")
    assert sentences(RuleKind.SILENCE, row(held), silences=[few]) == [
        "Held got only 2 Purchase in the last hour; in past weeks it was 40 at least. Most were not sent: no_identity."
    ]
    all_of_them = [gone._replace(event=f"Event{n}") for n in range(9)]
    assert sentences(RuleKind.SILENCE, row(held), silences=all_of_them) == [
        "Held gets far less of 9 events than in past weeks, looked at over up to 3 hours:"
        " Event0, Event1, Event2 and others."
    ]
    assert not sentences(RuleKind.SILENCE, row(held), silences=[gone._replace(expected=9)])


def test_rejected_share_of_the_last_minutes() -> None:
    good = [factories.event("SignUp", f"e{n}") for n in range(20)]
    bad = [factories.event("signup", f"b{n}") for n in range(5)]
    accept_batch(json.dumps(good + bad).encode(), Sender(source_id=factories.make_source().pk, trace_id="a" * 32))
    assert sentences(RuleKind.REJECTED) == ["5 of 25 events that came in the last 15 minutes were rejected."]
    AlertRule.objects.filter(kind=RuleKind.REJECTED).update(threshold=20)
    assert sentences(RuleKind.REJECTED) == []


def test_an_ending_token() -> None:
    from destinations.models import AccessToken

    linkedin = factories.make_destination("linkedin", name="LI", settings={"api_version": "202512"})
    found = alerts.found(rule(RuleKind.ENDING), health.rows(timezone.now()), [])
    assert [one.sentence for one in found if str(linkedin.pk) in one.key]  # 202512 ends 2026-12-15
    assert not AccessToken.objects.exists()
    today = timezone.now().date()
    factories.make_destination("quora", name="Soon", credentials_end=today + timedelta(days=10))
    factories.make_destination("quora", name="Later", credentials_end=today + timedelta(days=40))
    found = alerts.found(rule(RuleKind.ENDING), health.rows(timezone.now()), [])
    assert [one.sentence for one in found if "credentials" in one.key] == [
        f"The token or key of Soon ends in 10 days ({today + timedelta(days=10)})."
    ]


# --- Incidents -------------------------------------------------------------------------------------------
def test_a_trouble_is_told_once_and_once_when_it_is_over() -> None:
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    for one in AlertRule.objects.all():
        one.channels.add(channel)
    meta = factories.make_destination("meta", name="Pixel", hold=Hold.CREDENTIALS, hold_detail="Token refused.")
    start = timezone.now()
    assert alerts.evaluate(start) == (1, 0)
    assert alerts.evaluate(start + timedelta(minutes=1)) == (0, 0)
    assert AlertNotice.objects.count() == 1
    Destination.objects.filter(pk=meta.pk).update(hold="")
    assert alerts.evaluate(start + timedelta(minutes=2)) == (0, 0), "calm for a moment is not over"
    assert alerts.evaluate(start + timedelta(minutes=4)) == (0, 1)
    subjects = list(AlertNotice.objects.order_by("id").values_list("subject", flat=True))
    assert subjects == [
        "TrackStack: Stopped: Pixel is stopped, its events wait: Token refused.",
        "TrackStack: Over after 4 minutes: Pixel is stopped, its events wait: Token refused.",
    ]
    Destination.objects.filter(pk=meta.pk).update(hold=Hold.CREDENTIALS)
    assert alerts.evaluate(start + timedelta(minutes=9)) == (1, 0), "it may happen again"


def test_muted_and_unwatched_rules_tell_nobody() -> None:
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    stopped = rule(RuleKind.STOPPED)
    stopped.channels.add(channel)
    factories.make_destination("meta", hold=Hold.CREDENTIALS)
    alerts.mute(stopped, "hour")
    assert alerts.evaluate() == (1, 0), "it stands in the history"
    assert not AlertNotice.objects.exists()
    AlertIncident.objects.all().delete()
    AlertRule.objects.update(is_enabled=False, muted_until=None)
    assert alerts.evaluate() == (0, 0)


def test_what_began_in_a_mute_is_told_when_the_mute_ends_and_over_is_told_of_nothing_untold() -> None:
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    stopped = rule(RuleKind.STOPPED)
    stopped.channels.add(channel)
    pixel = factories.make_destination("meta", name="Pixel", hold=Hold.CREDENTIALS)
    brief = factories.make_destination("meta", name="Brief", hold=Hold.CREDENTIALS)
    alerts.mute(stopped, "hour")
    assert alerts.evaluate() == (2, 0)
    Destination.objects.filter(pk=brief.pk).update(hold="")
    alerts.mute(stopped, "off")
    for _ in range(2):
        alerts.evaluate()
    assert [notice.subject for notice in AlertNotice.objects.all()] == [
        "TrackStack: Stopped: Pixel is stopped, its events wait: Credentials refused"
    ]
    Destination.objects.filter(pk=pixel.pk).update(hold="")
    assert alerts.evaluate(timezone.now() + timedelta(minutes=4)) == (0, 2)
    assert [notice.subject[:20] for notice in AlertNotice.objects.order_by("pk")] == [
        "TrackStack: Stopped:", "TrackStack: Over aft",
    ]  # fmt: skip


def test_nothing_is_over_because_nobody_looks_any_more() -> None:
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    stopped = rule(RuleKind.STOPPED)
    stopped.channels.add(channel)
    factories.make_destination("meta", hold=Hold.CREDENTIALS)
    alerts.evaluate()
    AlertRule.objects.update(is_enabled=False)
    assert alerts.evaluate(timezone.now() + timedelta(minutes=4)) == (0, 1)
    assert AlertNotice.objects.count() == 1


def test_numbers_of_one_and_of_less_than_a_minute() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    AlertRule.objects.filter(kind=RuleKind.DEAD).update(threshold=0)
    AlertRule.objects.filter(kind=RuleKind.LAG).update(threshold=10)
    assert sentences(RuleKind.DEAD, row(meta, hour=health.Figures(dead=1))) == [
        "1 delivery to Pixel died in the last hour."
    ]  # fmt: skip
    assert sentences(RuleKind.LAG, row(meta, standing=Standing(overdue=20, waiting=1))) == [
        "Pixel is 20 seconds behind: 1 delivery waits."
    ]
    assert sentences(RuleKind.LAG, row(meta, standing=Standing(overdue=60, waiting=10_000))) == [
        "Pixel is 60 seconds behind: at least 10000 deliveries wait."
    ]


# --- Notices ---------------------------------------------------------------------------------------------
class Receiver(HTTPServer):
    """A hook on this machine: what it got, and what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/of-ours"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.ALLOW_PRIVATE_ADDRESSES = ["127.0.0.1"]
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def owe(kind: str, **values: str) -> AlertNotice:
    channel = AlertChannel.objects.create(name=f"C {kind}", kind=kind, values=values)
    return alerts.trial_notice(channel, "ada")


def test_mail_slack_and_a_signed_hook(receiver: Receiver) -> None:
    owe("email", to="ops@example.com, boss@example.com")
    owe("slack", url=receiver.url)
    signed = owe("webhook", url=receiver.url, secret=SECRET)
    assert notices.send_due() == 3
    assert notices.send_due() == 0
    assert mail.outbox[0].to == ["ops@example.com", "boss@example.com"]
    (_, slack), (headers, hook) = receiver.got
    assert json.loads(slack) == {"text": "This is a test of the channel C slack, sent by ada."}
    assert json.loads(hook)["type"] == "alert.test"
    base = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + hook
    assert headers["webhook-signature"] == signature(keys_of(SECRET)[0], base)
    assert headers["webhook-id"] == f"alert-{signed.pk}"
    assert set(AlertNotice.objects.values_list("state", flat=True)) == {NoticeState.SENT}


def test_what_a_platform_said_breaks_no_subject_and_calls_nobody(receiver: Receiver) -> None:
    """Platforms answer in several lines, and what they say may be of a stranger's making."""
    stopped = rule(RuleKind.STOPPED)
    for kind, values in (("email", {"to": "ops@example.com"}), ("slack", {"url": receiver.url})):
        stopped.channels.add(AlertChannel.objects.create(name=kind, kind=kind, values=values))
    said = "Token\nrefused & <!channel> <https://evil.example|log in>"
    factories.make_destination("meta", name="Pixel", hold=Hold.CREDENTIALS, hold_detail=said)
    alerts.evaluate()
    assert notices.send_due() == 2
    assert set(AlertNotice.objects.values_list("state", "detail")) == {(NoticeState.SENT, "")}
    assert "wait: Token refused &" in mail.outbox[0].subject
    text = json.loads(receiver.got[0][1])["text"]
    assert "&amp; &lt;!channel&gt; &lt;https://evil.example|log in&gt;" in text


def test_what_cannot_be_sent_is_tried_again_and_given_up_in_the_end(receiver: Receiver) -> None:
    receiver.status = 500
    notice = owe("slack", url=receiver.url)
    for _ in range(notices.MOST_TRIES):
        AlertNotice.objects.update(due_at=timezone.now())
        assert notices.send_due() == 1
    notice.refresh_from_db()
    assert (notice.state, notice.tries) == (NoticeState.FAILED, notices.MOST_TRIES)
    assert notice.detail.startswith("The hook answered 500")
    assert "of-ours" not in notice.detail


def test_a_channel_that_was_switched_off_is_told_nothing_that_still_waited(receiver: Receiver) -> None:
    notice = owe("slack", url=receiver.url)
    AlertChannel.objects.update(is_enabled=False)
    notices.send_due()
    notice.refresh_from_db()
    assert (receiver.got, notice.state) == ([], NoticeState.FAILED)
    assert notice.detail == "The channel was switched off."


def test_private_addresses_are_not_called() -> None:
    notice = owe("slack", url="http://127.0.0.1:9/hook")
    notices.send_due()
    notice.refresh_from_db()
    assert "private address" in notice.detail


# --- Screens ---------------------------------------------------------------------------------------------
PAGES = ("alerts", "alert_history", "alert_channel_add")


@pytest.mark.parametrize("name", PAGES)
def test_pages_ask_who_is_there_and_what_they_may(name: str) -> None:
    page = reverse(f"destinations:{name}")
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_delivery").get(page).status_code == 403
    assert client_with(group="Engineer").get(page).status_code == 200
    assert client_with(group="Viewer").get(page).status_code == (403 if name == "alert_channel_add" else 200)


def test_a_channel_is_added_tested_edited_and_removed_and_its_address_never_shown(receiver: Receiver) -> None:
    client = client_with(group="Engineer")
    add = reverse("destinations:alert_channel_add")
    assert (
        "beginning with https://" in client.post(add, {"name": "Ops", "kind": "slack", "url": "nope"}).content.decode()
    )
    assert "no e-mail address" in client.post(add, {"name": "Ops", "kind": "email", "to": "nope"}).content.decode()
    assert "no receiver can trust" in client.post(
        add, {"name": "Ops", "kind": "webhook", "url": receiver.url}
    ).content.decode()  # fmt: skip
    client.post(add, {"name": "Ops", "kind": "slack", "url": receiver.url, "is_enabled": "on"})
    channel = AlertChannel.objects.get()
    assert channel.rules.count() == AlertRule.objects.count(), "a new channel is told of everything"
    client.post(reverse("destinations:alert_channel_test", args=[channel.pk]))
    assert len(receiver.got) == 1
    edit = reverse("destinations:alert_channel", args=[channel.pk])
    for page in (edit, reverse("destinations:alerts"), reverse("destinations:alert_history")):
        assert "of-ours" not in client.get(page).content.decode()
    client.post(edit, {"name": "On call", "kind": "slack", "url": ""})
    channel.refresh_from_db()
    assert (channel.name, channel.values["url"], channel.is_enabled) == ("On call", receiver.url, False)
    client.post(reverse("destinations:alert_channel_remove", args=[channel.pk]))
    assert not AlertChannel.objects.exists()


def test_rules_are_changed_and_muted() -> None:
    client = client_with(group="Engineer")
    lag = rule(RuleKind.LAG)
    page = reverse("destinations:alert_rule", args=[lag.pk])
    assert "Ensure this value" in client.post(page, {"threshold": "1", "is_enabled": "on"}).content.decode()
    client.post(page, {"threshold": "60", "is_enabled": "on"})
    lag.refresh_from_db()
    assert lag.threshold == 60
    mute = reverse("destinations:alert_mute", args=[lag.pk])
    client.post(mute, {"for": "day"})
    assert "Tell again" in client.get(reverse("destinations:alerts")).content.decode()
    client.post(mute, {"for": "off"})
    lag.refresh_from_db()
    assert not lag.is_muted
    assert client.post(mute, {"for": "ever"}).status_code == 400
    assert client_with(group="Marketer").post(mute, {"for": "day"}).status_code == 403
    stopped = client.get(reverse("destinations:alert_rule", args=[rule(RuleKind.STOPPED).pk])).content.decode()
    assert "threshold" not in stopped


def test_open_troubles_are_on_the_page() -> None:
    factories.make_destination("meta", name="Pixel", hold=Hold.CREDENTIALS, hold_detail="Token refused.")
    alerts.evaluate()
    html = client_with(group="Viewer").get(reverse("destinations:alerts")).content.decode()
    assert "Pixel is stopped, its events wait: Token refused." in html


# --- Settings --------------------------------------------------------------------------------------------
def test_the_mail_server_is_one_address() -> None:
    found = env.parse_email_url("smtp://me:p%40ss@mail.example.com:2525?from=ts@example.com")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_HOST_PASSWORD"]) == (
        "mail.example.com",
        2525,
        "p@ss",
    )
    assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (True, False)
    assert env.parse_email_url("smtps://mail.example.com")["EMAIL_PORT"] == 465
    assert env.parse_email_url("") == {}
    with pytest.raises(ImproperlyConfigured):
        env.parse_email_url("mail.example.com")


def test_two_evaluations_at_once_tell_once() -> None:
    """The second finds the first at work and leaves it all to it."""
    factories.make_destination("meta", name="Held", hold=Hold.CREDENTIALS, hold_detail="Token refused.")
    first = psycopg.connect(connection.connection.info.dsn)
    try:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [alerts.LOCK])
        assert alerts.evaluate() == (0, 0)
    finally:
        first.rollback()
        first.close()
    assert alerts.evaluate() == (1, 0)
    assert alerts.evaluate() == (0, 0)
