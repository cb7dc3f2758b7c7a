"""Access tokens, fetched from a sandbox over real HTTP: ahead of time, once, and again when one is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from destinations import changes, delivery, outgoing, tokens
from destinations.models import AccessToken, Attempt, Delivery, Destination, Hold, State
from destinations.platforms.base import ACCESS_TOKEN, Request, Response, Token
from destinations.sandbox.server import Sandbox, running_sandbox
from events.ingest import Sender, accept_batch
from routing.dispatch import route_due
from tests.factories import event, make_destination, make_source

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    with running_sandbox() as running:
        settings.SANDBOX_URL = running.url
        yield running


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every request that leaves, in order."""
    seen: list[Request] = []
    real = outgoing.send

    def send(destination: Destination, request: Request, **options: Any) -> Any:
        seen.append(request)
        return real(destination, request, **options)

    monkeypatch.setattr(outgoing, "send", send)
    return seen


def owe(destination: Destination, *events: dict[str, Any]) -> None:
    accept_batch(json.dumps(events).encode(), Sender(source_id=make_source().pk, trace_id="t" * 32))
    route_due()


def token_requests(sent: list[Request]) -> int:
    return sum(request.url.endswith("/token") for request in sent)


def states(destination: Destination) -> list[int]:
    return list(Delivery.objects.filter(destination=destination).order_by("id").values_list("state", flat=True))


def test_a_token_is_fetched_once_and_the_contact_is_written_before_its_event(
    sandbox: Sandbox, sent: list[Request]
) -> None:
    crm = make_destination("salesforce", event_mode="everything")
    owe(crm, event("SignUp", "a"), event("SignUp", "b", email="grace@example.com", externalId="u2"))
    delivery.deliver_due(crm.pk)
    assert states(crm) == [State.DELIVERED] * 2
    owe(crm, event("SignUp", "c"))
    delivery.deliver_due(crm.pk)
    assert states(crm) == [State.DELIVERED] * 3
    assert token_requests(sent) == 1
    carried = [len(row.attempts) for row in Delivery.objects.filter(destination=crm)]
    assert min(carried) >= 2, "the person's upsert and the Task"
    held = AccessToken.objects.get(pk=crm.pk)
    assert held.values[ACCESS_TOKEN]
    assert held.values["oauth.instance_url"].startswith("https://")
    shown = "".join(attempt.request_body + attempt.response_body + attempt.url for attempt in Attempt.objects.all())
    assert held.values[ACCESS_TOKEN] not in shown


def test_a_refused_person_takes_its_own_event_with_it_and_no_other(sandbox: Sandbox, sent: list[Request]) -> None:
    crm = make_destination("salesforce", event_mode="everything")
    owe(
        crm,
        event("SignUp", "good"),
        event("SignUp", "bad", email="x@example.com", externalId="u2", platformParams={
            "salesforce": {"Lead": {"No_Such_Field": 1}}
        }),
    )  # fmt: skip
    delivery.deliver_due(crm.pk)
    by_id = {row.event.event_id: row for row in Delivery.objects.filter(destination=crm).select_related("event")}
    assert by_id["good"].state == State.DELIVERED
    assert by_id["bad"].state in (State.DEAD, State.WAITING)
    assert "No_Such_Field" in by_id["bad"].detail


def test_refused_credentials_hold_the_destination_and_new_ones_release_it(
    sandbox: Sandbox, sent: list[Request]
) -> None:
    crm = make_destination("salesforce", event_mode="everything")
    good = dict(crm.secrets)
    Destination.objects.filter(pk=crm.pk).update(secrets={**good, "client_secret": "revoked-" + "x" * 32})
    owe(crm, event("SignUp", "a"))
    delivery.deliver_due(crm.pk)
    crm.refresh_from_db()
    assert (crm.hold, states(crm)) == (Hold.CREDENTIALS, [State.WAITING])
    assert Delivery.objects.get(destination=crm).tries == 0
    changes.update(
        crm, name=crm.name, config={**crm.settings, **good}, is_sandbox=True, sources=None, user=None
    )  # fmt: skip
    delivery.deliver_due(crm.pk)
    assert states(crm) == [State.DELIVERED]


