"""Send as test: one event really sent, the platform told that it is a test, and the answer in plain words.

No delivery, no attempt and no count comes of it, so the books stay true; the change history keeps who sent what where.
A real event goes out about a made-up person (`choosing.for_test`).
"""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from destinations import dry_run, files, masking, outgoing, preview, tokens
from destinations.choosing import Chosen, for_test
from destinations.http import NoAnswer
from destinations.models import Destination
from destinations.platforms.base import TEST, TOKEN_EXPIRED, Item, Outcome, Platform, Request, Response, Result
from events import masked_json
from routing import policy, toggles
from routing.models import RoutingChange
from routing.policy import DestinationRule
from trackstack_site.wording import in_english

logger = logging.getLogger(__name__)

TAKEN = "Taken"
"""Begins the note of a test that was taken; notes are kept in English."""

# What an outcome says of a test; {platform} is filled in. A delivery would take the consequence, a test takes none.
MEANING: dict[Result, tuple[str, str | Promise, str | Promise]] = {
    Result.OK: ("good", gettext_lazy("Taken"), gettext_lazy("{platform} took it.")),
    Result.RETRY: (
        "warn",
        gettext_lazy("Not now"),
        gettext_lazy("{platform} did not take it this time; a delivery would be tried again."),
    ),
    Result.PERMANENT: (
        "bad",
        gettext_lazy("Refused"),
        gettext_lazy("{platform} refuses this event; a delivery of it would be dead."),
    ),
    Result.TOO_OLD: ("bad", gettext_lazy("Too old"), gettext_lazy("{platform} says the event is too old.")),
    Result.SPLIT: (
        "bad",
        gettext_lazy("Refused"),
        gettext_lazy("{platform} refuses the request, and says no more about the event."),
    ),
    Result.SKIPPED: (
        "warn",
        gettext_lazy("Ignored"),
        gettext_lazy("{platform} took the request, but makes no use of this event."),
    ),
    Result.CONFIG: (
        "bad",
        gettext_lazy("Credentials or settings refused"),
        gettext_lazy("{platform} refuses the credentials or settings; deliveries would wait until they are mended."),
    ),
}


class NotSent(Exception):
    """Nothing was sent; the message says why and what to do. A lazy one is worded when it is read."""


class Exchange(NamedTuple):
    """One request of the test, and what came back."""

    request: dict[str, Any]
    status: int | None
    latency_ms: int
    tone: str
    word: str | Promise
    sentence: str
    detail: str
    """What the platform itself said."""
    answer: str
    """Its body, masked."""

    @property
    def is_taken(self) -> bool:
        return self.tone == "good"


class Trial(NamedTuple):
    event_id: str
    exchanges: list[Exchange]
    how: str
    """Where the event shows up, and whether it counts."""

    @property
    def is_taken(self) -> bool:
        return all(exchange.is_taken for exchange in self.exchanges)


def obstacle(destination: Destination) -> str:
    """Why no test can be sent there, as a sentence that says what to do; empty when it can."""
    platform = destination.platform
    if platform.is_builtin:
        said = _("%(destination)s is built in: there is nobody to send a test to.")
        return str(said % {"destination": destination.name})
    if destination.is_sandbox:
        return "" if settings.SANDBOX_URL else _("It is in sandbox mode, and no sandbox runs (SANDBOX_URL).")
    mode = platform.test_mode
    if mode is None:
        return str(
            _(
                "%(platform)s has no way to take a test event: whatever arrives there counts. "
                "Switch its sandbox mode on to send to the built-in sandbox instead."
            )
            % {"platform": platform.label}
        )
    if mode.needs and not destination.config.get(mode.needs):
        field = next(field for field in platform.fields if field.name == mode.needs)
        words = {"field": field.label, "platform": platform.label, "help": field.help}
        return str(_("%(field)s is empty, and %(platform)s takes no test without it. %(help)s") % words)
    return ""


def whereabouts(destination: Destination) -> str:
    """What comes of a test there, in one sentence."""
    if destination.is_sandbox:
        return str(
            _(
                "It goes to the built-in sandbox, which checks it as the platform does."
                " Nothing leaves this installation."
            )
        )
    mode = destination.platform.test_mode
    return str(mode.how) if mode else ""


def send_as_test(destination: Destination, rule: DestinationRule, chosen: Chosen, *, user: Any) -> Trial:
    """Raises NotSent. No transaction is open while a request is under way."""
    if why := obstacle(destination):
        raise NotSent(why)
    now = datetime.now(UTC)
    event = for_test(chosen, f"test-{uuid.uuid4().hex[:20]}", now)
    if event is None:
        why = chosen.rejected.sentence if chosen.rejected else ""
        raise NotSent(_("The contract rejects it: %(why)s") % {"why": why})
    carried = policy.carries(rule, event.name)
    if not carried.send:
        raise NotSent(carried.sentence(event.name, rule))
    token = tokens.ready(destination)
    if isinstance(token, tokens.NotReady):
        secrets = destination.secrets.values()
        why = masking.masked(token.outcome.detail, secrets, cap=380)
        raise NotSent(_("No access token: %(why)s") % {"why": why})
    entry = _record(destination, event.name, user)
    sent = _Sending(destination, preview.item_of(event, rule), now)
    try:
        exchanges = sent.go(token)
    except NotSent as error:
        with in_english():
            _note(entry, f"Not sent: {error}")
        raise
    with in_english():
        _note(entry, _summary(exchanges))
    return Trial(event.event_id, exchanges, whereabouts(destination))


