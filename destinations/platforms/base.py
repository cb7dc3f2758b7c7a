"""The contract every platform fulfils: describe yourself, build requests, read answers.

Pure on purpose: no ORM, no clock, no network, no randomness. The same `build` thus serves delivery, `manage.py preview`
and the golden files, and a wrong payload is found without sending one. See ADDING_A_PLATFORM.md.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import msgspec

from events.body import DECODE_ERRORS
from events.payload import Payload

Config = Mapping[str, str]


class Kind(enum.StrEnum):
    ADS = "ads"
    ANALYTICS = "analytics"
    CRM = "crm"
    WAREHOUSE = "warehouse"
    WEBHOOK = "webhook"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One credential or setting of a platform; the destination form, its checks and the docs are grown from it."""

    name: str
    label: str
    secret: bool = False
    required: bool = False
    pattern: str = ""
    """Regular expression the whole value must match; empty: anything."""
    help: str = ""
    """Where the user finds the value."""
    example: str = ""
    """A made-up value of the right shape: shown in the form, and what the demo's sandbox destinations use."""
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""
    multiline: bool = False

    def problem(self, value: str) -> str:
        """A sentence that says what is wrong with `value`, or an empty string."""
        if not value:
            return f"{self.label} is required." if self.required else ""
        if self.choices and value not in {choice for choice, _ in self.choices}:
            return f"{self.label} must be one of {', '.join(choice for choice, _ in self.choices)}."
        if self.pattern and not re.fullmatch(self.pattern, value):
            # The example opens the sandbox: whoever has no account yet can go on with it.
            shape = f" It looks like “{self.example}”." if self.example and not self.multiline else ""
            return f"{self.label} does not look right: {self.help or 'check it against the platform'}.{shape}"
        return ""


class NativeId(msgspec.Struct, frozen=True, kw_only=True):
    """The id a platform wants per event (conversion rule, conversion action, goal …)."""

    label: str
    pattern: str
    help: str
    required: bool = True
    example: str = ""


class IdChoice(NamedTuple):
    """One native id that the account has, for a person to pick."""

    id: str
    """As it is entered in a route."""
    label: str
    """As the vendor names it."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The API version a platform is spoken to in: one setting, with the vendor's end dates beside it."""

    default: str
    sunsets: Mapping[str, date] = {}
    """Version → the day on which the vendor switches it off (or announced to); a version not listed has none known."""
    source: str = ""
    """Where the vendor announces these dates."""


class TestMode(msgspec.Struct, frozen=True, kw_only=True):
    """How the platform takes a test event. `build` acts on it when `config[TEST]` is set."""

    how: str
    """One sentence for the marketer: where the event shows up, and whether it counts."""
    needs: str = ""
    """Name of the field that must be filled for it (a test code); empty: none."""


TEST = "send_as_test"
"""Key of the configuration that is set while *Send as test* builds; not a field."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A short-lived access token, as a token endpoint gave it."""

    access_token: str
    expires_in: float | None = None
    """Seconds; None: the vendor does not say, so it holds until it is refused."""
    refresh_token: str = ""
    """A new refresh token, where the vendor rotates them: it replaces the stored one."""
    extra: dict[str, str] = {}
    """What else later requests need (Salesforce's instance_url), reachable as `oauth.<name>`."""


ACCESS_TOKEN = "oauth.access_token"  # noqa: S105
"""Key of the configuration under which `build` finds the current token. A dot: no field can be called so."""


class OAuth:
    """How a platform gets its access tokens. Pure; `destinations.tokens` does the fetching and keeps the result.

    The token is fetched ahead of its end, once for all workers, and handed to `build` as `config[ACCESS_TOKEN]`.
    """

    def request(self, config: Config, now: datetime) -> Request | None:
        """The request to the token endpoint; None when this configuration needs no token (it has a lasting one)."""
        raise NotImplementedError

    def read(self, response: Response) -> Token | Outcome:
        """The token, or what its refusal means: CONFIG (ask for new credentials) or RETRY."""
        raise NotImplementedError