def test_a_token_that_is_refused_is_replaced_once(sandbox: Sandbox, sent: list[Request]) -> None:
    crm = make_destination("salesforce", event_mode="everything")
    owe(crm, event("SignUp", "a"))
    old = {ACCESS_TOKEN: "00Dexpired" + "x" * 40, "oauth.instance_url": crm.settings["instance_url"]}
    AccessToken.objects.create(pk=crm.pk, values=old, fetched_at=timezone.now() - timedelta(hours=3))
    delivery.deliver_due(crm.pk)
    crm.refresh_from_db()
    assert (crm.hold, states(crm)) == ("", [State.DELIVERED])
    assert token_requests(sent) == 1
    # One that was fetched just now and is refused all the same: no fresh one will help.
    AccessToken.objects.filter(pk=crm.pk).update(values=old, fetched_at=timezone.now())
    owe(crm, event("SignUp", "b"))
    delivery.deliver_due(crm.pk)
    crm.refresh_from_db()
    assert crm.hold == Hold.CREDENTIALS
    assert token_requests(sent) == 1


def test_a_token_is_renewed_ahead_of_its_end(sandbox: Sandbox, sent: list[Request]) -> None:
    warehouse = make_destination("bigquery", event_mode="everything")
    assert isinstance(tokens.ready(warehouse), dict)
    held = AccessToken.objects.get(pk=warehouse.pk)
    assert held.expires_at is not None
    assert held.renew_at == held.expires_at - tokens.AHEAD
    tokens.ready(warehouse)
    assert token_requests(sent) == 1
    AccessToken.objects.update(renew_at=timezone.now() - timedelta(seconds=1))
    tokens.ready(warehouse)
    assert token_requests(sent) == 2


def test_a_rotated_refresh_token_replaces_the_stored_one() -> None:
    crm = make_destination("salesforce", secrets={"refresh_token": "old", "client_id": "x"})
    tokens._keep(crm, Token(access_token="t", expires_in=100, refresh_token="new"), datetime.now(UTC))
    crm.refresh_from_db()
    assert crm.secrets == {"refresh_token": "new", "client_id": "x"}
    held = AccessToken.objects.get(pk=crm.pk)
    assert held.expires_at is not None
    assert held.renew_at is not None
    assert held.expires_at - held.renew_at == timedelta(seconds=10), "the last tenth of a short life"


def test_a_token_endpoint_that_is_down_costs_no_try(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = make_destination("salesforce", event_mode="everything")
    owe(crm, event("SignUp", "a"))
    monkeypatch.setattr(outgoing, "send", lambda *_, **__: (Response(status=503, body=b"<html>"), 1))
    delivery.deliver_due(crm.pk)
    crm.refresh_from_db()
    assert (crm.hold, states(crm)) == ("", [State.WAITING])
    assert crm.backoff_until is not None
    assert Delivery.objects.get(destination=crm).tries == 0


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_moment_fetch_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = make_destination("bigquery", event_mode="everything")
    calls: list[int] = []
    barrier = threading.Barrier(4)
    answer = json.dumps({"access_token": "ya29.x", "expires_in": 3600, "token_type": "Bearer"}).encode()

    def send(*_: Any, **__: Any) -> tuple[Response, int]:
        calls.append(1)
        threading.Event().wait(0.3)
        return Response(status=200, body=answer), 1

    monkeypatch.setattr(outgoing, "send", send)
    found: list[Any] = []

    def work() -> None:
        barrier.wait()
        found.append(tokens.ready(warehouse))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert sum(isinstance(one, dict) for one in found) == 1, "the others try again in a moment"
    assert isinstance(tokens.ready(warehouse), dict)


def test_an_app_of_linkedin_delivers_with_a_token_of_its_own(sandbox: Sandbox, sent: list[Request]) -> None:
    app = {"client_secret": "a-made-up-secret", "refresh_token": "AQ" + "r" * 40}
    linkedin = make_destination("linkedin", settings={"client_id": "86abcdefgh1234"}, secrets=app)
    owe(linkedin, event("SignUp"), event("SignUp"))
    assert delivery.deliver_once(linkedin.pk) == 2
    assert states(linkedin) == [State.DELIVERED] * 2
    assert [request.url.rpartition("/")[2] for request in sent] == ["accessToken", "conversionEvents"]
    held = AccessToken.objects.get()
    assert held.expires_at is not None
    assert held.expires_at > timezone.now() + timedelta(days=50)
