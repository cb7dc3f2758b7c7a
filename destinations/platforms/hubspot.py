"""HubSpot: custom events, and the contacts they belong to.

Source: developers.hubspot.com/docs, "Send custom event occurrences", "Define custom events", "Contacts" (upsert),
"Error handling", and the OpenAPI files in github.com/HubSpot/HubSpot-public-api-spec-collection (2026-09).

An event with an e-mail address is preceded by an upsert of its contact, so that it finds one. An event and its
properties must be defined in HubSpot; the setting *Event properties* names those that are.

`platformParams.hubspot` is laid over the event; its key `contact` over the contact's properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _oauth, _reading, base
from destinations.platforms._hubspot_answers import UPSERT, contact_errors, refused
from destinations.platforms._hubspot_values import (
    PROPERTIES,
    Plan,
    address,
    as_texts,
    contact_of,
    plan_of,
    properties_of,
    text_of,
)
from destinations.platforms._names import NAMES, snake, words
from destinations.platforms._oauth import RefreshTokenGrant
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip

HOST = "https://api.hubapi.com"
VERSION = "v3"
TOKEN_URL = f"{HOST}/oauth/v1/token"
MAX_CONTACTS = 100  # "Contacts": batch operations are limited to 100 records at a time
PORTAL = "pe{portal_id}_"
EVENTS: dict[str, str | None] = {name: PORTAL + snake(name) for name in NAMES}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTK = re.compile(r"[0-9a-f]{32}")
_RECORD = re.compile(r"[0-9]{1,20}")
_QUALIFIED = re.compile(r"pe[0-9]+_.+", re.DOTALL)
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_-]")


class _Settings(NamedTuple):
    """A configuration, read once per build."""

    prefix: str
    plan: Plan
    upserts: bool
    takes_crm_ids: bool
    legal_basis: str
    now_ms: int


class HubSpot(base.Platform):
    key = "hubspot"
    label = "HubSpot"
    kind = base.Kind.CRM
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = 500
    # The send endpoints are exempt from the limits, the contacts are not: 100 requests in ten seconds at least.
    # Source: "API usage guidelines and limits".
    requests_per_minute = 600
    docs_url = "https://developers.hubspot.com/docs/api-reference/legacy/events/send-event-data/guide"
    version = base.Version(default=VERSION, source="https://developers.hubspot.com/changelog")
    oauth = RefreshTokenGrant("HubSpot", TOKEN_URL)
    plain_identity = frozenset(
        words("email phone first_name last_name city state zip country crm_id user_agent company_domain")
    )
    fields = (
        Field(name="access_token", label=_("Private app access token"), way=_("A private app"), secret=True,
              required=True, pattern=r"[A-Za-z0-9_-]{20,512}",
              example="pat-na1-00000000-0000-4000-8000-000000000000",
              help=_("Settings → Integrations → Private apps → your app → Auth; its scopes: "
                     "analytics.behavioral_events.send, crm.objects.contacts.read and .write")),
        Field(name="portal_id", label=_("Hub ID"), required=True, pattern=r"\d{4,12}", example="12345678",
              help=_("The number in the account menu, and in the address of HubSpot")),
        Field(name="event_prefix", label=_("Event prefix"), is_advanced=True, pattern=r"pe\d+_",
              help=_("What the internal names of your events begin with; empty: pe, the Hub ID and _")),
        Field(name="client_id", label=_("Client ID"), way=_("An app of your own"), pattern=r"[A-Za-z0-9-]{8,64}",
              help=_("Instead of a private app: developer account → your app → Auth")),
        Field(name="client_secret", label=_("Client secret"), way=_("An app of your own"),
              secret=True, pattern=r"[A-Za-z0-9-]{8,128}",
              help=_("Beside the client ID")),
        Field(name="refresh_token", label=_("Refresh token"), way=_("An app of your own"), secret=True,
              pattern=r"\S{8,1024}",
              help=_("What HubSpot answered when the app was installed")),
        Field(name="event_properties", label=_("Event properties"), multiline=True, default=PROPERTIES,
              pattern=r"\s*([a-z][a-z0-9_]{0,49}([\s,]+|$))*",
              help=_("Internal names of the properties defined on your events, such as order_id or plan; others are "
                     "not sent. The hs_ ones are HubSpot's own; define value and currency, or take them out")),
        Field(name="upsert_contacts", label=_("Contacts"), default="on",
              choices=(("on", _("Create or update the contact before its event")), ("off", _("Send the events only"))),
              help=_("Off: events find existing contacts only")),
        Field(name="crm_ids", label=_("crmId is"), default="hubspot",
              choices=(("hubspot", _("HubSpot's record ID of the contact")), ("other", _("the ID in another CRM"))),
              help=_("A record ID comes before the e-mail address when HubSpot looks for the contact")),
        Field(name="legal_basis", label=_("Legal basis"), is_advanced=True, pattern=r"[^\r\n]{1,200}",
              help=_("Written to contacts with marketing consent (hs_legal_basis), as HubSpot lists it, such as Freely "
                     "given consent from contact")),
        Field(name="api_version", label=_("API version"), pattern=r"v3|20\d\d-(03|09)", default=VERSION,
              help=_("v3, or a dated one such as 2026-09")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        return EVENTS.get(event) or PORTAL + snake(event)

    def fills(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {"portal_id": settings.get("event_prefix", "")[2:-1] or settings.get("portal_id", "")}

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        lasting = gettext("Enter a private app's token, or client ID, secret and refresh token.")
        return _oauth.problems(config, found, lasting)

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _Settings(
            prefix=config.get("event_prefix") or f"pe{config.get('portal_id', '')}_",
            plan=plan_of(config.get("event_properties") or PROPERTIES),
            upserts=config.get("upsert_contacts") != "off",
            takes_crm_ids=config.get("crm_ids") != "other",
            legal_basis=config.get("legal_basis", ""),
            now_ms=int(now.timestamp() * 1000),
        )
        parts: list[tuple[Item, bytes]] = []
        contacts: list[dict[str, Any] | None] = []
        skipped: list[Skip] = []
        for item in items:
            made = self._event(item, settings)
            if isinstance(made, Skip):
                skipped.append(made)
            else:
                parts.append((item, msgspec.json.encode(made[0])))
                contacts.append(made[1])
        version = config.get("api_version")
        headers = {"Authorization": f"Bearer {_token(config)}", "Content-Type": "application/json"}
        crm = f"{HOST}/crm/v3/objects" if version in (None, "", VERSION) else f"{HOST}/crm/objects/{version}"
        requests: list[Request] = []
        at = 0
        for run in base.chunks(parts, self.batch_limit):
            carried = tuple(item for item, _ in run)
            requests.append(
                Request(
                    method="POST",
                    url=f"{HOST}/events/{version or VERSION}/send/batch",
                    headers=headers,
                    body=b'{"inputs":[' + b",".join(part for _, part in run) + b"]}",
                    items=carried,
                    before=tuple(_upserts(carried, contacts[at : at + len(run)], crm + UPSERT, headers)),
                )
            )
            at += len(run)
        return Built(requests=requests, skipped=skipped)

    def _event(self, item: Item, settings: _Settings) -> tuple[dict[str, Any], dict[str, Any] | None] | Skip:
        """The event, and the properties of the contact that is written before it."""
        payload, email = item.payload, address(item)
        event: dict[str, Any] = {
            "eventName": _qualified(item.native_name or self.native_name(item.event), settings.prefix)
        }
        # All that are known: HubSpot tries objectId, then email, then utk.
        if settings.takes_crm_ids and payload.crm_id and _RECORD.fullmatch(payload.crm_id):
            event["objectId"] = payload.crm_id
        if email:
            event["email"] = email
        utk = payload.properties.get("hubspotutk")  # the cookie; the contract has no field of its own for it
        if isinstance(utk, str) and _UTK.fullmatch(utk):
            event["utk"] = utk
        occurred = _EPOCH + timedelta(milliseconds=min(item.occurred_ms, settings.now_ms))
        event["occurredAt"] = occurred.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event["uuid"] = item.event_id
        event["properties"] = properties_of(payload, settings.plan)
        contact = contact_of(payload, email, settings.legal_basis) if email and settings.upserts else None
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            more = event.pop("contact", None)
            if not isinstance(event["properties"], dict) or not isinstance(event["eventName"], str):
                return Skip(item=item, reason="invalid", detail="platformParams.hubspot replaces the properties.")
            event["properties"] = as_texts(event["properties"])
            event |= {name: text_of(event[name]) for name in ("objectId", "utk") if name in event}
            event.pop("email", None)
            if email:
                event["email"] = email
            if contact is not None and isinstance(more, Mapping):
                contact |= {name: text_of(value) for name, value in more.items() if name != "email"}
        if not (event.get("objectId") or email or event.get("utk")):
            needed = "HubSpot needs an e-mail address that is not hashed, a record ID (crmId) or a hubspotutk"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        return event, contact

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """An event batch is taken or refused as a whole; of an upsert, the errors name their inputs."""
        status, count, answer = response.status, len(request.items), response.json()
        is_fine = 200 <= status < 300
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if request.url.endswith(UPSERT) and is_fine:
            if isinstance(errors, list) and errors:
                return contact_errors(request, errors)
            if isinstance(answer, dict) and answer.get("results"):
                return [base.OK] * count
        elif is_fine and not errors and (not response.body or isinstance(answer, dict)):
            return [base.OK] * count
        if is_fine:  # sending again is harmless: the address and the uuid tell HubSpot what it has
            return [Outcome(result=Result.RETRY, detail=f"HubSpot answered {status} and confirmed nothing.")] * count
        return [refused(request, response, answer if isinstance(answer, dict) else {})] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """The account's details, which any token may read. Source: "Account information API"."""
        url = f"{HOST}/account-info/{config.get('api_version') or VERSION}/details"
        headers = {"Authorization": f"Bearer {_token(config)}"}
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        hub, expected = _reading.text(_reading.fields_of(response).get("portalId")), config.get("portal_id", "")
        if not _reading.is_good(response) or not hub:
            return _reading.refused(self, response, token=_token(config))
        if expected and hub != expected:  # the names of the events would be another account's
            return _reading.bad(f"The token is of HubSpot account {hub}, the Hub ID says {expected}: correct it.")
        return _reading.good(f"HubSpot account {hub} answers.")


