"""Times in the pages: UTC that says so, ready for the reader's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from trackstack_site.templatetags.times import bare_moment, moment, moments

AT = datetime(2026, 1, 31, 23, 5, 9, 123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("precision", "said"),
    [("second", "2026-01-31 23:05:09"), ("minute", "2026-01-31 23:05"), ("day", "2026-01-31"), ("clock", "23:05:09")],
)
def test_a_time_says_its_zone_unless_the_head_of_its_column_does(precision: str, said: str) -> None:
    stamp = '<time datetime="2026-01-31T23:05:09Z"'
    assert moment(AT, precision) == f'{stamp} data-at="{precision}">{said} UTC</time>'
    assert bare_moment(AT, precision) == f'{stamp} data-at="{precision} bare">{said}</time>'


def test_another_zone_and_iso_text_are_brought_to_utc() -> None:
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert moment(tokyo) == moment(AT) == moment("2026-01-31T23:05:09.000123Z") == moment("2026-02-01T08:05:09+09:00")


def test_no_time_is_nothing() -> None:
    assert moment(None) == bare_moment(None) == moment("") == ""


def test_times_in_a_sentence_are_found_and_the_rest_is_escaped() -> None:
    told = moments("<b>Meta</b> rests since 2026-01-31 23:05 UTC, next try 2026-01-31 23:05:09 UTC.")
    assert told.startswith("&lt;b&gt;Meta&lt;/b&gt; rests since <time ")
    assert '<time datetime="2026-01-31T23:05:00Z" data-at="minute">2026-01-31 23:05 UTC</time>' in told
    assert f"next try {moment(AT)}." in told


def test_what_only_looks_like_a_time_stays_as_it_is() -> None:
    assert moments("2026-13-41 23:05 UTC") == "2026-13-41 23:05 UTC"
    assert moments("2026-01-31 23:05") == "2026-01-31 23:05"
