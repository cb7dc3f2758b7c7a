"""Realistic events: about twenty fields, the identity of a different person in each.

Request bodies are encoded once with a token in every value that tells events apart; a sender puts a fresh token in
before each request (one pass of `bytes.replace`), so that no two events of a run are the same and encoding is not what
is measured.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec

TOKEN = b"zq0token0x"
"""Stands in ids, addresses and orders; ten bytes, so that a token of ten hex digits fits."""

NAMES = ("PageView", "ContentView", "LeadCaptured", "DemoBooked", "SignUp", "StartTrial", "FirstAction", "Purchase")
"""In the default list of Meta, so that every event goes to every destination of a measurement."""

FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Inés", "Jamal", "Karin", "Linus")
LAST = ("Lovelace", "Ångström", "Dubois", "Mendeleev", "Rossi", "Haddad", "Hopper", "Sato", "Muñoz", "Okafor")
PLACES = (
    ("San Francisco", "CA", "94103", "US", "+1415", 2_000_000),
    ("Berlin", "BE", "10115", "DE", "+4930", 20_000_000),
    ("Paris", "IDF", "75002", "FR", "+331", 40_000_000),
    ("London", "ENG", "SW1A 1AA", "GB", "+4420", 70_000_000),
)
AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537"


def event(dice: random.Random, number: int, name: str = "", now_ms: int = 0) -> dict[str, Any]:
    """One event as product code sends it, of a person nobody else in the run is."""
    name = name or dice.choice(NAMES)
    first, last = dice.choice(FIRST), dice.choice(LAST)
    city, state, code, country, prefix, lowest = dice.choice(PLACES)
    token = TOKEN.decode()
    found: dict[str, Any] = {
        "event": name,
        "eventId": f"{name.lower()}-{token}-{number}",
        "ts": now_ms or int(time.time() * 1000),
        "email": f"{token}.{number}@example.com",
        "phone": f"{prefix}{lowest + number % 7_000_000}",
        "firstName": f"{first}{_letters(number)}",
        "lastName": f"{last}{_letters(number // 7)}",
        "city": city,
        "state": state,
        "zip": code,
        "country": country,
        "externalId": f"user-{token}-{number}",
        "anonymousId": f"{token}.{number}",
        "clientIp": f"203.0.113.{dice.randrange(1, 255)}",
        "userAgent": AGENT,
        "pageUrl": f"https://app.example.com/{name.lower()}?ref={number}",
        "companyName": "Northwind Analytics",
        "clickIds": {"fbclid": f"IwAR{token}{number}", "li_fat_id": f"{token}-{number}"},
    }
    if name == "Purchase":
        found |= {"value": 249.5, "currency": "USD", "orderId": f"order-{token}-{number}", "plan": "growth"}
        found["transactionId"] = f"txn-{token}-{number}"
    return found


def _letters(number: int) -> str:
    """A suffix that makes names differ without making them look unlike names."""
    return "".join(chr(97 + (number // 26**place) % 26) for place in range(3))


def bodies(count: int, size: int, *, seed: int = 1) -> list[bytes]:
    """`count` request bodies of `size` events each, with tokens."""
    dice = random.Random(seed)
    return [
        msgspec.json.encode({"events": [event(dice, number * size + i) for i in range(size)]})
        for number in range(count)
    ]


def tokens(prefix: int) -> Iterator[bytes]:
    """Endless fresh tokens; `prefix` (0..255) tells senders apart, the clock tells runs apart."""
    start = int(time.time() * 10) & 0xFFFFFF
    number = start << 8
    while True:
        yield b"%02x%08x" % (prefix, number & 0xFFFFFFFF)
        number += 1


def requests(count: int, size: int, *, seed: int = 1, prefix: int = 255) -> Iterator[bytes]:
    """`count` finished bodies, all events distinct."""
    templates = bodies(min(count, 400), size, seed=seed)
    fresh = tokens(prefix)
    for number in range(count):
        yield templates[number % len(templates)].replace(TOKEN, next(fresh))
