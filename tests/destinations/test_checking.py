"""Check connection and native ids, asked of a sandbox over real HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from destinations import checking, outgoing, platforms
from destinations.http import NoAnswer
from destinations.models import AccessToken, Attempt, Delivery, Destination, LedgerEntry
from destinations.platforms.base import ACCESS_TOKEN, IdChoice, Request, Response
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


def test_the_rules_of_an_account_are_listed(sandbox: Sandbox) -> None:
    listing = checking.native_ids(make_destination("linkedin"))
    assert listing is not None
    assert listing.problem == ""
    assert listing.choices == [
        ("10000001", "Sign up"),
        ("10000002", "Purchase"),
        ("10000003", "Old lead form (switched off)"),
    ]


def test_what_listing_needs_is_asked_for(sandbox: Sandbox) -> None:
    linkedin = make_destination("linkedin", settings={})
    listing = checking.native_ids(linkedin)
    assert listing is not None
    assert listing.choices == []
    assert listing.problem.startswith("LinkedIn lists them once the settings have: Ad account. The number in")
    assert checking.check(linkedin) is None


def test_a_refused_list_says_why(sandbox: Sandbox) -> None:
    linkedin = with_secrets("linkedin", access_token="forbidden" + "x" * 60)
    listing = checking.native_ids(linkedin)
    assert listing is not None
    assert listing.choices == []
    assert "may not write to this ad account" in listing.problem
    linkedin.settings["ad_account_id"] = "404123456"
    linkedin.secrets["access_token"] = "AQ" + "x" * 60
    listing = checking.native_ids(linkedin)
    assert listing is not None
    assert "does not exist" in listing.problem


OAUTH1 = {
    "consumer_key": "k" * 25, "consumer_secret": "s" * 50,
    "access_token": "1234-" + "a" * 40, "access_token_secret": "t" * 45,
}  # fmt: skip
OFFLINE_SETTINGS = {
    "api": "offline", "customer_id": "21", "account_id": "43", "client_id": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip
OFFLINE_SECRETS = {"developer_token": "D" * 12, "refresh_token": "M.C" + "r" * 40}


REDDIT_LOGIN = {"client_id": "c" * 20, "client_secret": "s" * 30, "refresh_token": "r" * 40}
S3 = {
    "target": "s3", "bucket": "acme-exports", "access_key_id": "AKIAEXAMPLE00000", "secret_access_key": "x" * 40,
}  # fmt: skip


def sentence_of(destination: Destination) -> tuple[bool, str]:
    verdict = checking.check(destination)
    assert verdict is not None
    return verdict.is_good, verdict.sentence


def test_google_ads_by_either_api(sandbox: Sandbox) -> None:
    google = make_destination("google_ads")
    assert sentence_of(google) == (True, "Google Ads account 123-456-7890 answers. (The built-in sandbox.)")
    google.settings["api"] = "google_ads"
    good, sentence = sentence_of(google)
    assert good
    assert "123-456-7890 “Example account” answers." in sentence
    for api in ("data_manager", "google_ads"):
        google.settings |= {"api": api, "customer_id": "404-456-7890"}
        good, sentence = sentence_of(google)
        assert not good
        assert "give who connected access" in sentence


def test_the_conversion_actions_of_google_ads_are_listed(sandbox: Sandbox) -> None:
    google = make_destination("google_ads")
    listing = checking.native_ids(google)
    assert listing == checking.Listing(
        [IdChoice("7012345678", "Sign-up"), IdChoice("7012345679", "Purchase (hidden)")], ""
    )
    AccessToken.objects.update(values={ACCESS_TOKEN: "ya29.forbidden-" + "x" * 20})
    listing = checking.native_ids(google)
    assert listing is not None
    assert "allow the scope of this API" in listing.problem


def test_a_token_that_has_ended_is_replaced_once(sandbox: Sandbox) -> None:
    google = make_destination("google_ads")
    assert sentence_of(google)[0]
    old = timezone.now() - timedelta(hours=2)
    AccessToken.objects.update(values={ACCESS_TOKEN: "ya29.expired-" + "x" * 20}, fetched_at=old)
    assert sentence_of(google)[0]
    AccessToken.objects.update(values={ACCESS_TOKEN: "ya29.expired-" + "x" * 20}, fetched_at=old)
    listing = checking.native_ids(google)
    assert listing is not None
    assert listing.problem == ""
    assert AccessToken.objects.get().values[ACCESS_TOKEN] == "ya29.sandbox-access-token"


def test_a_refresh_token_that_was_revoked_is_said(sandbox: Sandbox) -> None:
    google = with_secrets("google_ads", refresh_token="1//revoked-" + "x" * 30, service_account_json="")
    good, sentence = sentence_of(google)
    assert not good
    assert "connect again" in sentence
    listing = checking.native_ids(google)
    assert listing is not None
    assert "connect again" in listing.problem


def test_x_is_asked_with_the_keys_of_the_account(sandbox: Sandbox) -> None:
    x = make_destination("x")
    assert checking.check(x) is None, "a pixel's token reads nothing"
    x = with_secrets("x", **OAUTH1)
    assert sentence_of(x) == (True, "Ad account 18ce54d4x5t answers. (The built-in sandbox.)")
    assert checking.native_ids(x) == checking.Listing(
        [IdChoice("tw-o8z6j-o87ne", "Sign-up (sign up)"), IdChoice("tw-o8z6j-o87nf", "Purchase (purchase)")], ""
    )
    x.settings["account_id"] = "404abcdef"
    good, sentence = sentence_of(x)
    assert not good
    assert "NOT_FOUND" in sentence
    del x.settings["account_id"]
    assert sentence_of(x) == (True, "X takes the keys. (The built-in sandbox.)")
    x.secrets["access_token"] = "1234-revoked" + "a" * 40
    good, sentence = sentence_of(x)
    assert not good
    assert "Make a new access token" in sentence


def test_the_offline_goals_of_microsoft_are_listed_by_name(sandbox: Sandbox) -> None:
    assert checking.check(make_destination("microsoft")) is None
    assert checking.native_ids(make_destination("microsoft")) is None
    offline = make_destination("microsoft", settings=OFFLINE_SETTINGS, secrets=OFFLINE_SECRETS)
    assert sentence_of(offline) == (True, "Account 43 answers. (The built-in sandbox.)")
    listing = checking.native_ids(offline)
    assert listing is not None
    assert [one.id for one in listing.choices] == ["sign_up", "purchase", "old lead"]
    offline.secrets["developer_token"] = "revoked123456"
    good, sentence = sentence_of(offline)
    assert not good
    assert "Check the developer token" in sentence


GOOD: dict[str, tuple[dict[str, str], str]] = {
    "meta": ({}, "Pixel “Example pixel” answers."),
    "linkedin": ({}, "Ad account 512345678 answers."),
    "google_ads": ({}, "Google Ads account 123-456-7890 answers."),
    "tiktok": ({"advertiser_id": "7012345678901234567"}, "Pixel “Example pixel” answers."),
    "reddit": (REDDIT_LOGIN, "Reddit takes the login"),
    "x": (OAUTH1, "Ad account 18ce54d4x5t answers."),
    "microsoft": (OFFLINE_SETTINGS | OFFLINE_SECRETS, "Account 43 answers."),
    "pinterest": ({}, "took a test event and recorded nothing."),
    "snapchat": ({}, "Pixel 1ec32188-754e-4be2-8e55-c949a984a39f answers."),
    "ga4": ({}, "finds nothing wrong with the shape of an event."),
    "hubspot": ({}, "HubSpot account 12345678 answers."),
    "salesforce": ({}, "example.my.salesforce.com answers."),
    "customerio": ({}, "Customer.io takes the keys, and the region is right."),
    "clickhouse": ({}, "Table trackstack_events answers."),
    "bigquery": ({}, "Table trackstack.trackstack_events answers."),
    "tinybird": ({}, "Data source trackstack_events answers."),
    "files": (S3, "Bucket acme-exports answers"),
    "webhook": ({}, "The endpoint took a signed ping."),
}
"""Platform → what is configured beside its example, and what the verdict says."""

BAD: list[tuple[str, dict[str, str], str]] = [
    ("meta", {"access_token": "EAA-expired-" + "x" * 60}, "Session has expired"),
    ("meta", {"access_token": "EAA-forbidden-" + "x" * 60}, "sufficient permissions"),
    ("linkedin", {"access_token": "revoked" + "x" * 60}, "refused the access token"),
    ("linkedin", {"ad_account_id": "404123456"}, "does not know the conversion rule or ad account"),
    ("tiktok", {"access_token": "revoked" + "x" * 40}, "wrong or revoked"),
    ("tiktok", {"access_token": "forbidden" + "x" * 40}, "may not list this advertiser's pixels"),
    ("tiktok", {"pixel_code": "NOPIXEL0000000000000"}, "the advertiser has no such pixel"),
    ("reddit", {"refresh_token": "revoked" + "x" * 40}, "Authorize the app again"),
    ("x", {"access_token": "1234-forbidden" + "x" * 40}, "ask X for it"),
    ("microsoft", {"refresh_token": "expired" + "x" * 40}, "Sign in again"),
    ("pinterest", {"conversion_token": "pina_expired"}, "generate a new one in Ads Manager"),
    ("pinterest", {"conversion_token": "pina_forbidden"}, "may not write to this ad account"),
    ("pinterest", {"ad_account_id": "404755885175"}, "does not know this ad account"),
    ("snapchat", {"access_token": "eyJ-revoked"}, "generate a new one in Business Manager"),
    ("snapchat", {"access_token": "eyJ-forbidden"}, "must come from the business that owns the Pixel"),
    ("snapchat", {"pixel_id": "40432188-754e-4be2-8e55-c949a984a39f"}, "does not know this Pixel"),
    ("ga4", {"measurement_id": "G-404EXAMPLE"}, "check measurement ID"),
    ("hubspot", {"access_token": "pat-na1-revoked-00000000"}, "HubSpot does not know the access token"),
    ("hubspot", {"access_token": "pat-na1-forbidden-000000"}, "scopes"),
    ("hubspot", {"portal_id": "87654321"}, "The token is of HubSpot account 12345678, the Hub ID says 87654321"),
    ("salesforce", {"client_secret": "revoked-" + "x" * 32}, "Check My Domain, consumer key and secret"),
    ("salesforce", {"api_version": "25.0"}, "retired this API version"),
    ("customerio", {"api_key": "revoked00000000"}, "Customer.io refused the keys"),
    ("customerio", {"region": "eu"}, "The account is kept in the region us: choose it."),
    ("clickhouse", {"password": "expired-password"}, "check user name and password"),
    ("clickhouse", {"table": "missing_events"}, "There is no table missing_events"),
    ("clickhouse", {"database": "missing"}, "correct the database's name"),
    ("bigquery", {"table": "missing_events"}, "correct project, data set or table"),
    ("tinybird", {"token": "p.revoked-token"}, "the token must be valid"),
    ("tinybird", {"data_source": "missing_events"}, "Tinybird has no data source missing_events"),
    ("files", {"access_key_id": "AKIAREVOKED00000"}, "check the access key id"),
    ("files", {"bucket": "missing-bucket"}, "create the bucket"),
    ("webhook", {"secret": "whsec_" + "A" * 32}, "refused the signature"),
]
"""Platform, what is wrong, and what the verdict says to do."""


def configured(platform: str, values: dict[str, str]) -> Destination:
    destination = make_destination(platform)
    secret = platforms.get(platform).secret_names
    values = GOOD[platform][0] | values
    destination.secrets |= {name: value for name, value in values.items() if name in secret}
    destination.settings |= {name: value for name, value in values.items() if name not in secret}
    destination.save()
    return destination


@pytest.mark.parametrize("platform", GOOD)
def test_every_platform_says_that_it_answers(sandbox: Sandbox, platform: str) -> None:
    good, sentence = sentence_of(configured(platform, {}))
    assert good, sentence
    assert GOOD[platform][1] in sentence
    (entry, *_) = sandbox.received(platform)
    assert sandbox.accepted(platform) == {}, "nothing counts"
    assert entry["status"] < 300


def test_every_platform_with_a_check_is_asked_here() -> None:
    assert set(GOOD) | {"quora", "warehouse"} == set(platforms.PLATFORMS)


@pytest.mark.parametrize(("platform", "values", "said"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_every_platform_says_what_to_do(sandbox: Sandbox, platform: str, values: dict[str, str], said: str) -> None:
    destination = configured(platform, values)
    good, sentence = sentence_of(destination)
    assert not good, sentence
    assert said in sentence
    assert not [value for value in destination.secrets.values() if value in sentence]


@pytest.mark.parametrize("platform", sorted(set(GOOD) - {"webhook"}))
@pytest.mark.parametrize("kind", ["500", "html", "empty", "truncated"])
def test_no_failure_of_the_platform_is_taken_for_an_answer(sandbox: Sandbox, platform: str, kind: str) -> None:
    destination = configured(platform, {})
    if destination.platform.oauth is not None:
        sentence_of(destination)  # the token is there
    sandbox.fail(platform, kind)
    good, sentence = sentence_of(destination)
    assert not good, sentence
    assert "bug" not in sentence


def test_keys_that_may_only_write_are_good_and_it_is_said_what_is_not_known(sandbox: Sandbox) -> None:
    good, sentence = sentence_of(configured("files", {"access_key_id": "AKIAFORBIDDEN000"}))
    assert good
    assert "It may not list acme-exports; whether it may write shows with the first file." in sentence
    good, sentence = sentence_of(configured("tinybird", {"token": "p.appendonly-token"}))
    assert good
    assert "may not read trackstack_events" in sentence


def test_the_folder_for_files_is_tried_and_left_as_it_was(settings: Any, tmp_path: Path) -> None:
    settings.FILES_ROOT = tmp_path / "exports"
    files = make_destination("files", is_sandbox=False)
    tmp_path.joinpath("exports").mkdir()
    assert sentence_of(files) == (True, "The folder events can be written.")
    assert list(tmp_path.joinpath("exports").iterdir()) == []
    settings.FILES_ROOT = tmp_path / "file"
    settings.FILES_ROOT.write_text("in the way")
    good, sentence = sentence_of(files)
    assert not good
    assert "cannot be written" in sentence


def page_of(start: int, count: int) -> bytes:
    rules = [{"id": 10_000_000 + start + at, "name": f"Rule {start + at}"} for at in range(count)]
    return json.dumps({"paging": {"start": start, "count": 100}, "elements": rules}).encode()


def test_pages_are_followed_to_the_end_and_no_further_than_the_bound(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    linkedin = make_destination("linkedin")
    total = 230

    def send(_: Destination, request: Request, **__: Any) -> tuple[Response, int]:
        start = int(dict(parse_qsl(request.url))["start"])
        return Response(status=200, body=page_of(start, min(100, total - start))), 1

    monkeypatch.setattr(outgoing, "send", send)
    listing = checking.native_ids(linkedin)
    assert listing is not None
    assert (len(listing.choices), listing.problem) == (230, "")
    total = 10_000
    listing = checking.native_ids(linkedin)
    assert listing is not None
    assert len(listing.choices) == 100 * checking.MOST_PAGES
    assert listing.problem.startswith("Only the first 500 are shown")


def test_ids_that_no_route_takes_and_repetitions_are_left_out(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"id": "x"}, {"id": 10000001}, {"id": 10000001, "name": "Again"}, None, {"name": "No id"}]
    body = json.dumps({"elements": rules}).encode()
    monkeypatch.setattr(outgoing, "send", lambda *_, **__: (Response(status=200, body=body), 1))
    listing = checking.native_ids(make_destination("linkedin"))
    assert listing == checking.Listing([IdChoice("10000001", "10000001")], "")


def test_an_account_without_any_is_told_what_to_do(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "send", lambda *_, **__: (Response(status=200, body=b'{"elements":[]}'), 1))
    listing = checking.native_ids(make_destination("linkedin"))
    assert listing == checking.Listing([], "The account has none yet: create one at LinkedIn.")


def test_the_command_prints_the_verdict(sandbox: Sandbox) -> None:
    make_destination("meta", name="EU")
    out = io.StringIO()
    call_command("check_destination", "EU", stdout=out, skip_checks=False)
    assert out.getvalue().startswith("Good: Pixel “Example pixel” answers.")
    with pytest.raises(CommandError):
        call_command("check_destination", "Nowhere")
