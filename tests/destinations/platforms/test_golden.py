"""Each file of tests/golden/<platform>/ says: these items with this configuration become exactly these requests."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from destinations import platforms
from destinations.platforms.base import Built, Item, Platform, Request
from events.payload import Payload

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
FILES = sorted(GOLDEN.glob("*/*.json"))
EXPECTED_EVENTS = {"SignUp", "Purchase", "LeadCaptured", "Refund"}


def items_of(platform: Platform, entries: list[dict[str, Any]]) -> list[Item]:
    return [
        Item(
            key=index,
            event_id=entry["eventId"],
            event=entry["event"],
            occurred_ms=entry["occurredMs"],
            payload=msgspec.convert(entry.get("payload", {}), Payload),
            native_name=entry.get("nativeName") or platform.native_name(entry["event"]),
            native_id=entry.get("nativeId", ""),
        )
        for index, entry in enumerate(entries)
    ]


def shown(request: Request) -> dict[str, Any]:
    try:
        text = request.body.decode()
        body = json.loads(text)
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(request.body).decode()}
    except ValueError:
        body = [json.loads(line) for line in text.splitlines()]
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "body": body,
        "eventIds": [item.event_id for item in request.items],
    }


def outcome_of(built: Built) -> dict[str, Any]:
    """As `manage.py preview` prints it: what must be sent before a request stands before it."""
    requests = [shown(part) for whole in built.requests for part in (*whole.before, whole)]
    skipped = [{"eventId": skip.item.event_id, "reason": skip.reason, "detail": skip.detail} for skip in built.skipped]
    return {"requests": requests, "skipped": skipped}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path, is_updating_golden_files: bool) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    platform = platforms.get(path.parent.name)
    assert platform.problems(case["config"]) == {}
    built = platform.build(items_of(platform, case["items"]), case["config"], datetime.fromisoformat(case["now"]))
    found = outcome_of(built)
    if is_updating_golden_files:
        text = json.dumps(case | found, ensure_ascii=False, indent=2)
        path.write_text(text + "\n", encoding="utf-8")
        return
    assert found == {"requests": case["requests"], "skipped": case["skipped"]}


@pytest.mark.parametrize("platform", platforms.every(), ids=lambda platform: platform.key)
def test_every_platform_has_golden_files_for_the_main_events(platform: Platform) -> None:
    events = {
        entry["event"]
        for path in FILES
        if path.parent.name == platform.key
        for entry in json.loads(path.read_text(encoding="utf-8"))["items"]
    }
    assert events >= EXPECTED_EVENTS
    assert len(events) > len(EXPECTED_EVENTS), "one product event as well"
