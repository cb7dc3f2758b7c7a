"""Check connection and native ids, asked of a sandbox over real HTTP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from destinations import checking, outgoing, platforms
from destinations.http import NoAnswer
from destinations.models import Attempt, Delivery, Destination, LedgerEntry
from destinations.platforms.base import Request, Response
from destinations.sandbox.server import Sandbox, running_sandbox
from tests.factories import make_destination

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings: Any) -> Iterator[Sandbox]:
    with running_sandbox() as running:
        settings.SANDBOX_URL = running.url
        yield running


def with_secrets(platform: str, **secrets: str) -> Destination:
    destination = make_destination(platform)
    destination.secrets = {**destination.secrets, **secrets}
    destination.save()
    return destination


def test_a_good_connection_names_what_answers(sandbox: Sandbox) -> None:
    verdict = checking.check(make_destination("meta"))
    assert verdict is not None
    assert verdict.is_good
    assert verdict.sentence == "Pixel “Example pixel” answers. (The built-in sandbox.)"
    assert verdict.latency_ms is not None


def test_a_refused_token_is_said_and_never_shown(sandbox: Sandbox) -> None:
    token = "EAA-revoked-" + "x" * 60
    verdict = checking.check(with_secrets("meta", access_token=token))
    assert verdict is not None
    assert not verdict.is_good
    assert "invalidated" in verdict.sentence
    assert token not in verdict.sentence


def test_a_secret_that_the_platform_echoes_is_masked(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = make_destination("meta")
    body = b'{"error":{"code":190,"message":"bad token %b"}}' % meta.secrets["access_token"].encode()
    monkeypatch.setattr(outgoing, "send", lambda *_, **__: (Response(status=401, body=body), 3))
    verdict = checking.check(meta)
    assert verdict is not None
    assert "bad token ***" in verdict.sentence


def test_an_unknown_pixel_is_a_fault_of_the_settings(sandbox: Sandbox) -> None:
    meta = make_destination("meta")
    meta.settings["pixel_id"] = "4041234567890"
    verdict = checking.check(meta)
    assert verdict is not None
    assert not verdict.is_good
    assert "does not exist" in verdict.sentence


def test_a_platform_that_is_down_is_not_blamed_on_the_settings(sandbox: Sandbox) -> None:
    sandbox.fail("meta", "503")
    verdict = checking.check(make_destination("meta"))
    assert verdict is not None
    assert not verdict.is_good
    assert verdict.sentence.startswith("It could not be checked just now, try again later:")


def test_no_answer_is_a_sentence(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def send(destination: Destination, request: Request, *, timeout: float) -> Any:
        seen.append(timeout)
        return NoAnswer("No answer within 8 s."), 8000

    monkeypatch.setattr(outgoing, "send", send)
    verdict = checking.check(make_destination("meta"))
    assert verdict is not None
    assert verdict.latency_ms == 8000
    assert "No answer within 8 s." in verdict.sentence
    assert seen == [checking.SECONDS]


def test_what_is_missing_is_told_without_asking(sandbox: Sandbox) -> None:
    meta = make_destination("meta", secrets={})
    verdict = checking.check(meta)
    assert verdict == checking.Verdict(False, "Conversions API access token is required.", None)
    assert sandbox.received("meta") == []


def test_sandbox_mode_without_a_sandbox_is_told(settings: Any) -> None:
    settings.SANDBOX_URL = ""
    verdict = checking.check(make_destination("meta"))
    assert verdict is not None
    assert "SANDBOX_URL" in verdict.sentence


def test_the_built_in_warehouse_has_nobody_to_ask() -> None:
    warehouse = Destination.objects.get(platform_key="warehouse")
    assert checking.check(warehouse) is None
    assert checking.native_ids(warehouse) is None


def test_a_bug_in_an_adapter_is_a_verdict(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(type(platforms.get("meta")), "read_check", broken)
    verdict = checking.check(make_destination("meta"))
    assert verdict is not None
    assert not verdict.is_good
    assert "bug" in verdict.sentence


def test_nothing_is_written_and_nothing_counts(sandbox: Sandbox) -> None:
    meta = make_destination("meta")
    before = Destination.objects.filter(pk=meta.pk).values().get()
    checking.check(meta)
    assert Destination.objects.filter(pk=meta.pk).values().get() == before
    assert not Delivery.objects.exists()
    assert not Attempt.objects.exists()
    assert not LedgerEntry.objects.exists()
    (entry,) = sandbox.received("meta")
    assert (entry["method"], entry["accepted"]) == ("GET", 0)


def test_the_command_prints_the_verdict(sandbox: Sandbox) -> None:
    make_destination("meta", name="EU")
    out = io.StringIO()
    call_command("check_destination", "EU", stdout=out)
    assert out.getvalue().startswith("Good: Pixel “Example pixel” answers.")
    with pytest.raises(CommandError):
        call_command("check_destination", "Nowhere")
