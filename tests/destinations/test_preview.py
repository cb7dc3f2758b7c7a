"""`manage.py preview`: what would be sent, with secrets hidden and every event accounted for. No database."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from destinations import platforms
from destinations.management.commands.preview import moment, read_settings
from destinations.preview import Settings, preview
from events.contract import ContractError
from tests.destinations.platforms.making import CONFIG, NOW, NOW_MS


def event(name: str = "SignUp", **more: Any) -> dict[str, Any]:
    return {"event": name, "eventId": f"{name}-1", "ts": NOW_MS - 1000, "email": "ada@example.com", **more}


def run(key: str, *events: dict[str, Any], **settings: dict[str, str]) -> dict[str, Any]:
    body = json.dumps({"events": events}).encode()
    return preview(platforms.get(key), Settings(**({"config": CONFIG[key]} | settings)), body, NOW)


def reasons(document: dict[str, Any]) -> dict[str, str]:
    return {skip["event_id"]: skip["reason"] for skip in document["skipped"]}


def test_a_request_is_printed_as_it_would_be_sent() -> None:
    document = run("meta", event(), event("Purchase", value=5, currency="usd"))
    (request,) = document["requests"]
    assert request["method"] == "POST"
    assert request["headers"]["Authorization"] == "Bearer ***"
    assert [entry["event_name"] for entry in request["body"]["data"]] == ["CompleteRegistration", "Purchase"]
    assert request["event_ids"] == ["SignUp-1", "Purchase-1"]
    assert document["skipped"] == []


@pytest.mark.parametrize("key", platforms.PLATFORMS)
def test_no_secret_is_printed(key: str) -> None:
    platform = platforms.get(key)
    extra = {"app_secret": "0123456789abcdef0123456789abcdef", "headers": "Authorization: Bearer hunter2hunter2"}
    config = CONFIG[key] | {name: value for name, value in extra.items() if name in platform.secret_names}
    native_ids = {"SignUp": platform.native_id.example} if platform.native_id else {}
    document = json.dumps(run(key, event(anonymousId="anon-1"), config=config, native_ids=native_ids))
    assert '"requests": []' not in document
    for name in platform.secret_names & config.keys():
        assert config[name].rpartition(" ")[2] not in document


def test_every_event_ends_in_a_request_or_a_skip_with_a_reason() -> None:
    document = run(
        "linkedin",
        event("SignUp"),
        event("signup", eventId="bad-name"),
        event("Purchase", eventId="no-rule"),
        event("Refund", eventId="no-name"),
        event("SignUp", eventId="denied", consent={"marketing": False}),
        event("SignUp", eventId="old", ts=NOW_MS - 91 * 86_400_000),
        event("SignUp", eventId="nobody", email=""),
        native_ids={"SignUp": "12345678"},
    )
    assert [request["event_ids"] for request in document["requests"]] == [["SignUp-1"]]
    assert reasons(document) == {
        "bad-name": "rejected",
        "no-rule": "missing_native_id",
        "no-name": "unmapped",
        "denied": "consent_denied",
        "old": "too_old",
        "nobody": "no_identity",
    }
    assert all(skip["detail"].endswith((".", "?")) for skip in document["skipped"])


def test_native_names_override_the_platforms_own() -> None:
    document = run("meta", event(), native_names={"SignUp": "MyName"})
    assert document["requests"][0]["body"]["data"][0]["event_name"] == "MyName"


def test_a_body_of_lines_is_printed_as_text() -> None:
    document = run("warehouse", event(), event("Purchase"))
    assert document["requests"][0]["body"].count("\n") == 2


def test_a_body_that_is_no_text_is_told_by_its_size() -> None:
    body = run("files", event())["requests"][0]["body"]
    assert body.endswith(" bytes that are no text)")
    assert len(body) < 50


def test_without_configuration_the_required_fields_are_placeholders() -> None:
    platform = platforms.get("meta")
    document = preview(platform, read_settings(platform, None), json.dumps(event()).encode(), NOW)
    assert document["requests"][0]["url"] == "https://graph.facebook.com/v26.0/{pixel_id}/events"
    assert document["requests"][0]["headers"]["Authorization"] == "Bearer ***"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "truncated"), ('{"confg": {}}', "confg"), ('{"config": {"pixel_id": "1"}}', "access token is required"),
        ('{"config": {"pixl": "1"}}', "no field pixl"), ('{"config": {"pixel_id": 1}}', "str"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_told_and_exits_with_2(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=word) as caught:
        read_settings(platforms.get("meta"), path)
    assert caught.value.returncode == 2


def test_a_missing_configuration_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        read_settings(platforms.get("meta"), tmp_path / "none.json")


def test_a_body_that_is_no_batch_is_refused() -> None:
    with pytest.raises(ContractError):
        preview(platforms.get("meta"), Settings(config=CONFIG["meta"]), b"not json", NOW)


def test_the_time_of_sending_can_be_set() -> None:
    assert moment("2026-11-23T12:00:00Z") == moment("2026-11-23T13:00:00+01:00") == moment("2026-11-23T12:00:00") == NOW
    with pytest.raises(ArgumentTypeError):
        moment("yesterday")
