"""What of Google Ads only reads: the user lists of an account, and GoogleAdsService.Search."""

from __future__ import annotations

import re
from typing import Any

from destinations.sandbox._google_ads_common import check_request, check_token, fail, info
from destinations.sandbox._google_ads_upload import ads_error, ads_failure, check_customer
from destinations.sandbox.base import Answer, Request

ACTIONS = [
    ("7012345678", "Sign-up", "UPLOAD_CLICKS", "ENABLED"),
    ("7012345679", "Purchase", "UPLOAD_CLICKS", "HIDDEN"),
    ("7012345680", "Page view", "WEBPAGE", "ENABLED"),
    ("7012345681", "Old", "UPLOAD_CLICKS", "REMOVED"),
]
QUERY = re.compile(
    r"SELECT ([a-z_., ]+) FROM (customer|conversion_action)( WHERE .+?)?( ORDER BY [a-z_.]+)?( LIMIT \d+)?"
)
FIELDS = {
    "customer": {"customer.id", "customer.descriptive_name"},
    "conversion_action": {f"conversion_action.{name}" for name in ("id", "name", "type", "status", "resource_name")},
}


def user_lists(request: Request, account: str) -> Answer:
    if request.method != "GET":
        return fail(404, f"The requested URL {request.path} was not found on this server.")
    check_token(request)
    login = request.headers.get("login-account", "accountTypes/GOOGLE_ADS/accounts/1112223333")
    if request.parameters.keys() - {"pageSize", "pageToken", "filter"} or not re.fullmatch(
        r"accountTypes/GOOGLE_ADS/accounts/\d{10}", login
    ):
        return fail(400, "Request contains an invalid argument.", [info("INVALID_ARGUMENT")])
    if account.startswith("404"):
        return fail(403, "The caller does not have permission.", [info("PERMISSION_DENIED")])
    return Answer.of(200, {"userLists": []})


def search(request: Request, version: int, customer: str) -> Answer:
    root = check_request(request)
    check_customer(request, version, customer)
    query = root.get("query") if isinstance(root, dict) else None
    found = QUERY.fullmatch(query) if isinstance(query, str) else None
    fields = set(found[1].split(", ")) if found else set()
    if found is None or root.keys() - {"query", "pageToken"} or not fields <= FIELDS[found[2]]:
        error = ads_error("queryError", "UNEXPECTED_INPUT", "Error in query: unexpected input.")
        return fail(400, "Request contains an invalid argument.", [ads_failure([error])])
    mask = ",".join(_camel(field) for field in found[1].split(", "))
    if found[2] == "customer":
        rows: list[dict[str, Any]] = [
            {
                "customer": {
                    "resourceName": f"customers/{customer}",
                    "id": customer,
                    "descriptiveName": "Example account",
                }
            }
        ]
    else:
        rows = [
            {"conversionAction": {"resourceName": f"customers/{customer}/conversionActions/{key}", "id": key,
                                  "name": name, "status": status}}
            for key, name, kind, status in ACTIONS
            if "type = 'UPLOAD_CLICKS'" not in found[0] or (kind == "UPLOAD_CLICKS" and status != "REMOVED")
        ]  # fmt: skip
    return Answer.of(200, {"results": rows, "fieldMask": mask, "queryResourceConsumption": "232"})


def _camel(field: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), field)
