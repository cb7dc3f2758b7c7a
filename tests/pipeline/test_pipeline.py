"""The promise under fire: every accepted event is delivered or accounted for, whatever dies. Real processes, real
engines, real signals."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.factories import event
from tests.stack import Stack

pytestmark = pytest.mark.pipeline


def many(prefix: str, count: int, name: str = "SignUp", **fields: Any) -> list[dict[str, Any]]:
    return [event(name, f"{prefix}-{n}", **fields) for n in range(count)]


def received_ids(stack: Stack, platform: str, prefix: str) -> Counter[str]:
    """How often the sandbox took each event id in a request that it answered with success."""
    found: Counter[str] = Counter()
    for request in stack.sandbox("GET", f"/_received?platform={platform}"):
        if 200 <= int(request["status"]) < 300:
            body = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"])
            data = json.loads(body)
            for item in data.get("data", []) if isinstance(data.get("data"), list) else data.get("elements", []):
                event_id = item.get("event_id") or item.get("eventId") or ""
                if event_id.startswith(prefix):
                    found[event_id] += 1
    return found


def switch(stack: Stack, tmp_path: Path, event_name: str, destination: str, is_on: bool) -> None:
    rows = list(csv.DictReader(io.StringIO(stack.manage("export_mappings", "--destination", destination))))
    for row in rows:
        if row["event"] == event_name:
            row["enabled"] = "true" if is_on else "false"
    path = tmp_path / "mappings.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    stack.manage("import_mappings", str(path))


def test_a_switch_decides_where_a_real_event_goes(stack: Stack, tmp_path: Path) -> None:
    status, answer = stack.send([event("SignUp", "story-1")])
    assert (status, answer["platform_summary"]["meta"]["planned"]) == (202, 1)
    stack.until(lambda: stack.states("story-1").get("Meta") == Counter(delivered=1), "Meta's sandbox took it")
    stack.until(lambda: stack.states("story-1").get("LinkedIn") == Counter(delivered=1), "so did LinkedIn's")
    assert received_ids(stack, "meta", "story-1") == {"story-1": 1}

    switch(stack, tmp_path, "SignUp", "Meta", False)
    stack.send([event("SignUp", "story-2")])  # at once: the running worker must know
    stack.until(lambda: stack.states("story-2").get("LinkedIn") == Counter(delivered=1), "LinkedIn still gets it")
    trace = json.loads(stack.manage("trace", "story-2", "--json"))
    by_name = {d["destination"]: d for d in trace["destinations"]}
    assert (by_name["Meta"]["state"], by_name["Meta"]["reason"]) == ("skipped", "not_selected")
    assert by_name["LinkedIn"]["state"] == "delivered"
    assert by_name["LinkedIn"]["attempts"][0]["status"] == 200
    assert received_ids(stack, "meta", "story-2") == {}
    switch(stack, tmp_path, "SignUp", "Meta", True)
    stack.until(stack.is_settled, "nothing is left to do")
    stack.check_books()


def test_a_worker_killed_in_mid_send_loses_nothing(stack: Stack) -> None:
    stack.sandbox("POST", "/_latency", {"platform": "meta", "ms": 1500})
    assert stack.send(many("killed", 100))[0] == 202
    stack.until(lambda: stack.states("killed").get("Meta", Counter())["waiting"] == 100, "they are routed")
    time.sleep(0.7)  # the request is under way now
    stack.kill("worker")
    assert stack.states("killed")["Meta"]["delivered"] == 0
    stack.sandbox("POST", "/_latency", {"platform": "meta", "ms": 0})
    stack.run("worker")
    stack.until(lambda: stack.states("killed")["Meta"] == Counter(delivered=100), "the lease ended and all went out")
    stack.until(stack.is_settled, "nothing is left to do")
    ids = received_ids(stack, "meta", "killed")
    assert len(ids) == 100
    assert max(ids.values()) <= 2, "sent again: only what was in flight, once, under the same dedup id"
    stack.check_books()


def test_a_dead_broker_delays_and_loses_nothing(stack: Stack) -> None:
    stack.engines.stop_valkey()
    try:
        started = time.monotonic()
        for n in range(10):
            assert stack.send(many(f"nobroker-{n}", 10))[0] == 202
        assert time.monotonic() - started < 5, "ingest does not wait for the broker"
    finally:
        stack.engines.acquire_valkey()
    stack.until(
        lambda: stack.states("nobroker").get("Meta") == Counter(delivered=100), "the sweep found them", seconds=60
    )
    stack.until(stack.is_settled, "nothing is left to do")
    stack.check_books()


def test_a_database_away_for_ten_seconds_loses_nothing_that_was_accepted(stack: Stack) -> None:
    accepted: list[str] = []
    refused: Counter[int] = Counter()
    stop = threading.Event()

    def keep_sending() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            status, _ = stack.send(many(f"nodb-{n}", 5))
            if status == 202:
                accepted.extend(f"nodb-{n}-{i}" for i in range(5))
            else:
                refused[status] += 1
            time.sleep(0.05)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    time.sleep(1)
    stack.engines.stop_postgres()
    time.sleep(10)
    stack.engines.acquire_postgres()
    time.sleep(3)
    stop.set()
    sender.join()
    assert set(refused) == {503}, "while it was away, senders were told so"
    stack.until(stack.is_settled, "nothing is left to do", seconds=90)
    stored = {row[0] for row in stack.sql("SELECT event_id FROM events_event WHERE event_id LIKE 'nodb-%%'")}
    assert set(accepted) <= stored, "a 202 is on disk"
    assert stack.states("nodb")["Meta"]["delivered"] == len(stored)
    stack.check_books()


def test_one_bad_event_does_not_kill_its_batch(stack: Stack) -> None:
    events = many("split", 40)
    events[17]["platformParams"] = {"meta": {"action_source": "carrier pigeon"}}
    assert stack.send(events)[0] == 202
    stack.until(
        lambda: stack.states("split").get("Meta") == Counter({"delivered": 39, "dead:refused": 1}),
        "the bad one is alone and dead, the others are delivered",
    )
    trace = json.loads(stack.manage("trace", "split-17", "--json"))
    meta = next(d for d in trace["destinations"] if d["destination"] == "Meta")
    assert (meta["state"], meta["reason"]) == ("dead", "refused")
    assert len(meta["attempts"]) > 1
    stack.until(stack.is_settled, "nothing is left to do")
    stack.check_books()


@pytest.mark.parametrize("kind", ["429", "500", "html", "empty", "truncated"])
def test_a_platform_in_trouble_is_tried_again(stack: Stack, kind: str) -> None:
    stack.sandbox("POST", "/_failures", {"platform": "meta", "kind": kind, "times": 1, "retry_after": 2})
    assert stack.send(many(f"trouble{kind}", 5))[0] == 202
    took = stack.until(
        lambda: stack.states(f"trouble{kind}").get("Meta") == Counter(delivered=5), "delivered after a retry"
    )
    assert kind != "429" or took >= 2, "Retry-After is honoured"
    tries = stack.sql(
        "SELECT max(tries) FROM destinations_delivery d JOIN events_event e ON e.id = d.event_id"
        " JOIN destinations_destination t ON t.id = d.destination_id WHERE t.name = 'Meta' AND e.event_id LIKE %s",
        f"trouble{kind}%",
    )
    assert tries[0][0] >= 2


def test_refused_credentials_hold_the_destination_and_resuming_drains_it(stack: Stack) -> None:
    stack.sandbox("POST", "/_failures", {"platform": "meta", "kind": "401", "times": 1})
    assert stack.send(many("held", 5))[0] == 202
    stack.until(
        lambda: stack.sql("SELECT hold FROM destinations_destination WHERE name = 'Meta'") == [("credentials",)],
        "Meta is held",
    )
    assert stack.send(many("heldtoo", 5))[0] == 202
    stack.until(lambda: stack.states("heldtoo").get("LinkedIn") == Counter(delivered=5), "the others go on")
    assert stack.states("held")["Meta"] == Counter(waiting=10)
    stack.manage(
        "shell",
        "-v0",
        "-c",
        "from destinations.models import *; from routing import toggles;"
        "toggles.set_hold(Destination.objects.get(name='Meta'), Hold.NONE, actor='test')",
    )
    stack.until(lambda: stack.states("held")["Meta"] == Counter(delivered=10), "its rows drained")
    stack.check_books()


def test_a_switch_off_stops_what_has_not_been_sent(stack: Stack, tmp_path: Path) -> None:
    stack.sandbox("POST", "/_failures", {"platform": "meta", "kind": "500"})
    assert stack.send(many("stopped", 5))[0] == 202
    stack.until(lambda: stack.states("stopped").get("Meta") == Counter(waiting=5), "they wait for a retry")
    switch(stack, tmp_path, "SignUp", "Meta", False)
    stack.sandbox("DELETE", "/_failures")
    stack.until(lambda: stack.states("stopped")["Meta"] == Counter({"skipped:not_selected": 5}), "none of them is sent")
    assert received_ids(stack, "meta", "stopped") == {}
    switch(stack, tmp_path, "SignUp", "Meta", True)
    stack.check_books()


def test_a_backfill_goes_on_where_it_was_killed_and_live_events_go_first(stack: Stack, tmp_path: Path) -> None:
    switch(stack, tmp_path, "SignUp", "Meta", False)
    for n in range(3):
        assert stack.send(many(f"backfill-{n}", 100))[0] == 202
    stack.until(stack.is_settled, "nothing of it goes to Meta")
    switch(stack, tmp_path, "SignUp", "Meta", True)
    asked = ("replay", "--destination", "Meta", "--missed", "--event", "SignUp", "--reason", "", "--rate", "25")
    stack.manage(*asked, "--from", str(stack.sql("SELECT min(received_at) FROM events_event"
                 " WHERE event_id LIKE 'backfill-%%'")[0][0].isoformat()))  # fmt: skip
    state = "SELECT state, moved FROM destinations_replay ORDER BY id DESC LIMIT 1"
    stack.until(lambda: stack.sql(state)[0][1] > 50, "it has begun")
    for name in ("worker", "beat"):
        stack.kill(name)
    moved = stack.sql(state)[0][1]
    assert moved < 300, "killed in the midst of it"
    for name in ("worker", "beat"):
        stack.run(name)
    assert stack.send([event("SignUp", "live-1")])[0] == 202
    stack.until(lambda: stack.states("live-1").get("Meta") == Counter(delivered=1), "live events do not wait for it")
    assert stack.sql(state)[0][0] == "running"
    stack.until(lambda: stack.sql(state)[0] == ("done", 300), "it goes on by itself to its end", seconds=60)
    stack.until(stack.is_settled, "nothing is left to do")
    ids = received_ids(stack, "meta", "backfill")
    assert len(ids) == 300
    assert sum(ids.values()) - 300 <= 80, "again only what was in flight when the worker died"
    stack.check_books()


def test_a_dead_platform_slows_nobody_else(stack: Stack) -> None:
    asked = (
        "SELECT count(*) FROM destinations_attempt a JOIN destinations_destination d ON d.id = a.destination_id"
        " WHERE d.name = 'Meta'"
    )
    before = stack.sql(asked)[0][0]
    stack.sandbox("POST", "/_failures", {"platform": "meta", "kind": "timeout", "seconds": 6})
    for n in range(6):
        assert stack.send(many(f"lane-{n}", 20))[0] == 202
    stack.until(lambda: stack.states("lane").get("LinkedIn") == Counter(delivered=120), "LinkedIn is done")
    # Lanes of one destination: a second round would come after two times-out.
    assert stack.sql(asked)[0][0] - before <= 4, "Meta was not even asked twice"
    assert stack.states("lane")["Meta"]["delivered"] == 0
    stack.sandbox("DELETE", "/_failures")
    stack.until(stack.is_settled, "Meta catches up", seconds=60)
    stack.check_books()
