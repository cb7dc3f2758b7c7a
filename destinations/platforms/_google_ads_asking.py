"""What is asked of Google Ads without an event: the account, and its conversion actions. Pure.

Sources: developers.google.com/data-manager/api/reference/rest/v1/accountTypes.accounts.userLists/list (the one list
that the scope of sending may read); developers.google.com/google-ads/api/rest/common/search (2026-10).
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.translation import gettext

from destinations.platforms import _reading
from destinations.platforms._google_ads_events import GOOGLE_ADS, digits
from destinations.platforms.base import ACCESS_TOKEN, Config, IdChoice, Outcome, Platform, Request, Response

ACCOUNTS = "https://datamanager.googleapis.com/v1/accountTypes/GOOGLE_ADS/accounts"
SEARCH = "https://googleads.googleapis.com"
CUSTOMER = "SELECT customer.id, customer.descriptive_name FROM customer LIMIT 1"
ACTIONS = (
    "SELECT conversion_action.id, conversion_action.name, conversion_action.status FROM conversion_action"
    " WHERE conversion_action.type = 'UPLOAD_CLICKS' AND conversion_action.status != 'REMOVED'"
    " ORDER BY conversion_action.name"
)
"""Import from clicks: no other type takes what is sent."""


def account(config: Config, version: str) -> Request:
    """Whether who connected may see the account, by the API that events are sent with."""
    if config.get("api") == GOOGLE_ADS:
        return search(config, version, CUSTOMER, "")
    headers = _authorization(config)
    if login := digits(config.get("login_customer_id", "")):
        headers["login-account"] = f"accountTypes/GOOGLE_ADS/accounts/{login}"
    url = f"{ACCOUNTS}/{digits(config.get('customer_id', ''))}/userLists?pageSize=1"
    return Request(method="GET", url=url, headers=headers, body=b"", items=())


def search(config: Config, version: str, query: str, page: str) -> Request:
    """GoogleAdsService.Search: a read, and a POST because a query may be long."""
    headers = _authorization(config) | {"Content-Type": "application/json"}
    if login := digits(config.get("login_customer_id", "")):
        headers["login-customer-id"] = login
    if config.get("developer_token"):
        headers["developer-token"] = config["developer_token"]
    url = f"{SEARCH}/{config.get('api_version') or version}/customers/{digits(config.get('customer_id', ''))}"
    body = msgspec.json.encode({"query": query} | ({"pageToken": page} if page else {}))
    return Request(method="POST", url=f"{url}/googleAds:search", headers=headers, body=body, items=())


def read(platform: Platform, response: Response, config: Config) -> Outcome:
    answer = response.json()
    if _reading.is_good(response) and isinstance(answer, dict) and not answer.get("error"):
        row = next(_reading.objects(answer.get("results")), {})
        customer = row.get("customer")
        name = _reading.quoted(customer.get("descriptiveName")) if isinstance(customer, dict) else ""
        return _reading.good(f"Google Ads account {config.get('customer_id', '')}{name} answers.")
    # Which API was asked shows in its errors only.
    url = SEARCH if config.get("api") == GOOGLE_ADS or b"ads.googleads" in response.body else ""
    return _reading.refused(platform, response, url)


def choices(response: Response) -> list[IdChoice]:
    found = []
    for row in _reading.objects(_reading.fields_of(response).get("results")):
        action: Any = row.get("conversionAction")
        if isinstance(action, dict):
            name, status = _reading.text(action.get("name")), action.get("status")
            label = gettext("%(name)s (hidden)") % {"name": name} if status == "HIDDEN" else name
            found.append(IdChoice(_reading.text(action.get("id")), label))
    return found


def _authorization(config: Config) -> dict[str, str]:
    return {"Authorization": f"Bearer {config.get(ACCESS_TOKEN, '')}"}
