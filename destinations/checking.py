"""*Check connection*, and the native ids that an account has: asked of the platform, and read into a sentence.

Nothing comes of it but the answer: no delivery, no attempt, no count, no hold. Only an access token may be fetched and
kept, as a delivery would. Neither function raises, whatever the platform answers; no transaction is open meanwhile.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from destinations import files, masking, outgoing, tokens
from destinations.http import NoAnswer
from destinations.models import Destination
from destinations.platforms.base import TOKEN_EXPIRED, Field, IdChoice, Outcome, Platform, Request, Response, Result

logger = logging.getLogger(__name__)

SECONDS = 8.0
"""A person waits for it."""
MOST_PAGES = 5
MOST_CHOICES = 1000
MOST_CHARACTERS = 380


class Verdict(NamedTuple):
    is_good: bool
    sentence: str
    latency_ms: int | None
    """None: nothing was asked."""


class Listing(NamedTuple):
    choices: list[IdChoice]
    problem: str
    """Why there are none, or not all; empty when these are all."""


def check(destination: Destination) -> Verdict | None:
    """Whether the platform takes credentials and settings. None: it has no way to ask, or none for these settings."""
    try:
        return _Asking(destination).check()
    except Exception:
        logger.exception("the check of %s failed", destination.platform_key)
        return Verdict(False, _("The check failed: this is a bug in TrackStack."), None)


def native_ids(destination: Destination) -> Listing | None:
    """What the account has to pick from, in the vendor's order. None: the platform lists none."""
    try:
        return _Asking(destination).native_ids()
    except Exception:
        logger.exception("the native ids of %s could not be listed", destination.platform_key)
        return Listing([], _("The list failed: this is a bug in TrackStack."))


class _Refused(Exception):
    """Nothing could be asked; the message is a sentence for a person."""


