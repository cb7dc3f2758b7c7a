"""The double of S3-compatible storage: signature, path and content of a Parquet file."""

from __future__ import annotations

import time
from hashlib import sha256
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from destinations import platforms
from destinations.platforms.base import Response, Result
from destinations.sandbox import base
from destinations.sandbox.files import Files
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import item
from tests.destinations.sandbox.support import GONE, Reply, ask
from tests.destinations.sandbox.warehouses import ITEMS, build, deliver

PATH = f"/files/acme-events/events/date=2026-11-23/{'a' * 64}.parquet"
TEXT = """
    email phone first_name last_name city state zip country external_id anonymous_id currency transaction_id order_id
    plan previous_plan subscription_id refund_id lead_id company_id company_name company_domain account_name crm_id
    opportunity_id opportunity_stage pipeline_stage sales_owner page_url page_title referrer content_type content_id
    content_name content_category content_ids feature demo_type action_type payment_method lead_event_source client_ip
    user_agent click_ids consent properties event_id event
"""


def columns() -> dict[str, Any]:
    made: dict[str, Any] = {name: pa.array([None], pa.string()) for name in TEXT.split()}
    return made | {
        "event_id": pa.array(["evt-1"]),
        "event": pa.array(["SignUp"]),
        "occurred_at": pa.array([1_795_431_600_000], pa.timestamp("ms", tz="UTC")),
        "value": pa.array([1.5]),
        "num_items": pa.array([None], pa.int64()),
    }


def file_of(**changes: Any) -> bytes:
    target = BytesIO()
    pq.write_table(pa.table({k: v for k, v in (columns() | changes).items() if v is not GONE}), target)
    return target.getvalue()


def put(sandbox: Sandbox, body: bytes | None = None, path: str = PATH, method: str = "PUT",
        key_id: str = "AKIAEXAMPLEEXAMPLE00", region: str = "eu-central-1", at: float = 0,
        names: str = "content-type;host;x-amz-content-sha256;x-amz-date", **headers: Any) -> Reply:  # fmt: skip
    body = file_of() if body is None else body
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + at))
    scope = f"{key_id}/{moment[:8]}/{region}/s3/aws4_request"
    sent = {
        "Content-Type": "application/vnd.apache.parquet",
        "X-Amz-Date": moment,
        "X-Amz-Content-SHA256": sha256(body).hexdigest(),
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={'0' * 64}",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in sent.items() if value is not GONE})


def code_of(reply: Reply) -> str:
    return reply.body.decode().partition("<Code>")[2].partition("</Code>")[0]


def test_a_good_file_has_an_etag(sandbox: Sandbox) -> None:
    reply = put(sandbox)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["etag"].startswith('"')
    assert ask(sandbox.url, "GET", "/_accepted").json == {"evt-1": 1}


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"method": "POST"}, 405, "MethodNotAllowed"),
        ({"path": "/files/acme-events/x.txt"}, 400, "InvalidURI"),
        ({"path": PATH + "?acl"}, 400, "InvalidURI"),
        ({"path": PATH.replace("acme-events", "missing-bucket")}, 404, "NoSuchBucket"),
        ({"Authorization": GONE}, 403, "AccessDenied"),
        ({"Authorization": "AWS AKIA:x"}, 403, "AccessDenied"),
        ({"key_id": "AKIAEXPIREDEXPIRED00"}, 400, "ExpiredToken"),
        ({"key_id": "AKIAREVOKEDREVOKED00"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "AKIAFORBIDDEN0000000"}, 403, "AccessDenied"),
        ({"names": "host;x-amz-date"}, 403, "AccessDenied"),
        ({"X_Amz_Acl": "public-read"}, 403, "AccessDenied"),
        ({"X_Amz_Date": "yesterday"}, 403, "AccessDenied"),
        ({"X_Amz_Date": "20200101T000000Z"}, 403, "SignatureDoesNotMatch"),
        ({"at": 3600}, 403, "RequestTimeTooSkewed"),
        ({"at": -3600}, 403, "RequestTimeTooSkewed"),
        ({"region": "wrong-region-1"}, 400, "AuthorizationHeaderMalformed"),
        ({"X_Amz_Content_SHA256": "0" * 64}, 400, "XAmzContentSHA256Mismatch"),
        ({"Content_Type": "text/plain"}, 400, "InvalidArgument"),
        ({"body": b"PAR1"}, 400, "InvalidRequest"),
    ],
    ids=str,
)
def test_requests(sandbox: Sandbox, options: dict[str, Any], status: int, code: str) -> None:
    reply = put(sandbox, **options)
    assert (reply.status, code_of(reply)) == (status, code)