def _token(config: Config) -> str:
    return config.get("access_token") or config.get(base.ACCESS_TOKEN, "")


def _upserts(
    items: Sequence[Item], contacts: Sequence[dict[str, Any] | None], url: str, headers: dict[str, str]
) -> list[Request]:
    """One input per address, or HubSpot refuses them all: what later events say of a person is laid over the earlier.

    The inputs carry all that the events tell, as HubSpot asks where the e-mail address is the key ("Contacts").
    """
    merged: dict[str, dict[str, Any]] = {}
    for contact in contacts:
        if contact is not None:
            merged.setdefault(contact["email"], {}).update(contact)
    emails = list(merged)
    requests = []
    for start in range(0, len(emails), MAX_CONTACTS):
        block = {email: str(at) for at, email in enumerate(emails[start : start + MAX_CONTACTS])}
        inputs = [
            {"id": email, "idProperty": "email", "objectWriteTraceId": trace, "properties": merged[email]}
            for email, trace in block.items()
        ]
        carried = tuple(
            item
            for item, contact in zip(items, contacts, strict=True)
            if contact is not None and contact["email"] in block
        )
        body = msgspec.json.encode({"inputs": inputs})
        requests.append(Request(method="POST", url=url, headers=headers, body=body, items=carried))
    return requests


@lru_cache(maxsize=4096)
def _qualified(native_name: str, prefix: str) -> str:
    """The fully qualified name of an event: one entered without the `pe…_` gets it."""
    if native_name.startswith(PORTAL):
        return prefix + native_name.removeprefix(PORTAL)
    return native_name if _QUALIFIED.fullmatch(native_name) else prefix + _NOT_IN_NAMES.sub("_", native_name.lower())
