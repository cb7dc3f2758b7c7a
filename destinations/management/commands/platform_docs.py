"""`manage.py platform_docs`: the pages of docs/platforms, written from the adapters, so that they cannot say otherwise.

    manage.py platform_docs [--check] [--output DIRECTORY]

One page per platform of the tree, and a README that compares them. With `--check` nothing is written; the exit code is
1 when a page is missing, out of date or left over. The same code gives the same pages: no date and no database is read.

What becomes of identity is not only read from the adapters' declarations but looked for in what they build: an event
that carries everything, once whole and once without the field in question.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from destinations import platforms
from destinations.platforms._names import NAMES
from destinations.platforms.base import ACCESS_TOKEN, Field, Item, Kind, Platform, Request
from events.payload import Payload

NOTE = "<!-- Written by `manage.py platform_docs` from the adapter's code: change that, not this page. -->"
KINDS = {
    Kind.ADS: "Ad platform",
    Kind.ANALYTICS: "Analytics",
    Kind.CRM: "CRM",
    Kind.WAREHOUSE: "Data warehouse",
    Kind.WEBHOOK: "Webhook",
}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

IDENTITY = {
    "email": "e-mail",
    "phone": "phone",
    "first_name": "first name",
    "last_name": "last name",
    "city": "city",
    "state": "state",
    "zip": "postal code",
    "country": "country",
    "external_id": "external id",
    "anonymous_id": "anonymous id",
    "client_ip": "IP address",
    "user_agent": "user agent",
    "company_name": "company name",
    "company_domain": "company domain",
}
"""Attribute of the payload → what people call it."""
PERSON: dict[str, Any] = {
    "email": "ada.byron@example.com",
    "phone": "+14155552671",
    "first_name": "Adamaria",
    "last_name": "Byronova",
    "city": "Sacramento",
    "state": "CA",
    "zip": "94103",
    "country": "US",
    "external_id": "user4711",
    "anonymous_id": "visitor8899",
    "client_ip": "8.8.4.4",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "company_name": "Acmecorporate",
    "company_domain": "acmecorporate.com",
}
HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
SHORT = 5
"""Values with fewer characters are in many texts by chance: they must be the whole of a value to count."""


class Command(BaseCommand):
    help = "Write docs/platforms from the adapters, or check that it is up to date."
    requires_system_checks: list[str] = []  # they may need a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail when a page is out of date")
        parser.add_argument("--output", type=Path, default=Path(settings.BASE_DIR) / "docs" / "platforms")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["output"]
        wanted = pages()
        stale = differing(directory, wanted)
        if options["check"]:
            if stale:
                raise CommandError(
                    f"Out of date in {directory}: {', '.join(stale)}. Run manage.py platform_docs.", returncode=1
                )
            self.stdout.write(f"{len(wanted)} pages are up to date.")
            return
        directory.mkdir(parents=True, exist_ok=True)
        for name in stale:
            if name in wanted:
                (directory / name).write_text(wanted[name], encoding="utf-8", newline="\n")
            else:
                (directory / name).unlink()
        self.stdout.write(f"{len(stale)} of {len(wanted)} pages changed in {directory}.")


def differing(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Names of the pages that are missing, have another text, or belong to no platform any more."""
    present = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.md"))}
    return sorted(name for name in present.keys() | wanted.keys() if present.get(name) != wanted.get(name))


def pages() -> dict[str, str]:
    """File name → text. Only the tree's own platforms: what is installed beside them differs from place to place."""
    every = [platforms.get(key) for key in platforms.PLATFORMS]
    return {f"{platform.key}.md": page(platform) for platform in every} | {"README.md": overview(every)}


# --- A platform ---------------------------------------------------------------------------------------
def page(platform: Platform) -> str:
    parts = [f"# {platform.label}", NOTE, plain_text(inspect.getdoc(inspect.getmodule(type(platform))) or "")]
    if platform.docs_url:
        parts.append(f"Vendor's documentation: <{platform.docs_url}>")
    parts += ["## At a glance", glance(platform), "## Settings", settings_of(platform)]
    if ddl := getattr(platform, "ddl", ""):
        parts += ["## Table", "The columns of a row, as a table that fits them:", f"```sql\n{ddl}\n```"]
    if platform.version is not None and platform.version.sunsets:
        ends = [(code(name), f"{day:%Y-%m-%d}") for name, day in sorted(platform.version.sunsets.items())]
        parts += ["## Versions", f"Announced at <{platform.version.source}>.", table(("Version", "Ends"), ends)]
    parts += ["## Identity", identity_of(platform), "## Events", events_of(platform)]
    return "\n\n".join(parts) + "\n"


