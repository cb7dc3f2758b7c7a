"""Customer.io: each event, and before it in the same batch the person it is about.

Source: docs.customer.io, Track API v2 ("Send multiple requests") by default, or Pipelines API ("Batch requests"), with
their OpenAPI files (journeys-track.json, cdp.json; 2026-08). Track is the default for it answers for every entry.

`platformParams.customerio` is laid over the event's entry; its key `person` over the attributes of the person.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _reading, base
from destinations.platforms._customerio_answers import outcomes_of
from destinations.platforms._customerio_values import (
    MAX_ID,
    attributes_of,
    context_of,
    email_of,
    identifiers_of,
    iso,
    person_of,
    ulid,
    with_texts_of,
    without_reserved,
)
from destinations.platforms._names import NAMES, words
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Skip

MAX_NAME = 100  # bytes: docs.customer.io, "Limits"
MAX_ENTRY = 32_000  # "Each of the requests within the batch must also be 32kb or smaller"
CUTS = (12_000, 4_000, 1_000, 250)
"""Longest text, tried in turn, in an event that is too large: most of it is better than none of it."""
IDENTIFIERS = frozenset({"id", "email", "phone", "cio_id", "anonymous_id"})

# Names that make the Pipelines API do something else than keep an event: "Customer.io Semantic Events".
SEMANTIC = frozenset(map(str.lower, (
    "User Deleted", "User Suppressed", "User Unsuppressed", "Device Created or Updated", "Device Deleted",
    "Group Deleted", "Object Deleted", "Relationship Deleted", "Report Delivery Event", "Report Content Event",
)))  # fmt: skip


class _Settings(NamedTuple):
    """A configuration, read once per build."""

    is_pipelines: bool
    identifies: bool
    subscription: str
    object_type: str
    now_ms: int


class CustomerIo(base.Platform):
    key = "customerio"
    label = "Customer.io"
    kind = base.Kind.CRM
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = 250  # ours: only the size is limited, and that many with their persons just fit
    max_body_bytes = 499_999  # "Your batch request must be smaller than 500kb"
    requests_per_minute = 6_000  # of several figures in the documentation the lowest
    docs_url = "https://docs.customer.io/integrations/api/track/"
    plain_identity = frozenset(
        words("email phone first_name last_name city state zip country external_id anonymous_id company_domain")
    )
    fields = (
        Field(name="site_id", label=_("Site ID"), way=_("Track API"), secret=True, pattern=r"[A-Za-z0-9]{8,64}",
              example="a1b2c3d4e5f60718293a",
              help=_("Settings → API credentials → Track API keys; for the Track API")),
        Field(name="api_key", label=_("Track API key"), way=_("Track API"), secret=True, pattern=r"[A-Za-z0-9]{8,64}",
              example="0f1e2d3c4b5a69788796", help=_("Beside the Site ID")),
        Field(name="region", label=_("Region"), required=True, default="us", example="us",
              choices=(("us", _("United States")), ("eu", _("European Union"))),
              help=_("Settings → Privacy: where the account is kept")),
        Field(name="cdp_key", label=_("Pipelines API key"), way=_("Pipelines API"),
              secret=True, pattern=r"[\x21-\x39\x3b-\x7e]{8,128}",
              help=_("Integrations → Customer.io API; for the Pipelines API")),
        Field(name="api", label=_("API"), is_advanced=False, default="track",
              choices=(("track", _("Track v2: answers for every event")),
                       ("pipelines", _("Pipelines: feeds other tools"))),
              help=_("Track, unless the events are to go on from Customer.io")),
        Field(name="identify", label=_("Persons"), default="on",
              choices=(("on", _("Create or update the person before the event")), ("off", _("Send the events only"))),
              help=_("Off: names, phone numbers and places stay here")),
        Field(name="subscription", label=_("Subscription"), default="off",
              choices=(("off", _("Leave it to Customer.io")), ("marketing", _("Follow the marketing consent"))),
              help=_("Whether the consent of an event sets the person's unsubscribed attribute")),
        Field(name="object_type_id", label=_("Object type of companies"), is_advanced=True, pattern=r"\d{1,6}",
              help=_("Relates persons to the object with their companyId: Data index → Objects, such as 1; "
                     "empty: not")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        if not found:
            is_pipelines = config.get("api") == "pipelines"
            needed, api = (("cdp_key",), "Pipelines") if is_pipelines else (("site_id", "api_key"), "Track")
            said = gettext("The %(api)s API needs it.") % {"api": api}
            found = {name: said for name in needed if not config.get(name)}
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _Settings(
            is_pipelines=config.get("api") == "pipelines",
            identifies=config.get("identify") != "off",
            subscription=config.get("subscription", ""),
            object_type=config.get("object_type_id", ""),
            now_ms=int(now.timestamp() * 1000),
        )
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            entries = self._entries(item, settings)
            if isinstance(entries, Skip):
                skipped.append(entries)
            else:
                parts.append((item, entries))
        host = "-eu" if config.get("region") == "eu" else ""
        headers = {"Content-Type": "application/json"}
        if settings.is_pipelines:
            url = f"https://cdp{host}.customer.io/v1/batch"
            headers["Authorization"] = _basic(config.get("cdp_key", ""), "")
            headers["X-Strict-Mode"] = "1"  # without it what is wrong is answered with 200 and dropped
        else:
            url = f"https://track{host}.customer.io/api/v2/batch"
            headers["Authorization"] = _basic(config.get("site_id", ""), config.get("api_key", ""))
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, b'{"batch":[', b"]}"))

    def _entries(self, item: Item, settings: _Settings) -> bytes | Skip:
        """The person and the event, encoded, a comma between them."""
        payload, email = item.payload, email_of(item.payload)
        who = identifiers_of(payload, email)
        person = person_of(payload, email, settings.subscription) if settings.identifies else {}
        event = (_track if settings.is_pipelines else _event)(item, who, min(item.occurred_ms, settings.now_ms))
        data = "properties" if settings.is_pipelines else "attributes"
        if payload.platform_params:
            override = payload.platform_params.get(self.key, {})
            event = base.with_overrides(event, item, self.key)
            more = event.pop("person", None)
            if isinstance(more, Mapping) and settings.identifies:
                person = person | dict(more)
            if "identifiers" in override:  # to merge them would make two of one
                event["identifiers"] = override["identifiers"]
            if not isinstance(event[data], dict):
                return Skip(item=item, reason="invalid", detail=f"platformParams.customerio replaces the {data}.")
            event[data] = without_reserved(event[data])
        fault = _fault_of(item, event, settings.is_pipelines)
        if fault is not None:
            return fault
        encoded = _encoded(event, data)
        if encoded is None:
            return Skip(item=item, reason="invalid", detail="Customer.io takes events of at most 32 kB.")
        if not settings.identifies:
            return encoded
        identify = _person_entry(item, event, person, settings)
        return encoded if identify is None else identify + b"," + encoded

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """Track names the refused entries; Pipelines, in strict mode, refuses the request."""
        return outcomes_of(request, response)

    # The Pipelines API documents nothing that only reads.
    def check(self, config: Config, now: datetime) -> Request | None:
        """Where the account is kept, asked with the Track API's keys. Source: "Find your account region"."""
        if config.get("api") == "pipelines":
            return None
        host = "-eu" if config.get("region") == "eu" else ""
        headers = {"Authorization": _basic(config.get("site_id", ""), config.get("api_key", ""))}
        url = f"https://track{host}.customer.io/api/v1/accounts/region"
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        region, expected = _reading.fields_of(response).get("region"), config.get("region") or "us"
        if not _reading.is_good(response) or not isinstance(region, str):
            return _reading.refused(self, response)
        if region != expected:
            return _reading.bad(f"The account is kept in the region {_reading.text(region, 20)}: choose it.")
        return _reading.good("Customer.io takes the keys, and the region is right.")


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _event(item: Item, who: dict[str, str], ms: int) -> dict[str, Any]:
    return {
        "type": "person",
        "action": "event",
        "identifiers": who,
        "name": item.native_name or item.event,
        "id": ulid(item.event_id, item.occurred_ms),
        "timestamp": ms // 1000,
        "attributes": attributes_of(item.payload),
    }


