"""Check connection and lists of native ids: what holds for every platform of the registry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations import platforms
from destinations.platforms import base
from destinations.platforms.base import IdChoice, Outcome, Platform, Request, Response, Result
from tests.destinations.platforms.making import CONFIG, NOW
from tests.destinations.platforms.test_contract_suite import answers, json_values

PLATFORMS = platforms.every()
each_platform = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.key)

WITHOUT = {"quora", "warehouse"}
"""The platforms that document nothing to ask; each says so in its module."""
NOT_READ_BY_GET: dict[str, str] = {
    "google_ads": "/googleAds:search",
    "microsoft": "/ConversionGoals/QueryByIds",
    "pinterest": "/events?test=true",
    "ga4": "/debug/mp/collect",
    "webhook": "https://",
}
"""Platform → the documented address that is no GET and yet changes nothing."""


OF_THE_ACCOUNT: dict[str, dict[str, str]] = {
    "x": {
        "consumer_key": "k" * 25, "consumer_secret": "s" * 50,
        "access_token": "1234-" + "a" * 40, "access_token_secret": "t" * 45,
    },
    "tiktok": {"advertiser_id": "7012345678901234567"},
    "reddit": {"client_id": "c" * 20, "client_secret": "s" * 30, "refresh_token": "r" * 40},
    "microsoft": {
        "api": "offline", "developer_token": "D" * 12, "customer_id": "21", "account_id": "43",
        "client_id": "00000000-0000-4000-8000-000000000000", "refresh_token": "M.C" + "r" * 40,
    },
}  # fmt: skip
"""Platform → what it needs beside the golden configuration to be asked anything."""


def config_of(platform: Platform) -> dict[str, str]:
    """The golden configuration with what only asking needs, and a token."""
    needed = {field.name: field.example for field in platform.fields if field.name in platform.list_needs}
    more = OF_THE_ACCOUNT.get(platform.key, {})
    oauth = {base.ACCESS_TOKEN: "an-access-token", "oauth.instance_url": "https://acme.my.salesforce.com"}
    return needed | CONFIG[platform.key] | more | (oauth if platform.oauth else {})


def asked(platform: Platform) -> list[Request]:
    config = config_of(platform)
    found = [platform.check(config, NOW), platform.list_ids(config, NOW), platform.list_ids(config, NOW, "2")]
    return [request for request in found if request is not None]


@each_platform
def test_what_is_asked_reads_only_and_tells_no_secret(platform: Platform) -> None:
    config = config_of(platform)
    secrets = [config[name] for name in platform.secret_names if config.get(name)]
    in_url = {config.get(name) for name in platform.url_secrets}
    for request in asked(platform):
        reads = request.method in ("GET", "HEAD", "CHECK")
        assert reads or NOT_READ_BY_GET[platform.key] in request.url
        assert request.items == ()
        assert request.before == ()
        assert all(isinstance(value, str) and "\n" not in value for value in request.headers.values())
        assert not [secret for secret in secrets if secret in request.url and secret not in in_url]
        assert not [secret for secret in secrets if secret.encode() in request.body]
    assert asked(platform) == asked(platform), "the same on every call"


@each_platform
def test_whoever_can_be_asked_is(platform: Platform) -> None:
    assert (platform.check(config_of(platform), NOW) is None) == (platform.key in WITHOUT)


@each_platform
def test_an_empty_configuration_asks_without_raising(platform: Platform) -> None:
    platform.check({}, NOW)
    platform.list_ids({}, NOW)


@each_platform
def test_what_listing_needs_are_fields(platform: Platform) -> None:
    assert set(platform.list_needs) <= {field.name for field in platform.fields}


def read(platform: Platform, response: Response) -> tuple[Outcome, list[IdChoice], str]:
    config = config_of(platform)
    return platform.read_check(response, config), platform.read_ids(response, config), platform.next_page(response)


shapes = st.dictionaries(
    st.sampled_from(
        ["id", "name", "error", "errors", "data", "elements", "results", "paging", "metadata", "next_cursor", "code",
         "nextPageToken", "ConversionGoals", "list", "pixels", "portalId", "region", "validationMessages", "columns"]
    ),
    json_values | st.lists(st.dictionaries(st.sampled_from(["id", "name", "Id", "Name", "conversionAction"]),
                                           json_values, max_size=3), max_size=3),
    max_size=4,
).map(msgspec.json.encode)  # fmt: skip


@each_platform
@settings(max_examples=150, deadline=None)
@given(status=st.integers(100, 599), body=answers | shapes)
def test_any_answer_can_be_read(platform: Platform, status: int, body: bytes) -> None:
    outcome, choices, page = read(platform, Response(status=status, body=body))
    assert outcome.result in (Result.OK, Result.CONFIG, Result.RETRY)
    assert outcome.detail
    assert len(outcome.detail) <= 400
    assert outcome.reason in ("", base.TOKEN_EXPIRED)
    assert all(isinstance(one, IdChoice) and isinstance(one.id, str) and isinstance(one.label, str) for one in choices)
    assert isinstance(page, str)


@each_platform
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_no_fault_of_the_configuration(platform: Platform, status: int) -> None:
    if platform.is_builtin:
        pytest.skip("nobody is asked")
    assert platform.read_check(Response(status=status, body=b"<html>"), config_of(platform)).result == Result.RETRY


@each_platform
def test_a_login_page_is_not_taken_for_an_answer(platform: Platform) -> None:
    if platform.check(config_of(platform), NOW) is None or platform.key in ("webhook", "files"):
        pytest.skip("any 2xx is good there, or nobody is asked")
    page: dict[str, Any] = {"content-type": "text/html"}
    outcome = platform.read_check(Response(status=200, headers=page, body=b"<html>Sign in</html>"), config_of(platform))
    assert outcome.result != Result.OK
