"""The pages of docs/platforms, written from the adapters, so that they cannot say otherwise.

The same code gives the same pages: no date and no database is read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from datetime import timedelta

from destinations import platforms
from destinations.platforms._names import NAMES
from destinations.platforms.base import Field, Kind, Platform
from destinations.sent_identity import NOW, identity, probe_event
from trackstack_site.wording import in_english

NOTE = "<!-- Written by `manage.py platform_docs` from the adapter's code: change that, not this page. -->"
KINDS = {
    Kind.ADS: "Ad platform",
    Kind.ANALYTICS: "Analytics",
    Kind.CRM: "CRM",
    Kind.WAREHOUSE: "Data warehouse",
    Kind.WEBHOOK: "Webhook",
}


def pages() -> dict[str, str]:
    """File name → text. Only the tree's own platforms: what is installed beside them differs from place to place."""
    every = [platforms.get(key) for key in platforms.PLATFORMS]
    with in_english():
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
        ("Test events", str(platform.test_mode.how) if platform.test_mode else "not offered by the platform"),
        ("Check connection", checks(platform)),
        ("Events with names of your own", "taken" if platform.takes_custom_events else "not taken"),
        ("On by default", f"{len(platform.recommended)} of {len(NAMES)} events"),
    ]
    if platform.test_mode is not None and platform.test_mode.needs:
        label = next(str(field.label) for field in platform.fields if field.name == platform.test_mode.needs)
        rows.insert(9, ("Test events need", label))
    return table(("", ""), rows)


def settings_of(platform: Platform) -> str:
    if not platform.fields:
        return "None."
    rows = [
        (
            str(field.label),
            code(field.name),
            "yes" if field.required else "",
            "yes" if field.secret else "",
            where(field),
        )
        for field in platform.fields
    ]
    return table(("Setting", "Name", "Required", "Secret", "Where it is found"), rows)


def where(field: Field) -> str:
    parts = [str(field.help)]
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
    labels = [str(field.label) for field in platform.fields if field.secret]
    text = ", ".join(labels) or "none"
    return f"{text} (OAuth: access tokens are fetched by TrackStack)" if platform.oauth is not None else text


def native_id(platform: Platform) -> str:
    if platform.native_id is None:
        return "none"
    return str(platform.native_id.label) + ("" if platform.native_id.required else " (optional)")


def checks(platform: Platform) -> str:
    """Whether it can be asked without an event, and what it lists."""
    asks = type(platform).check is not Platform.check
    lists = type(platform).list_ids is not Platform.list_ids
    if not asks:
        return "not offered by the platform"
    what = "names" if platform.lists_names else "ids"
    needed = [str(field.label) for field in platform.fields if field.name in platform.list_needs]
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