class _Asking:
    """One question to a platform: with the token of the moment, and once more with a fresh one if that has ended."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.platform: Platform = destination.platform
        self.token: dict[str, str] = {}
        self.latency_ms: int | None = None
        self.is_on_disk = False
        """Whether the question never left this server: there is no sandbox for files."""

    @property
    def config(self) -> dict[str, str]:
        return self.destination.config | self.token

    def check(self) -> Verdict | None:
        if self.platform.is_builtin or self.platform.check(self.config, datetime.now(UTC)) is None:
            return None
        try:
            self._prepare()
            request = self.platform.check(self.config, datetime.now(UTC))
            if request is None:
                return None
            outcome, _answer = self._ask(request)
            if self._is_renewed(outcome):
                request = self.platform.check(self.config, datetime.now(UTC))
                outcome, _answer = self._ask(request) if request else (outcome, None)
        except _Refused as refused:
            return Verdict(False, str(refused), self.latency_ms)
        return Verdict(outcome.result == Result.OK, self._sentence(outcome), self.latency_ms)

    def native_ids(self) -> Listing | None:
        can_list = type(self.platform).list_ids is not Platform.list_ids
        if not can_list or (not self._missing() and self.platform.list_ids(self.config, datetime.now(UTC)) is None):
            return None
        choices: list[IdChoice] = []
        try:
            self._require_what_listing_needs()
            self._prepare()
            problem = self._collect(choices)
        except _Refused as refused:
            problem = str(refused)
        if problem is None:
            return None
        if not choices and not problem:
            problem = _("The account has none yet: create one at %(platform)s.") % {"platform": self.platform.label}
        return Listing(choices, problem)

    def _collect(self, choices: list[IdChoice]) -> str | None:
        """Fills `choices` page by page. What went wrong, or None: there is nothing to ask in this configuration."""
        page, seen = "", {""}
        for number in range(MOST_PAGES):
            request = self.platform.list_ids(self.config, datetime.now(UTC), page)
            if request is None:
                return None if number == 0 else ""
            outcome, answer = self._ask(request)
            if number == 0 and self._is_renewed(outcome):
                request = self.platform.list_ids(self.config, datetime.now(UTC), page) or request
                outcome, answer = self._ask(request)
            if answer is None or not 200 <= answer.status < 300:
                return self._sentence(outcome)
            read = self.platform.read_ids(answer, self.config)
            found = {one.id: one for one in reversed(read) if self._is_enterable(one)}
            if not found and outcome.result != Result.OK:
                return self._sentence(outcome)  # a refusal that came with 200
            known = {one.id for one in choices}
            choices += [self._shown(one) for one in reversed(found.values()) if one.id not in known]
            page = self.platform.next_page(answer)
            if page in seen:
                return ""
            seen.add(page)
            if len(choices) >= MOST_CHOICES:
                break
        return str(_("Only the first %(count)d are shown; enter the id of another by hand.") % {"count": len(choices)})

    # --- asking ------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        """Raises _Refused where asking would be in vain; else the token is there."""
        if self.destination.is_sandbox and not settings.SANDBOX_URL:
            raise _Refused(_("It is in sandbox mode, and no sandbox runs (SANDBOX_URL)."))
        problems = self.platform.problems(self.destination.config)
        if problems:
            raise _Refused(next(iter(problems.values())))
        self._take_token()

    def _take_token(self) -> None:
        found = tokens.ready(self.destination, timeout=SECONDS)
        if isinstance(found, tokens.NotReady):
            raise _Refused(self._sentence(found.outcome))
        self.token = found

    def _missing(self) -> list[Field]:
        needed = self.platform.list_needs
        return [field for field in self.platform.fields if field.name in needed and not self.config.get(field.name)]

    def _require_what_listing_needs(self) -> None:
        if missing := self._missing():
            said = _("%(platform)s lists them once the settings have: %(fields)s.")
            if missing[0].help:
                said = _("%(platform)s lists them once the settings have: %(fields)s. %(help)s.")
            fields = ", ".join(str(field.label) for field in missing)
            raise _Refused(said % {"platform": self.platform.label, "fields": fields, "help": missing[0].help})

    def _ask(self, request: Request) -> tuple[Outcome, Response | None]:
        self.is_on_disk = request.url.startswith(files.SCHEME)
        answer, latency_ms = outgoing.send(self.destination, request, timeout=SECONDS)
        self.latency_ms = latency_ms
        if isinstance(answer, NoAnswer):
            result = Result.CONFIG if answer.is_refused_here else Result.RETRY
            return Outcome(result=result, detail=answer.sentence), None
        return self.platform.read_check(answer, self.config), answer

    def _is_renewed(self, outcome: Outcome) -> bool:
        """Whether the token had ended and another is there now. Raises _Refused when there is none to be had."""
        if outcome.reason != TOKEN_EXPIRED or not tokens.refused(self.destination, self.token):
            return False
        self._take_token()
        return True

    # --- telling -----------------------------------------------------------------------------------
    def _is_enterable(self, one: IdChoice) -> bool:
        native_id = self.platform.native_id
        if not one.id or self.platform.lists_names or native_id is None:
            return bool(one.id)
        return re.fullmatch(native_id.pattern, one.id) is not None

    def _shown(self, one: IdChoice) -> IdChoice:
        return IdChoice(one.id, self._masked(one.label or one.id))

    def _sentence(self, outcome: Outcome) -> str:
        names = {"said": self._masked(outcome.detail), "platform": self.platform.label}
        if outcome.result == Result.RETRY:
            said = _("It could not be checked just now, try again later: %(said)s")
        elif outcome.result != Result.OK:
            said = "%(said)s" if outcome.detail else _("%(platform)s refuses the credentials or settings.")
        elif self.destination.is_sandbox and not self.is_on_disk:
            said = _("%(said)s (The built-in sandbox.)")
        else:
            said = "%(said)s"
        return str(said % names)

    def _masked(self, text: str) -> str:
        secrets = (*self.destination.secrets.values(), *self.token.values())
        return masking.masked(text, secrets, cap=MOST_CHARACTERS)
