"""The demo that `make run` loads once: two sources, a sandbox destination of each platform, three people to log in as,
and journeys of made-up customers. Nothing in it reaches anything but this machine."""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction

from destinations import platforms
from destinations.models import Destination, EventMode
from destinations.platforms.base import Kind, Platform
from events import keys
from events.models import ApiKey, Source
from routing import snapshot
from routing.models import Route

SOURCES = {"Web app": ["http://localhost:3000"], "Backend": []}
CURL_SOURCE = "Backend"
USERS = (("demo", None), ("marketer", "Marketer"), ("engineer", "Engineer"), ("viewer", "Viewer"))


def _path() -> Path:
    path: Path = settings.TRACKSTACK_HOME / "demo.json"
    return path


def load() -> dict[str, Any]:
    """Make the demo if it is not there; returns {"key": {source: key}, "password": …}. Idempotent.

    A key is shown once, but a demo must print its curl line at every start: the demo's own keys are kept in the home
    folder, readable by its owner only.
    """
    if _path().exists():
        kept: dict[str, Any] = json.loads(_path().read_text())
        return kept
    password = secrets.token_urlsafe(9)
    made: dict[str, Any] = {"password": password, "keys": {}}
    with transaction.atomic():
        for name, group in USERS:
            user = User.objects.filter(username=name).first() or User(username=name)
            user.is_staff, user.is_superuser = True, group is None
            user.set_password(password)
            user.save()
            if group:
                user.groups.set([Group.objects.get(name=group)])
        for name, origins in SOURCES.items():
            source, _ = Source.objects.get_or_create(name=name, defaults={"allowed_origins": origins})
            key = keys.make_key()
            ApiKey.objects.create(
                source=source,
                label="Demo",
                prefix=key.prefix,
                digest=keys.digest(key.text, settings.API_KEY_PEPPERS[0]),
            )
            made["keys"][name] = key.text
        for platform in platforms.every():
            if not platform.is_builtin and not Destination.objects.filter(platform_key=platform.key).exists():
                _add_destination(platform)
        snapshot.bump()
    descriptor = os.open(_path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(made, file)
    return made


def _add_destination(platform: Platform) -> None:
    values = platform.example_config()
    destination = Destination.objects.create(
        name=platform.label,
        platform_key=platform.key,
        is_sandbox=True,
        event_mode=EventMode.RECOMMENDED if platform.kind in (Kind.ADS, Kind.ANALYTICS) else EventMode.EVERYTHING,
        settings={name: value for name, value in values.items() if name not in platform.secret_names},
        secrets={name: value for name, value in values.items() if name in platform.secret_names},
    )
    if platform.native_id is not None and platform.native_id.required and platform.native_id.example:
        # One id fewer than events, so that the matrix shows what a missing one looks like.
        names = sorted(platform.recommended)[:-1]
        Route.objects.bulk_create(
            Route(destination=destination, event_name=name, native_id=platform.native_id.example) for name in names
        )


# --- Made-up customers ------------------------------------------------------------------------------

FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Inés", "Jamal", "Karin", "Linus")
LAST = ("Lovelace", "Ångström", "Dubois", "Mendeleev", "Rossi", "Haddad", "Hopper", "Sato", "Muñoz", "Okafor")
COMPANIES = ("Northwind", "Acme Analytics", "Globex", "Initech", "Umbrella Data", "Hooli", "Vandelay")
PLACES = (("San Francisco", "CA", "94103", "US", "+1415555"), ("Berlin", "BE", "10115", "DE", "+4930901"),
          ("Paris", "IDF", "75002", "FR", "+3314276"), ("London", "ENG", "SW1A 1AA", "GB", "+4420794"))  # fmt: skip
CLICKS = ("fbclid", "fbclid", "gclid", "gclid", "li_fat_id", "ttclid", "rdt_cid", "twclid")
JOURNEY = (
    ("Web app", ("PageView", "ContentView", "HighIntentPageView", "PricingInteraction", "LeadCaptured", "DemoBooked")),
    ("Backend", ("SignUp", "EmailVerified", "WorkspaceCreated", "StartTrial", "ApiKeyCreated", "FirstAction")),
    ("Backend", ("SalesQualifiedLead", "OpportunityCreated", "Purchase", "SubscriptionStarted", "BulkJobStarted")),
)
RARE = ("PlanUpgrade", "Refund", "Churned", "CreditsLow", "WorkspaceDeleted")


def customers(dice: random.Random) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Endless (source, events) requests: one customer after the other, each going some way down the funnel."""
    while True:
        person = _person(dice)
        for source, names in JOURNEY:
            chosen = [name for name in names if dice.random() < 0.75] or [names[0]]
            yield source, [_event(dice, name, person) for name in chosen]
            if dice.random() < 0.35:
                break
        else:
            if dice.random() < 0.4:
                yield "Backend", [_event(dice, dice.choice(RARE), person)]


def _person(dice: random.Random) -> dict[str, Any]:
    first, last, company = dice.choice(FIRST), dice.choice(LAST), dice.choice(COMPANIES)
    city, state, code, country, phone = dice.choice(PLACES)
    number = dice.randrange(10_000)
    person: dict[str, Any] = {
        "email": f"{first}.{last}{number}@example.com".lower(),
        "externalId": f"user-{number}",
        "firstName": first,
        "lastName": last,
        "city": city,
        "state": state,
        "zip": code,
        "country": country,
        "companyName": company,
        "clientIp": f"203.0.113.{dice.randrange(1, 255)}",
        "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
    }
    if dice.random() < 0.9:
        person["anonymousId"] = f"{dice.randrange(10**9, 10**10)}.{dice.randrange(10**9, 10**10)}"
    if dice.random() < 0.6:
        person["phone"] = f"{phone}{dice.randrange(1000, 9999)}"
    if dice.random() < 0.5:
        person["clickIds"] = {dice.choice(CLICKS): f"IwAR{secrets.token_hex(8)}"}
    if dice.random() < 0.08:
        person["consent"] = {"marketing": False}
    return person


def _event(dice: random.Random, name: str, person: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": name,
        "eventId": f"demo-{name.lower()}-{secrets.token_hex(6)}",
        "ts": int(datetime.now(UTC).timestamp() * 1000),
        "userData": person,
        "pageUrl": f"https://app.example.com/{name.lower()}",
    }
    if name in ("Purchase", "SubscriptionStarted", "PlanUpgrade", "Refund"):
        event |= {"value": dice.choice((49, 99, 249, 990)), "currency": "USD", "orderId": secrets.token_hex(4)}
        event |= {"transactionId": f"txn-{secrets.token_hex(4)}", "plan": dice.choice(("team", "growth", "scale"))}
    # Now and then something is wrong, as in life, so that the screens for it are not empty.
    if dice.random() < 0.01:
        event["event"] = name[0].lower() + name[1:]
    elif dice.random() < 0.01:
        event["platformParams"] = {
            platform.key: {"action_source": "carrier pigeon"}
            for platform in platforms.every()
            if platform.kind == Kind.ADS
        }
    return event
