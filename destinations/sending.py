"""One claim on its way: the toggles asked once more, built, sent, its answers read, each row's outcome recorded."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from django.conf import settings

from destinations import adapter, attempts, breaker, masking, outgoing, pacing, queue, retry, splitting, tokens
from destinations.http import NoAnswer
from destinations.models import Attempt, Destination, Hold, State
from destinations.platforms.base import TOKEN_EXPIRED, Item, Outcome, Platform, Request, Response, Result
from destinations.queue import LEASE_SECONDS, Claimed, Settled, batch_of, record
from routing import snapshot, toggles
from routing.policy import DestinationRule
from trackstack_site import tracing

logger = logging.getLogger("destinations.delivery")  # the name that filters of logs know

FLUSH_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""How often a run looks whether the routing changed under way."""
MOST_LOGGED = 20
"""Traces named in the log line of an attempt."""


class Run:
    """One claim on its way through build, send and parse."""

    def __init__(self, destination: Destination, platform: Platform, rows: Sequence[Claimed]) -> None:
        self.destination = destination
        self.platform = platform
        self.rows = {row.id: row for row in rows}
        self.now = datetime.now(UTC)
        self.leased_until = time.monotonic() + LEASE_SECONDS
        self.config = destination.config
        self.secrets = tuple(destination.secrets.values())
        self.token: dict[str, str] = {}
        """What `destinations.tokens` added to the configuration."""
        self.settled: list[Settled] = []
        self.attempts: list[Attempt] = []
        self.carried: dict[int, tuple[Attempt, ...]] = {}
        """Delivery id → the refused batches it was in, before its batch was split."""
        self.flushed_at = time.monotonic()
        self.is_stopped = False
        self.has_asked = False
        """Whether a request was made."""
        self.version = 0
        self.traces: dict[int, str] | None = None
        self.looked_at = time.monotonic()

    def go(self) -> None:
        try:
            self._go()
        finally:
            # Whatever broke: what was sent is on record, and only what was in flight can be sent again.
            self._flush()

    def _go(self) -> None:
        state = snapshot.current()
        self.version = state.version
        rule = state.rules.get(self.destination.pk)
        items: list[Item] = []
        now_ms = int(self.now.timestamp() * 1000)
        for row in self.rows.values():
            if rule is None:
                self._settle(row, State.SKIPPED, "destination_disabled")
                continue
            # The toggles as they stand now have the last word: a switch-off stops what has not been sent yet.
            decision = state.decide(
                rule,
                row.of.source_id,
                row.of.name,
                row.of.payload.consent,
                row.of.occurred_ms,
                now_ms,
            )
            if decision.send:
                items.append(self._item(row, rule))
            elif decision.reason == "too_old":
                self._settle(
                    row,
                    State.DEAD,
                    "too_old",
                    f"Older than {self.platform.label} accepts by now.",
                )
            else:
                self._settle(row, State.SKIPPED, decision.reason)
        if items and self.destination.is_sandbox and not settings.SANDBOX_URL:
            self._hold(
                Hold.CONFIGURATION,
                "The destination is in sandbox mode, and no sandbox runs (SANDBOX_URL).",
            )
            self._release(items)
        elif items:
            token = tokens.ready(self.destination)
            if isinstance(token, tokens.NotReady):
                self._wait_for_token(items, token.outcome)
            else:
                self.token = token
                self.config = self.config | token
                self.secrets = (*self.secrets, *token.values())
                for piece in splitting.pieces(items, queue.refused_among(self.rows.values())):
                    self._send_items(piece)

    def _wait_for_token(self, items: Sequence[Item], outcome: Outcome) -> None:
        """Nothing could be sent, and it is no fault of the events."""
        detail = masking.masked(outcome.detail, self.secrets, cap=380)
        if outcome.result == Result.CONFIG:
            self._hold(Hold.CREDENTIALS, detail)
        else:
            self._watch([msgspec.structs.replace(outcome, after=outcome.after or None, detail=detail)])
        self._release(items)

    @staticmethod
    def _item(row: Claimed, rule: DestinationRule) -> Item:
        event = row.of
        return Item(
            key=row.id,
            event_id=event.event_id,
            event=event.name,
            occurred_ms=event.occurred_ms,
            payload=event.payload,
            native_name=rule.native_name(event.name),
            native_id=rule.native_ids.get(event.name, ""),
        )

    # --- building and sending --------------------------------------------------------------------
    def _send_items(self, items: Sequence[Item]) -> None:
        if self.is_stopped:
            self._release(items)
            return
        built = adapter.build(self.platform, items, self.config, self.now)
        for skip in built.skipped:
            state = State.DEAD if skip.reason == adapter.BUILD_FAILED else State.SKIPPED
            detail = attempts.sentence(skip.detail, [skip.item.payload], self.secrets)
            self._settle(self.rows[skip.item.key], state, skip.reason, detail)
        for request in built.requests:
            if self.is_stopped or self._should_stop():
                self._release(request.items)
            else:
                self._send(request)

    def _should_stop(self) -> bool:
        """Whether the rest is better left to the next claim: the lease would end under way, or a switch was flipped."""
        now = time.monotonic()
        if now > self.leased_until - settings.HTTP_TIMEOUT_SECONDS - 5:
            self.is_stopped = True
        elif now - self.looked_at > LOOK_SECONDS:
            self.looked_at = now
            self.is_stopped = snapshot.stored_version() != self.version
        return self.is_stopped

    def _send(self, request: Request) -> None:
        """Send a request with those that must succeed before it."""
        for step in request.before:
            if self._must_wait(request):
                return
            done, rest = self._exchange(step, request.items)
            if not done:
                self._send_items(rest)
                return
        if not self._must_wait(request):
            self._exchange(request, ())

    def _must_wait(self, request: Request) -> bool:
        """Whether the platform's rate limit is reached: then the rows go back, and the destination waits its turn."""
        seconds = pacing.wait(self.destination, len(request.items))
        if seconds:
            self._release(request.items)
            self.is_stopped = True
            breaker.put_off(self.destination, seconds)
        return bool(seconds)

    def _exchange(self, request: Request, dependents: Sequence[Item]) -> tuple[bool, list[Item]]:
        """Send one request and take its outcomes. For one that others depend on: whether all of it succeeded, and if
        not, which of the dependents are to be tried again without the others.
        """
        self.has_asked = True
        started_at = datetime.now(UTC)
        traces = self._traces(request)
        with tracing.span("deliver", links=traces, destination=self.destination.name, events=len(request.items)):
            answer, latency_ms = outgoing.send(self.destination, request)
        if isinstance(answer, Response):
            outcomes = attempts.discreet(request, adapter.parse(self.platform, request, answer), self.secrets)
        else:
            result = Result.CONFIG if answer.is_refused_here else Result.RETRY
            outcomes = [Outcome(result=result, detail=answer.sentence)] * len(request.items)
        attempt = self._note(request, answer, outcomes, started_at, latency_ms)
        self.attempts.append(attempt)
        self._log(attempt, traces)
        is_done = all(outcome.result == Result.OK for outcome in outcomes)
        to_split: list[Item] = []
        failed: set[int] = set()
        roll = random.random()
        is_named = not all(outcome.is_again for outcome in outcomes)
        for item, outcome in zip(request.items, outcomes, strict=True):
            if outcome.is_again and is_named:
                failed.add(item.key)
                self._release([item], attempt)
            elif outcome.result == Result.OK and dependents:
                self._carry(item, attempt)
            elif outcome.result == Result.SPLIT and len(request.items) > 1:
                to_split.append(item)
                failed.add(item.key)
                self._carry(item, attempt)
            else:
                failed.add(item.key)
                self._take(self.rows[item.key], outcome, attempt, roll)
        self._watch(outcomes)
        if time.monotonic() - self.flushed_at > FLUSH_SECONDS:
            self._flush()
        if to_split:
            # The good ones must not die with the bad one: halve until it is alone.
            for half in splitting.halves(to_split):
                self._send_items(half)
        return is_done, [] if is_done else [item for item in dependents if item.key not in failed]

    def _traces(self, request: Request) -> list[str]:
        """The traces of the requests that brought its events, each once; read once a claim."""
        if self.traces is None:
            self.traces = queue.trace_ids(self.rows)
        known = self.traces
        return list(dict.fromkeys(known[batch] for item in request.items if (batch := batch_of(item.key)) in known))

    def _log(self, attempt: Attempt, traces: list[str]) -> None:
        level = logging.INFO if attempt.outcome == Result.OK else logging.WARNING
        said = {
            "destination": self.destination.name,
            "status": attempt.status,
            "outcome": attempt.outcome,
            "events": len(attempt.delivery_ids),
            "latencyMs": attempt.latency_ms,
            "traceIds": traces[:MOST_LOGGED],
        }
        logger.log(level, "attempt", extra=said)

    def _carry(self, item: Item, attempt: Attempt) -> None:
        """Remember an attempt that carried an item without deciding its fate."""
        self.carried[item.key] = (*self.carried.get(item.key, ()), attempt)

    def _note(
        self,
        request: Request,
        answer: Response | NoAnswer,
        outcomes: Sequence[Outcome],
        started_at: datetime,
        latency_ms: int,
    ) -> Attempt:
        return attempts.describe(
            request,
            answer,
            outcomes,
            destination=self.destination,
            sample=lambda: adapter.alone(self.platform, request, self.config, self.now),
            secrets=self.secrets,
            started_at=started_at,
            latency_ms=latency_ms,
        )

    # --- outcomes ----------------------------------------------------------------------------------
    def _take(self, row: Claimed, outcome: Outcome, attempt: Attempt, roll: float) -> None:
        result, detail = outcome.result, outcome.detail
        if result == Result.OK:
            self._settle(row, State.DELIVERED, attempt=attempt)
        elif result == Result.SKIPPED:
            self._settle(row, State.SKIPPED, outcome.reason or "invalid", detail, attempt=attempt)
        elif result == Result.RETRY:
            self._retry(row, outcome.after, detail, attempt, roll)
        elif result == Result.CONFIG:
            # Not the event's fault: it waits, due at once when the destination is mended.
            self._settle(row, State.WAITING, "", detail, due_at=row.turn, attempt=attempt, is_untried=True)
            if outcome.reason == TOKEN_EXPIRED and not self.is_stopped and tokens.refused(self.destination, self.token):
                self.is_stopped = True  # the next claim fetches a fresh one
            elif not self.is_stopped:
                self._hold(Hold.CREDENTIALS, detail)
        else:
            reason = outcome.reason or ("too_old" if result == Result.TOO_OLD else "refused")
            self._settle(row, State.DEAD, reason, detail, attempt=attempt)

    def _retry(self, row: Claimed, after: float | None, detail: str, attempt: Attempt, roll: float) -> None:
        """roll: one for all rows of a request, so that what failed together returns together, in one request."""
        if self.destination.breaker_since is not None:
            # A probe, or on its way when the breaker opened: it keeps its place, and its tries.
            self._settle(row, State.WAITING, "", detail, due_at=row.turn, attempt=attempt, is_untried=True)
            return
        verdict = retry.next_try(
            tries=row.tries,
            now=datetime.now(UTC),
            roll=roll,
            started_at=row.created_at,
            occurred_at=row.occurred_at,
            retry_for=settings.DELIVERY_RETRY_FOR,
            max_age=self.platform.max_age,
            after=after,
        )
        if isinstance(verdict, retry.GiveUp):
            self._settle(row, State.DEAD, verdict.reason, detail, attempt=attempt)
        else:
            self._settle(row, State.WAITING, "", detail, due_at=verdict.at, attempt=attempt)

    def _watch(self, outcomes: Sequence[Outcome]) -> None:
        self.is_stopped = breaker.note(self.destination, outcomes) or self.is_stopped

    def _hold(self, hold: Hold, detail: str) -> None:
        self.is_stopped = True
        if not self.destination.hold:
            self.destination.hold = hold
            if snapshot.stored_version() != self.version:
                return  # it may have been mended since these credentials were read: the next claim will tell
            toggles.set_hold(self.destination, hold, detail, actor="delivery")
            logger.warning(
                "destination held",
                extra={"destination": self.destination.name, "hold": hold.value},
            )

    def _release(self, items: Sequence[Item], attempt: Attempt | None = None) -> None:
        """Give back rows that were claimed and not sent, or sent in a request that was refused for another event."""
        for item in items:
            row = self.rows[item.key]
            self._settle(row, State.WAITING, due_at=row.turn, attempt=attempt, is_untried=True, is_blameless=True)

    def _settle(
        self,
        row: Claimed,
        state: State,
        reason: str = "",
        detail: str = "",
        *,
        due_at: datetime | None = None,
        attempt: Attempt | None = None,
        is_untried: bool = False,
        is_blameless: bool = False,
    ) -> None:
        attempts = (*self.carried.pop(row.id, ()), *((attempt,) if attempt else ()))
        self.settled.append(
            Settled(
                row=row,
                state=state,
                reason=reason,
                detail=detail,
                due_at=due_at,
                attempts=attempts,
                is_untried=is_untried,
                is_blameless=is_blameless,
            )
        )

    def _flush(self) -> None:
        settled, self.settled = self.settled, []
        attempts, self.attempts = self.attempts, []
        record(self.destination, settled, attempts)
        self.flushed_at = time.monotonic()