def _track(item: Item, who: dict[str, str], ms: int) -> dict[str, Any]:
    """Customer.io takes an e-mail address as the user's id where there is no other."""
    payload = item.payload
    track: dict[str, Any] = {"type": "track"}
    if user := payload.external_id or who.get("email"):
        track["userId"] = user
    if payload.anonymous_id:
        track["anonymousId"] = payload.anonymous_id
    track |= {"event": item.native_name or item.event, "properties": attributes_of(payload)}
    # Per entry, as in Customer.io's own server libraries: one for the whole batch would mix the visitors up.
    if context := context_of(payload):
        track["context"] = context
    return track | {"timestamp": iso(ms), "messageId": item.event_id}


def _fault_of(item: Item, event: dict[str, Any], is_pipelines: bool) -> Skip | None:
    """Why Customer.io would refuse the event, or do something else with it."""
    if is_pipelines:
        name, values = event.get("event"), [event.get("userId"), event.get("anonymousId")]
    else:
        name, who = event.get("name"), event.get("identifiers")
        if not isinstance(who, dict) or len(who) > 1 or not IDENTIFIERS.issuperset(who):
            detail = "Customer.io takes exactly one identifier; platformParams.customerio gives another number."
            return Skip(item=item, reason="invalid", detail=detail)
        values = list(who.values())
    if not any(values):
        needed = "Customer.io needs an external id, an e-mail address that is not hashed or an anonymous id"
        return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
    if any(value and (not isinstance(value, str) or len(value.encode()) > MAX_ID) for value in values):
        return Skip(item=item, reason="invalid", detail=f"Customer.io takes ids of at most {MAX_ID} bytes.")
    if not isinstance(name, str) or not name.strip() or len(name.encode()) > MAX_NAME:
        return Skip(item=item, reason="invalid", detail=f"Customer.io takes event names of 1 to {MAX_NAME} bytes.")
    if is_pipelines and name.strip().lower() in SEMANTIC:
        return Skip(item=item, reason="invalid", detail=f"{name} is a command to Customer.io, no event.")
    return None


