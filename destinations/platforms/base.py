"""The contract every platform fulfils: describe yourself, build requests, read answers.

Pure on purpose: no ORM, no clock, no network, no randomness. The same `build` thus serves delivery, `manage.py preview`
and the golden files, and a wrong payload is found without sending one. See ADDING_A_PLATFORM.md.

Everything that an adapter needs is imported from here, whichever module holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import ClassVar

import msgspec

from destinations.platforms._bodies import MONEY_BACK, chunks, decimal_text, posts, value_of, with_overrides
from destinations.platforms._describing import TEST, Field, IdChoice, Kind, NativeId, TestMode, Version
from destinations.platforms._exchange import (
    LONGEST_RETRY_AFTER,
    OK,
    RETRY_STATUSES,
    TOKEN_EXPIRED,
    Built,
    Item,
    Outcome,
    Request,
    Response,
    Result,
    Skip,
    is_transient,
    retry_after,
)

__all__ = [
    "ACCESS_TOKEN",
    "LONGEST_RETRY_AFTER",
    "MONEY_BACK",
    "OK",
    "RETRY_STATUSES",
    "TEST",
    "TOKEN_EXPIRED",
    "Built",
    "Config",
    "Field",
    "IdChoice",
    "Item",
    "Kind",
    "NativeId",
    "OAuth",
    "Outcome",
    "Platform",
    "Request",
    "Response",
    "Result",
    "Skip",
    "TestMode",
    "Token",
    "Version",
    "chunks",
    "decimal_text",
    "is_transient",
    "posts",
    "retry_after",
    "value_of",
    "with_overrides",
]

Config = Mapping[str, str]


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


class Platform:
    """Base of all adapters. Subclasses set the class attributes and write `build`; `parse` has a sane default."""

    key: ClassVar[str]
    label: ClassVar[str]
    """The vendor's own capitals."""
    also_known_as: ClassVar[tuple[str, ...]] = ()
    """Words in small letters that people look for it by, beside key and label: former names, products."""
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

    def fills(self, settings: Mapping[str, str]) -> dict[str, str]:
        """What stands for each {placeholder} of the platform's names when they are shown; empty while it is not set."""
        return {}

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