class _Sending:
    """One event on its way, with one new access token if the first has ended."""

    def __init__(self, destination: Destination, item: Item, now: datetime) -> None:
        self.destination = destination
        self.platform: Platform = destination.platform
        self.item = item
        self.now = now
        self.config: dict[str, str] = {}

    def go(self, token: dict[str, str]) -> list[Exchange]:
        exchanges, is_expired = self._send_all(token)
        if is_expired and tokens.refused(self.destination, token):
            fresh = tokens.ready(self.destination)
            if not isinstance(fresh, tokens.NotReady):
                exchanges, _is_expired = self._send_all(fresh)
        return exchanges

    def _send_all(self, token: dict[str, str]) -> tuple[list[Exchange], bool]:
        """The requests in order, until one is not taken; and whether that was for an expired token."""
        self.config = self.destination.config | token
        if self.platform.test_mode is not None:
            self.config[TEST] = "1"
        exchanges: list[Exchange] = []
        for part in self._parts():
            exchange, outcome = self._exchange(part)
            exchanges.append(exchange)
            if outcome.result != Result.OK:
                return exchanges, outcome.reason == TOKEN_EXPIRED
        return exchanges, False

    def _parts(self) -> list[Request]:
        built = dry_run.build(self.platform, self.item, self.config, self.now)
        if built is None:
            raise NotSent(gettext_lazy("It could not be built: this is a bug in TrackStack."))
        if built.skipped:
            raise NotSent(built.skipped[0].detail or built.skipped[0].reason)
        parts = [part for whole in built.requests for part in (*whole.before, whole)]
        if any(part.url.startswith(files.SCHEME) for part in parts):
            why = gettext_lazy("It writes files in a folder of this server, and a test would stay there as real data.")
            raise NotSent(why)
        return parts

    def _exchange(self, part: Request) -> tuple[Exchange, Outcome]:
        answer, latency_ms = outgoing.send(self.destination, part)
        outcome = self._outcome(part, answer)
        secrets = (*self.destination.secrets.values(), *self._token_values())
        tone, word, sentence = MEANING[outcome.result]
        # Nobody real is in it, so nobody has to be masked.
        shown = dry_run.shown_request(self.platform, outgoing.addressed(self.destination, part), self.config)
        has_answer = isinstance(answer, Response)
        return (
            Exchange(
                request=shown,
                status=answer.status if isinstance(answer, Response) else None,
                latency_ms=latency_ms,
                tone=tone,
                word=word if has_answer else gettext_lazy("No answer"),
                sentence=str(sentence).format(platform=self.platform.label),
                detail=masking.masked(outcome.detail, secrets, cap=380),
                answer=_answer(answer, secrets),
            ),
            outcome,
        )

    def _token_values(self) -> list[str]:
        return [value for name, value in self.config.items() if name.startswith("oauth.")]

    def _outcome(self, part: Request, answer: Response | NoAnswer) -> Outcome:
        if isinstance(answer, NoAnswer):
            return Outcome(result=Result.CONFIG if answer.is_refused_here else Result.RETRY, detail=answer.sentence)
        try:
            return self.platform.parse(part, answer)[0]
        except Exception:
            logger.exception("%s could not read an answer", self.platform.key)
            return Outcome(result=Result.RETRY, detail=f"The answer ({answer.status}) could not be read.")


def _answer(answer: Response | NoAnswer, secrets: tuple[str, ...]) -> str:
    if not isinstance(answer, Response):
        return ""
    return masked_json.pretty(masking.masked(answer.body, secrets, cap=4000))


def _record(destination: Destination, event: str, user: Any) -> RoutingChange:
    """Before anything is sent, so that no test goes out that the history does not know of."""
    where = "to the sandbox of " if destination.is_sandbox else "to "
    with transaction.atomic():
        return toggles.record_test(destination, [f"{event} is sent {where}{destination.name} as a test"], user=user)


def _note(entry: RoutingChange, text: str) -> None:
    RoutingChange.objects.filter(pk=entry.pk).update(note=text[:400])


def _summary(exchanges: list[Exchange]) -> str:
    last = exchanges[-1]
    said = f"{last.status} in {last.latency_ms} ms" if last.status else f"after {last.latency_ms} ms"
    return f"{last.word} ({said}). {last.detail}".strip()