def _encoded(event: dict[str, Any], data: str) -> bytes | None:
    encoded = msgspec.json.encode(event)
    if len(encoded) <= MAX_ENTRY:
        return encoded
    for longest in CUTS:
        encoded = msgspec.json.encode(event | {data: with_texts_of(event[data], longest)})
        if len(encoded) <= MAX_ENTRY:
            return encoded
    return None


def _person_entry(item: Item, event: dict[str, Any], person: dict[str, Any], settings: _Settings) -> bytes | None:
    """The person, by the identifiers of the event; None for a visitor: there is no person yet, or for too much."""
    if settings.is_pipelines:
        if not event.get("userId"):
            return None
        entry = {"type": "identify"} | {name: event[name] for name in ("userId", "anonymousId") if name in event}
        traits = {name: value for name, value in person.items() if name != "anonymous_id"}  # it has its own field
        entry |= {"traits": traits, "timestamp": event["timestamp"], "messageId": f"identify-{event['messageId']}"}
    else:
        who = event["identifiers"]
        if "anonymous_id" in who:
            return None
        entry = {"type": "person", "action": "identify", "identifiers": who, "timestamp": event["timestamp"]}
        entry["attributes"] = person
        if settings.object_type and item.payload.company_id:
            company = {"object_type_id": settings.object_type, "object_id": item.payload.company_id}
            entry["cio_relationships"] = [{"identifiers": company}]
    encoded = msgspec.json.encode(entry)
    return encoded if len(encoded) <= MAX_ENTRY else None