class Item(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One delivery as an adapter sees it."""

    key: int
    """Names the delivery in outcomes; means nothing to the platform."""
    event_id: str
    """The dedup id: the same on every try."""
    event: str
    """Canonical or extension name."""
    occurred_ms: int
    """Unix time in milliseconds."""
    payload: Payload
    native_name: str = ""
    """Resolved: the route's override, else the platform's own name for the event."""
    native_id: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, ready to send. `items` are in the order of the body."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    items: tuple[Item, ...]
    before: tuple[Request, ...] = ()
    """Requests that must succeed first, in order (upsert the contact, then send its event). Each carries items of this
    one. An item that one of them fails takes that outcome; the others are built and sent again without it."""


class Skip(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An item the platform cannot carry, refused aloud: a code of `destinations.reasons` and what was missing."""

    item: Item
    reason: str
    detail: str


class Built(msgspec.Struct, frozen=True, kw_only=True):
    requests: list[Request]
    skipped: list[Skip]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer. `headers` has lower-case names; `body` may be cut (see `destinations.http`)."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""

    def json(self) -> Any:
        """The decoded body, or None when it is not JSON (vendors answer HTML, nothing or half a document)."""
        try:
            return msgspec.json.decode(self.body)
        except DECODE_ERRORS:
            return None


class Result(enum.StrEnum):
    OK = "ok"
    RETRY = "retry"
    """Try again later; `after` is what the platform asked for, in seconds."""
    PERMANENT = "permanent"
    """This event will never be taken: dead."""
    CONFIG = "config"
    """Credentials or settings are refused: the destination is held, its rows wait."""
    SKIPPED = "skipped"
    """The platform took the request but not this event, for a reason that is no failure."""
    TOO_OLD = "too_old"
    SPLIT = "split"
    """The batch was refused as a whole and the bad event is not named: send in halves until it is alone."""


class Outcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of one item."""

    result: Result
    detail: str = ""
    """The platform's message in plain words, without identity."""
    reason: str = ""
    """A reason code when it is more precise than the result."""
    after: float | None = None
    """Seconds until the next try, of a RETRY that the platform put a time to. 0: see `is_again`."""

    @property
    def is_again(self) -> bool:
        """Refused only because of another event in the request: it goes out again at once, without that one."""
        return self.result == Result.RETRY and self.after == 0.0


OK = Outcome(result=Result.OK)

TOKEN_EXPIRED = "token_expired"  # noqa: S105
"""Reason of a CONFIG outcome that a fresh access token may mend: one is fetched before the destination is held."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds. What asks for more is a mistake or means never; both are better asked again tomorrow."""
RETRY_STATUSES = frozenset({408, 425, 429})


def is_transient(status: int) -> bool:
    """RFC 9110 and the vendors agree: these may succeed when simply tried again."""
    return status in RETRY_STATUSES or status >= 500


def retry_after(response: Response, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 §10.2.3), a day at most. The date form needs `now`, else is ignored."""
    raw = response.headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit():
        return min(float(raw[:12]), LONGEST_RETRY_AFTER)
    if raw and now is not None:
        from email.utils import parsedate_to_datetime

        try:
            return min(max(0.0, (parsedate_to_datetime(raw) - now).total_seconds()), LONGEST_RETRY_AFTER)
        except (TypeError, ValueError):
            return None
    return None


class Platform:
    """Base of all adapters. Subclasses set the class attributes and write `build`; `parse` has a sane default."""

    key: ClassVar[str]
    label: ClassVar[str]
    """The vendor's own capitals."""
    kind: ClassVar[Kind]
    fields: ClassVar[tuple[Field, ...]] = ()
    events: ClassVar[Mapping[str, str | None]] = {}
    """Canonical name → native name; None: the platform has none (unmapped)."""
    takes_custom_events: ClassVar[bool] = False
    """Whether a name outside `events` may be sent under its own name."""
    recommended: ClassVar[frozenset[str]] = frozenset()
    batch_limit: ClassVar[int] = 1
    """Events in one request."""
    max_body_bytes: ClassVar[int | None] = None
    max_age: ClassVar[timedelta | None] = None
    requests_per_minute: ClassVar[int | None] = None
    events_per_minute: ClassVar[int | None] = None
    """Where the platform counts events and not requests."""
    native_id: ClassVar[NativeId | None] = None
    lists_names: ClassVar[bool] = False
    """Whether what `list_ids` asks for is entered as the native name of an event and not as its native id."""
    list_needs: ClassVar[tuple[str, ...]] = ()
    """Fields that must be filled for `list_ids`, beside those that delivery needs."""
    is_builtin: ClassVar[bool] = False
    """Delivered by being stored: no request is made (the built-in warehouse)."""
    docs_url: ClassVar[str] = ""
    version: ClassVar[Version | None] = None
    """None: the API has no versions. Otherwise there is a field `api_version`."""
    oauth: ClassVar[OAuth | None] = None
    test_mode: ClassVar[TestMode | None] = None
    """None: the platform has no way to take a test event."""
    plain_identity: ClassVar[frozenset[str]] = frozenset()
    """Attributes of Payload that leave in plain because the vendor takes them in no other form."""
    url_secrets: ClassVar[frozenset[str]] = frozenset()
    """Secret fields that the vendor takes in the URL only; they are masked wherever a URL is kept."""
    is_json: ClassVar[bool] = True
    """Whether request bodies are JSON or one JSON document a line."""

    # --- describing -----------------------------------------------------------------------------
    def native_name(self, event: str) -> str:
        """The platform's name for an event, or an empty string when it has none."""
        if event in self.events:
            return self.events[event] or ""
        return event if self.takes_custom_events else ""

    def needs_native_id(self, event: str) -> bool:
        return self.native_id is not None and self.native_id.required

    def problems(self, config: Config) -> dict[str, str]:
        """Field name → sentence, for every value of `config` that is missing or misshapen."""
        found = {field.name: field.problem(config.get(field.name, "")) for field in self.fields}
        return {name: sentence for name, sentence in found.items() if sentence}

    @property
    def secret_names(self) -> frozenset[str]:
        return frozenset(field.name for field in self.fields if field.secret)

    def example_config(self) -> dict[str, str]:
        """A made-up configuration that is complete: opens the sandbox, and nothing else."""
        required = {
            field.name: field.example
            for field in self.fields
            if field.example and (field.required or field.name in self.list_needs)
        }
        if not self.problems(required):
            return required
        # Where one of several credentials will do, none of them is required by itself.
        return {field.name: field.example for field in self.fields if field.example}

    def sunset(self, config: Config) -> date | None:
        """The day on which the configured API version ends, where the vendor has named one."""
        if self.version is None:
            return None
        return self.version.sunsets.get(config.get("api_version") or self.version.default)

    # --- working ----------------------------------------------------------------------------------
    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        """Requests that carry `items`, in order and within the platform's limits; the rest is skipped with a reason.

        Never raises for any item the contract accepted. `now` is the time of this attempt (signatures need one).
        """
        raise NotImplementedError

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """One outcome for each of `request.items`, in order. Decides by status alone; vendors with codes override."""
        status = response.status
        if 200 <= status < 300:
            outcome = OK
        elif is_transient(status):
            outcome = Outcome(
                result=Result.RETRY,
                detail=f"{self.label} answered {status}",
                after=retry_after(response),
            )
        elif status in (401, 403):
            outcome = Outcome(
                result=Result.CONFIG,
                detail=f"{self.label} refused the credentials ({status})",
            )
        elif len(request.items) > 1:
            outcome = Outcome(result=Result.SPLIT, detail=f"{self.label} refused the batch ({status})")
        else:
            outcome = Outcome(
                result=Result.PERMANENT,
                detail=f"{self.label} refused the event ({status})",
            )
        return [outcome] * len(request.items)

    # --- asking -------------------------------------------------------------------------------------
    def check(self, config: Config, now: datetime) -> Request | None:
        """A harmless request that shows whether credentials and settings are taken: nothing is written by it, and it
        has no items. None: the vendor has none, or none for this configuration.
        """
        return None

    def read_check(self, response: Response, config: Config) -> Outcome:
        """OK, CONFIG with what to do, or RETRY; `detail` is a sentence for a person. Also reads a refused `list_ids`.

        By default any JSON without an error is good, and the rest means what it means to `parse`.
        """
        from destinations.platforms import _reading  # it is made of what stands here

        return _reading.checked(self, response)

    def list_ids(self, config: Config, now: datetime, page: str = "") -> Request | None:
        """The request for a page of the native ids that the account has. None: there is none, or `list_needs` is not
        met. `page` is what `next_page` gave.
        """
        return None

    def read_ids(self, response: Response, config: Config) -> list[IdChoice]:
        """The choices of a page that was answered with 2xx; those that cannot be read are left out. Never raises."""
        return []

    def next_page(self, response: Response) -> str:
        """What leads to the next page; empty after the last."""
        return ""


def chunks(
    parts: Sequence[tuple[Item, bytes]],
    limit: int,
    max_bytes: int | None = None,
    overhead: int = 64,
) -> Iterator[list[tuple[Item, bytes]]]:
    """Encoded items in runs of at most `limit` items and `max_bytes` bytes, order kept."""
    run: list[tuple[Item, bytes]] = []
    size = overhead
    for part in parts:
        length = len(part[1]) + 1
        if run and (len(run) >= limit or (max_bytes is not None and size + length > max_bytes)):
            yield run
            run, size = [], overhead
        run.append(part)
        size += length
    if run:
        yield run


MONEY_BACK = frozenset({"Refund", "Chargeback"})


def value_of(item: Item) -> tuple[float, str] | None:
    """Amount and currency, or None: they are sent both or neither, and no ad platform takes a negative amount.

    Money that goes back is never a value: the bidding would read it as earned.
    """
    payload = item.payload
    if (
        item.event in MONEY_BACK
        or payload.value is None
        or payload.currency is None
        or not 0 <= payload.value < math.inf
    ):
        return None
    return payload.value, payload.currency


def decimal_text(value: float) -> str:
    """An amount as a decimal string: "50.00", with more digits only where they count, never an exponent."""
    text = f"{value:.2f}"
    return text if float(text) == value else format(Decimal(repr(value)), "f")


def with_overrides(body: dict[str, Any], item: Item, platform_key: str) -> dict[str, Any]:
    """The event's `platformParams.<platform>` over what the adapter built: a nested dict merges, the rest replaces."""
    extra = item.payload.platform_params.get(platform_key)
    return _merge(body, extra) if extra else body


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged
