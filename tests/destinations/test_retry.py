from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from destinations.retry import LONGEST_SECONDS, Again, GiveUp, backoff_seconds, next_try

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ask(**changes: object) -> Again | GiveUp:
    values: dict[str, object] = {
        "tries": 1,
        "now": NOW,
        "roll": 0.5,
        "started_at": NOW,
        "occurred_at": NOW,
        "retry_for": timedelta(hours=72),
        "max_age": timedelta(days=7),
    }
    return next_try(**{**values, **changes})  # type: ignore[arg-type]


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_up_to_a_doubling_ceiling(tries: int, roll: float) -> None:
    assert 0 <= backoff_seconds(tries, roll) <= min(LONGEST_SECONDS, 5 * 2 ** min(tries - 1, 20))


def test_ceilings_go_from_seconds_to_hours() -> None:
    ceilings = [round(backoff_seconds(tries, 0.9999999)) for tries in (1, 2, 3, 8, 12, 40)]
    assert ceilings == [5, 10, 20, 640, 7200, 7200]


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True), st.floats(0.001, 3600))
def test_retry_after_is_never_undercut(tries: int, roll: float, after: float) -> None:
    verdict = ask(tries=tries, roll=roll, after=after)
    assert isinstance(verdict, Again)
    assert verdict.at >= NOW + timedelta(seconds=after) - timedelta(microseconds=1)


def test_a_wait_beyond_the_deadline_is_cut_to_a_last_try() -> None:
    assert ask(after=30 * 86400.0) == Again(NOW + timedelta(hours=72))
    assert ask(after=1e300) == Again(NOW + timedelta(hours=72))
    almost = NOW - timedelta(days=6, hours=23)
    assert ask(occurred_at=almost, after=7200.0) == Again(almost + timedelta(days=7))


def test_at_once_when_asked_so() -> None:
    assert ask(tries=9, after=0.0) == Again(NOW)


def test_gives_up_as_exhausted_after_the_time_allowed() -> None:
    assert ask(started_at=NOW - timedelta(hours=72), tries=20) == GiveUp("exhausted")


def test_gives_up_as_too_old_when_the_platform_would_not_take_it_any_more() -> None:
    assert ask(occurred_at=NOW - timedelta(days=7)) == GiveUp("too_old")
    assert isinstance(ask(occurred_at=NOW - timedelta(days=60), max_age=None), Again)
