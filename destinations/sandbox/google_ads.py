"""Google Ads: the Data Manager API's `POST /v1/events:ingest`, the Google Ads API's
`POST /{version}/customers/{id}:uploadClickConversions`, the reads
`GET /v1/accountTypes/GOOGLE_ADS/accounts/{id}/userLists` and
`POST /{version}/customers/{id}/googleAds:search`, and Google's token endpoint.

Sources: google/ads/datamanager/v1/*.proto and developers.google.com/data-manager/api/devguides/concepts/
{formatting,understand-errors}; google/ads/googleads/v25/{services/conversion_upload_service,errors/*}.proto and
developers.google.com/google-ads/api/docs/best-practices/partial-failures; developers.google.com/identity/protocols.

Conventions of this double: an access token, refresh token or service account's address that contains `expired`,
`revoked` or `forbidden` is answered as such. A customer id that starts with 404 cannot be reached, one that starts with
403 may not upload by the Google Ads API, one that starts with 402 has not accepted the customer data terms. A
conversion action that starts with 404 is unknown, one that starts with 999 is of another type. A click id that contains
`fresh` is too recent, one that contains `unknown` belongs to no ad; an order id that contains `known` was used before.
"""

from __future__ import annotations

import re
import time

from destinations.sandbox._google_ads_common import TYPE, fail, info
from destinations.sandbox._google_ads_ingest import ingest
from destinations.sandbox._google_ads_reads import search, user_lists
from destinations.sandbox._google_ads_tokens import grant
from destinations.sandbox._google_ads_upload import look_at_row, upload
from destinations.sandbox.base import Answer, Refused, Request, Vendor, read_json

TOKEN_PATH = "/token"  # noqa: S105
INGEST_PATH = "/v1/events:ingest"
UPLOAD_PATH = re.compile(r"/(v\d{2})/customers/(\d{10}):uploadClickConversions")
LISTS_PATH = re.compile(r"/v1/accountTypes/GOOGLE_ADS/accounts/(\d{10})/userLists")
SEARCH_PATH = re.compile(r"/(v\d{2})/customers/(\d{10})/googleAds:search")


class GoogleAds(Vendor):
    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return grant(request, now)
        if request.path == INGEST_PATH:
            return ingest(request, now)
        found = UPLOAD_PATH.fullmatch(request.path)
        if found is None:
            raise Refused(fail(404, f"The requested URL {request.path} was not found on this server."))
        return upload(request, int(found[1][1:]), found[2], now)

    def look(self, request: Request, now: float) -> Answer | None:
        """The user lists of an account, and GoogleAdsService.Search."""
        if found := LISTS_PATH.fullmatch(request.path):
            return user_lists(request, found[1])
        if found := SEARCH_PATH.fullmatch(request.path):
            return search(request, int(found[1][1:]), found[2])
        return None

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Conversion action and transaction or order id; () for a refused row, and for what is only checked."""
        if request.path == TOKEN_PATH:
            return []
        root = read_json(request.body)
        if root.get("validateOnly"):
            return [()] * len(root["events" if request.path == INGEST_PATH else "conversions"])
        if request.path == INGEST_PATH:
            targets = {one.get("reference", ""): one["productDestinationId"] for one in root["destinations"]}
            return [
                (targets[next(iter(one.get("destinationReferences", [])), next(iter(targets)))], one["transactionId"])
                if "transactionId" in one
                else ()
                for one in root["events"]
            ]
        customer = request.path.partition("/customers/")[2][:10]
        return [
            (row["conversionAction"], row["orderId"])
            if "orderId" in row and look_at_row(row, customer, time.time()) is None
            else ()
            for row in root["conversions"]
        ]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                        [info("ACCESS_TOKEN_EXPIRED")])  # fmt: skip
        if status == 429:
            delay = {"@type": f"{TYPE}RetryInfo", "retryDelay": "1s"}
            return fail(429, "Too many requests.", [info("RESOURCE_EXHAUSTED", "datamanager.googleapis.com"), delay])
        return fail(status, {403: "The user does not have permission or the resource is not found."}.get(
            status, "An internal error has occurred." if status >= 500 else "There was a problem with the request."
        ))  # fmt: skip
