"""Ingest keys: made, split, digested and compared."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.keys import digest, make_key, matches, split_key

KEY = "tsk_AbCd1234_" + "s" * 40


def test_a_new_key_splits_into_its_parts() -> None:
    key = make_key()
    assert len(key.text) == 4 + 8 + 1 + 40
    parts = split_key(key.text)
    assert parts is not None
    assert parts[0] == key.prefix
    assert key.text == "tsk_" + "_".join(parts)


def test_keys_differ() -> None:
    assert len({make_key().text for _ in range(100)}) == 100


@pytest.mark.parametrize("text", [f" {KEY}\n", "tsk_AbCd1234_" + "s" * 32])
def test_split_forgives_white_space_and_takes_32_characters(text: str) -> None:
    parts = split_key(text)
    assert parts is not None
    assert parts[0] == "AbCd1234"


@pytest.mark.parametrize(
    "text",
    ["", "tsk_", "tsk_AbCd1234", "tsk_AbCd1234_short", KEY.upper(), KEY + "_x", KEY[4:], KEY + "é", "x" + KEY, KEY * 9],
)
def test_what_is_no_key_splits_into_none(text: str) -> None:
    assert split_key(text) is None


@given(st.text())
def test_split_never_raises(text: str) -> None:
    split_key(text)


def test_digest_is_hmac_sha256_of_the_whole_key() -> None:
    assert digest(KEY, "pepper") == hmac.new(b"pepper", KEY.encode(), hashlib.sha256).hexdigest()
    assert digest(f" {KEY}\n", "pepper") == digest(KEY, "pepper")


def test_any_pepper_of_the_ring_matches() -> None:
    stored = digest(KEY, "old")
    assert matches(KEY, stored, ["old"])
    assert matches(KEY, stored, ["new", "old"])
    assert not matches(KEY, stored, ["new"])
    assert not matches(KEY, stored, [])
    assert not matches(make_key().text, stored, ["new", "old"])


@pytest.mark.parametrize("stored", ["", "0" * 64, "é"])
def test_a_broken_digest_matches_nothing(stored: str) -> None:
    assert not matches(KEY, stored, ["old"])
