from __future__ import annotations

import json
import re

from destinations.masking import email, masked

HASH = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"


def test_identity_is_masked_in_bodies_hashed_or_plain() -> None:
    body = {
        "data": [{"event_name": "Lead", "user_data": {"em": [HASH], "fn": HASH, "client_ip_address": "203.0.113.7"}}],
        "user": {"userIds": [{"idType": "SHA256_EMAIL", "idValue": HASH}]},
        "firstName": 'A"da',
        "note": "write to ada@example.com",
    }
    text = masked(json.dumps(body))
    for secret in (HASH, "203.0.113.7", "da", "ada@example.com"):
        assert secret not in text.replace('"data"', "").replace("user_data", "")
    assert "Lead" in text
    assert json.loads(text)["user"]["userIds"][0]["idType"] == "SHA256_EMAIL"


def test_secrets_are_masked_wherever_they_stand() -> None:
    assert masked("https://x.example/?access_token=topsecret1", ["topsecret1"]) == "https://x.example/?access_token=***"


def test_a_value_cut_in_the_middle_is_masked_too() -> None:
    assert "ada.love" not in masked('{"email":"ada.lovelace@example.com"}'[:20])


def test_long_bodies_are_capped_and_say_so() -> None:
    text = masked(b"x" * 100_000, cap=100)
    assert len(text) < 140
    assert "100000 bytes" in text


def test_nul_cannot_reach_the_database() -> None:
    assert "\x00" not in masked(b"a\x00b")


def test_email_keeps_what_recognises_and_no_more() -> None:
    assert email("ada@example.com") == "a***@example.com"
    assert email("nonsense") == "***"


def test_a_long_run_of_letters_costs_no_more_than_its_length() -> None:
    """Counted in steps, not in seconds: a pattern that begins again at each letter would begin 50,000 times."""
    from destinations.masking import _EMAIL

    text = "x" * 50_000
    assert _EMAIL.search(text) is None
    assert len(list(re.finditer(r"(?<![\w.+%-])(?=[\w.+%-])", text))) == 1


def test_numbers_capitals_and_ipv6_are_masked_too() -> None:
    text = masked('{"Phone": 14155550199, "Full_Name": "Zebulon", "note": "from 2001:db8::1 at 10:20:30"}')
    assert "1415" not in text
    assert "Zebulon" not in text
    assert "2001:db8" not in text
    assert "10:20:30" in text