@pytest.mark.parametrize(
    "changes",
    [
        {"email": GONE}, {"mine": pa.array(["x"])}, {"event_id": pa.array([None], pa.string())},
        {"event": pa.array([None], pa.string())}, {"occurred_at": pa.array(["2026-11-23"])},
        {"occurred_at": pa.array([1], pa.timestamp("us", tz="UTC"))}, {"value": pa.array([1], pa.int64())},
        {"properties": pa.array(["{"])},
    ],
    ids=lambda changes: str(changes)[:40],
)  # fmt: skip
def test_content(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert code_of(put(sandbox, file_of(**changes))) == "InvalidRequest"
    assert ask(sandbox.url, "GET", "/_accepted").json == {}


# --- With the adapter ---------------------------------------------------------------------------------
def test_what_the_adapter_builds_is_taken(sandbox: Sandbox) -> None:
    assert [outcome.result for outcome in deliver(sandbox, "files")] == [Result.OK] * len(ITEMS)
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(5)}


def test_what_it_builds_for_the_exports_folder_is_taken() -> None:
    request = build("files", target="local", prefix="events")
    path = request.url.removeprefix("file://")
    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = Files().answer(base.Request(request.method, path, "", headers, request.body), time.time())
    outcomes = platforms.get("files").parse(request, Response(status=answer.status, body=answer.body))
    assert [outcome.result for outcome in outcomes] == [Result.OK] * len(ITEMS)
    with pytest.raises(base.Refused):
        Files().answer(base.Request("STORE", "/../etc/passwd", "", headers, request.body), time.time())


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({"access_key_id": "AKIAEXPIREDEXPIRED00"}, Result.CONFIG),
        ({"access_key_id": "AKIAREVOKEDREVOKED00"}, Result.CONFIG),
        ({"access_key_id": "AKIAFORBIDDEN0000000"}, Result.CONFIG),
        ({"region": "wrong-region-1"}, Result.CONFIG),
        ({"bucket": "missing-bucket"}, Result.CONFIG),
        ({"prefix": "a/b/c=1", "endpoint": ""}, Result.OK),
    ],
    ids=str,
)
def test_the_adapter_reads_the_refusals(sandbox: Sandbox, config: dict[str, str], result: Result) -> None:
    assert {outcome.result for outcome in deliver(sandbox, "files", **config)} == {result}


def test_overrides_never_break_the_file(sandbox: Sandbox) -> None:
    given = {"value": "many", "mine": 1, "occurred_at": None, "num_items": 1.5, "properties": [], "plan": [1]}
    odd = item(platform_params={"files": given})
    assert [outcome.result for outcome in deliver(sandbox, "files", [item(), odd])] == [Result.OK] * 2


@pytest.mark.parametrize(
    ("kind", "result"),
    [("429", Result.RETRY), ("500", Result.RETRY), ("503", Result.RETRY), ("html", Result.RETRY), ("empty", Result.OK),
     ("401", Result.CONFIG), ("403", Result.CONFIG), ("404", Result.CONFIG), ("400", Result.CONFIG)],
)  # fmt: skip
def test_injected_failures(sandbox: Sandbox, kind: str, result: Result) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "files", "kind": kind, "times": 1})
    assert {outcome.result for outcome in deliver(sandbox, "files")} == {result}
