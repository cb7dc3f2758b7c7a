"""The demo's made-up customers keep the contract, but for the odd one that is there to show what happens then."""

from __future__ import annotations

import itertools
import json
import random
import time
from pathlib import Path

from events import contract, taxonomy
from trackstack_site import demo
from trackstack_site.embedded import Engines


def test_customers_keep_the_contract_nearly_always() -> None:
    names = {row.name for row in taxonomy.shipped()}
    requests = list(itertools.islice(demo.customers(random.Random(7)), 400))
    parsed = [
        contract.parse_body(json.dumps(events).encode(), now_ms=int(time.time() * 1000), names=names)
        for _, events in requests
    ]
    accepted, rejected = sum(len(p.accepted) for p in parsed), sum(len(p.rejected) for p in parsed)
    assert accepted > 1000
    assert 0 < rejected < accepted / 40
    assert {source for source, _ in requests} == set(demo.SOURCES)


def test_commands_beside_a_running_product_find_its_sandbox(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    assert engines.read_sandbox_url() == "", "none runs"
    engines.run.mkdir()
    engines.sandbox_note.write_text("http://127.0.0.1:4242")
    assert engines.read_sandbox_url() == "http://127.0.0.1:4242"