def glance(platform: Platform) -> str:
    rows = [
        ("Kind", KINDS[platform.kind]),
        ("Credentials", credentials(platform)),
        ("Events in one request", f"{platform.batch_limit:,}"),
        ("Bytes in one request", size(platform.max_body_bytes) or "no limit of its own"),
        ("Oldest event", age(platform.max_age) or "any age"),
        ("Requests a minute", rate(platform) or "none documented"),
        ("Id per event", native_id(platform)),
        ("API version", version(platform) or "has none"),
        ("Test events", platform.test_mode.how if platform.test_mode else "not offered by the platform"),
        ("Check connection", checks(platform)),
        ("Events with names of your own", "taken" if platform.takes_custom_events else "not taken"),
        ("On by default", f"{len(platform.recommended)} of {len(NAMES)} events"),
    ]
    if platform.test_mode is not None and platform.test_mode.needs:
        label = next(field.label for field in platform.fields if field.name == platform.test_mode.needs)
        rows.insert(9, ("Test events need", label))
    return table(("", ""), rows)


def settings_of(platform: Platform) -> str:
    if not platform.fields:
        return "None."
    rows = [
        (field.label, code(field.name), "yes" if field.required else "", "yes" if field.secret else "", where(field))
        for field in platform.fields
    ]
    return table(("Setting", "Name", "Required", "Secret", "Where it is found"), rows)


def where(field: Field) -> str:
    parts = [field.help]
    if field.choices:
        parts.append("One of " + ", ".join(f"{code(value)} ({label})" for value, label in field.choices))
    if field.default:
        parts.append(f"Default: {code(field.default)}")
    if field.example and not field.secret:
        parts.append(f"Example: {code(field.example)}")
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


def identity_of(platform: Platform) -> str:
    if platform.is_builtin:
        return "Everything stays in this installation's own database, as it was sent."
    sent = identity(platform)
    lines = [
        f"- **{title}:** {', '.join(names) or 'nothing'}."
        for title, names in (
            ("Hashed (SHA-256)", sent["hashed"]),
            ("In plain", sent["plain"]),
            ("Not sent", sent["absent"]),
        )
    ]
    event = probe_event(platform)
    lead = f"Of a {code(event)} that carries everything, with the default settings:" if event else "Nothing is sent:"
    return f"{lead}\n\n" + "\n".join(lines)


def events_of(platform: Platform) -> str:
    rows = [
        (
            code(event),
            code(platform.native_name(event)) if platform.native_name(event) else "none",
            "yes" if event in platform.recommended else "",
        )
        for event in NAMES
    ]
    note = "A route can give any of them another name."
    if platform.native_id is not None:
        must = "needs" if platform.native_id.required else "may have"
        note += f" Each event that is on {must} an id ({platform.native_id.label}): {platform.native_id.help}."
    return f"{note}\n\n" + table(("Event", f"At {platform.label}", "On by default"), rows)


# --- The comparison -----------------------------------------------------------------------------------
def overview(every: Iterable[Platform]) -> str:
    rows = []
    for platform in every:
        sent = identity(platform)
        rows.append((
            f"[{platform.label}]({platform.key}.md)",
            KINDS[platform.kind],
            f"{platform.batch_limit:,}",
            size(platform.max_body_bytes) or "–",
            age(platform.max_age) or "–",
            rate(platform) or "–",
            credentials(platform),
            native_id(platform),
            "yes" if platform.test_mode else "no",
            version(platform) or "–",
            ", ".join(sent["hashed"]) or "–",
            "all, it stays here" if platform.is_builtin else ", ".join(sent["plain"]) or "–",
            f"{len(platform.recommended)}",
        ))  # fmt: skip
    head = (
        "Platform", "Kind", "Events per request", "Bytes per request", "Oldest event", "Requests a minute",
        "Credentials", "Id per event", "Test events", "API version", "Hashed", "In plain", "Events on by default",
    )  # fmt: skip
    lead = (
        "What TrackStack sends to, and how. A dash: the platform documents none, or there is none. How to write another"
        " one is in [ADDING_A_PLATFORM.md](../../ADDING_A_PLATFORM.md)."
    )
    return "\n\n".join(["# Platforms", NOTE, lead, table(head, rows)]) + "\n"


# --- Cells --------------------------------------------------------------------------------------------
def credentials(platform: Platform) -> str:
    labels = [field.label for field in platform.fields if field.secret]
    text = ", ".join(labels) or "none"
    return f"{text} (OAuth: access tokens are fetched by TrackStack)" if platform.oauth is not None else text


def native_id(platform: Platform) -> str:
    if platform.native_id is None:
        return "none"
    return platform.native_id.label + ("" if platform.native_id.required else " (optional)")


