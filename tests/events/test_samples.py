"""Samples: every shipped event has one, the contract takes it as it is, and every platform that lists it builds."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from destinations import platforms
from destinations.preview import Settings, preview
from events import samples, taxonomy
from events.contract import Accepted, parse_event
from tests.destinations.platforms.making import CONFIG, NOW

SHIPPED = {row.name: row for row in taxonomy.shipped()}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_contract_takes_every_sample_without_a_word(name: str) -> None:
    event = samples.sample(name, stage=SHIPPED[name].stage)
    found = parse_event(json.dumps(event).encode(), now_ms=int(NOW.timestamp() * 1000), names=frozenset(SHIPPED))
    assert isinstance(found, Accepted)
    assert (found.name, list(found.warnings)) == (name, [])


def test_an_event_of_the_teams_own_has_a_sample_too() -> None:
    event = samples.sample("WebinarAttended", stage="revenue", event_id="w-1")
    assert (event["event"], event["eventId"], event["currency"]) == ("WebinarAttended", "w-1", "USD")


@pytest.mark.parametrize("key", platforms.PLATFORMS)
def test_every_platform_takes_the_samples_it_recommends(key: str) -> None:
    platform = platforms.get(key)
    names = [name for name in SHIPPED if name in platform.recommended]
    batch = [samples.sample(name, stage=SHIPPED[name].stage) for name in names]
    native_ids = dict.fromkeys(names, platform.native_id.example) if platform.native_id else {}
    settings = Settings(config=CONFIG[key], native_ids=native_ids)
    document = preview(platform, settings, json.dumps(batch).encode(), datetime.now(UTC))
    assert document["skipped"] == []
    assert sorted({i for request in document["requests"] for i in request["event_ids"]}) == sorted(
        event["eventId"] for event in batch
    )