def checks(platform: Platform) -> str:
    """Whether it can be asked without an event, and what it lists."""
    asks = type(platform).check is not Platform.check
    lists = type(platform).list_ids is not Platform.list_ids
    if not asks:
        return "not offered by the platform"
    what = "names" if platform.lists_names else "ids"
    needed = [field.label for field in platform.fields if field.name in platform.list_needs]
    picked = f"; {what} can be picked from the account" + (f", with {', '.join(needed)}" if needed else "")
    can = "yes" if platform.check(platform.example_config(), NOW) else "with some of its credentials only"
    return can + picked if lists else can


def version(platform: Platform) -> str:
    if platform.version is None:
        return ""
    ends = platform.sunset({})
    return platform.version.default + (f" (ends {ends:%Y-%m-%d})" if ends else "")


def rate(platform: Platform) -> str:
    if platform.events_per_minute is not None:
        return f"{platform.events_per_minute:,} events"
    return "" if platform.requests_per_minute is None else f"{platform.requests_per_minute:,}"


def size(count: int | None) -> str:
    if count is None:
        return ""
    for unit, name in ((1024**2, "MiB"), (1000**2, "MB"), (1024, "KiB"), (1000, "kB")):
        if count % unit == 0:
            return f"{count // unit:,} {name}"
    return f"{count:,} bytes"


def age(span: timedelta | None) -> str:
    if span is None:
        return ""
    hours, rest = divmod(span, timedelta(hours=1))
    if rest or not hours:
        return f"{int(span.total_seconds()):,} seconds"
    return f"{hours // 24:,} day{'s' * (hours != 24)}" if hours % 24 == 0 else f"{hours:,} hour{'s' * (hours != 1)}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(text: str) -> str:
    return " ".join(plain_text(text).split()).replace("|", "\\|")


def plain_text(text: str) -> str:
    """Prose for Markdown: what looks like a tag is shown instead of taken for one, but in code and in addresses."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


# --- Identity, as it is built -------------------------------------------------------------------------
def identity(platform: Platform) -> dict[str, list[str]]:
    """Names of what leaves hashed, in plain and not at all."""
    found: dict[str, list[str]] = {"hashed": [], "plain": [], "absent": []}
    if platform.is_builtin:
        return found
    event = probe_event(platform)
    whole = _sent(platform, event, PERSON)
    for name, label in IDENTITY.items():
        rest = _sent(platform, event, {key: value for key, value in PERSON.items() if key != name})
        # Without its field an event may lack what it needs, and nothing is sent at all: that shows it too.
        if whole == rest:
            found["absent"].append(label)
        elif _is_in(PERSON[name], whole) or not _hashes(whole) - _hashes(rest):
            found["plain"].append(label)  # perhaps in a form of the platform's own, such as without a plus sign
        else:
            found["hashed"].append(label)
    return found


def probe_event(platform: Platform) -> str:
    """A sign-up where the platform has one: the events with the most identity. Empty: it has no event at all."""
    names = [name for name in ("SignUp", "LeadCaptured", "Purchase", *NAMES) if platform.native_name(name)]
    return next((name for name in names if _requests(platform, name, PERSON)), "")


def _requests(platform: Platform, event: str, person: Mapping[str, Any]) -> list[Request]:
    config = {field.name: field.default or (field.example if field.required else "") for field in platform.fields}
    if platform.oauth is not None:
        config[ACCESS_TOKEN] = "token"
    item = Item(
        key=1,
        event_id="event-1",
        event=event,
        occurred_ms=int((NOW - timedelta(minutes=1)).timestamp() * 1000),
        payload=Payload(
            **person,
            value=49.0,
            currency="USD",
            order_id="order-1",
            transaction_id="order-1",
            page_url="https://app.example.com/pricing",
            consent={"marketing": True, "analytics": True},
        ),
        native_name=platform.native_name(event),
        native_id=platform.native_id.example if platform.native_id else "",
    )
    built = platform.build([item], config, NOW)
    return [part for whole in built.requests for part in (*whole.before, whole)]


def _sent(platform: Platform, event: str, person: Mapping[str, Any]) -> list[str]:
    """Every text of the requests' addresses and bodies. Headers change with signatures: no identity is in them."""
    texts: list[str] = []
    for request in _requests(platform, event, person) if event else []:
        texts += [value for _, value in parse_qsl(urlsplit(request.url).query)]
        if platform.is_json:
            for line in request.body.splitlines():
                texts += _leaves(_decoded(line))
        else:
            texts.append(request.body.decode("latin-1"))
    return texts


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError):
        return [value for _, value in parse_qsl(line.decode("utf-8", "replace"))]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry)
            yield json.dumps(key)
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield str(value)


def _hashes(texts: Iterable[str]) -> set[str]:
    return {found for text in texts for found in HASH.findall(text)}


def _is_in(value: str, texts: Iterable[str]) -> bool:
    variants = {value.lower(), value.lower().lstrip("+")}
    lowered = [text.lower() for text in texts]
    return any(
        variant == text or (len(variant) >= SHORT and variant in text) for variant in variants for text in lowered
    )
