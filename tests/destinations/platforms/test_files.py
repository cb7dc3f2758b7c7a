"""Parquet files: the same columns in every file, one file per batch, and the signature of S3-compatible storage."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from destinations.platforms import files
from destinations.platforms._rows import KINDS, row
from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.files import ERRORS, Files
from tests.destinations.platforms.making import CONFIG, NOW, NOW_MS, item, only

FILES = Files()
S3 = CONFIG["files"]
LOCAL = {"target": "local", "prefix": "events"}
OK, RETRY, PERMANENT, CONFIGURE, SPLIT = Result.OK, Result.RETRY, Result.PERMANENT, Result.CONFIG, Result.SPLIT
DAY_MS = 86_400_000


def built(*items: Any, **config: str) -> Request:
    return only(FILES.build(items or (item(),), LOCAL | config, NOW))


def stored(*items: Any, **config: str) -> Request:
    return only(FILES.build(items or (item(),), S3 | config, NOW))


def table(request: Request) -> Any:
    return pq.read_table(BytesIO(request.body))


def parsed(status: int, body: bytes = b"", count: int = 1, method: str = "PUT", **headers: str) -> list[Outcome]:
    request = Request(method=method, url="u", headers={}, body=b"", items=tuple(item(key=n) for n in range(count)))
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return FILES.parse(request, Response(status=status, headers=lower, body=body))


def refusal(code: str, message: str = "no") -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


# --- The file -----------------------------------------------------------------------------------------
def test_the_columns_and_their_types() -> None:
    schema = table(built()).schema
    assert schema.names == list(KINDS)
    assert {name: schema.field(name).type for name in KINDS if schema.field(name).type != pa.string()} == {
        "occurred_at": pa.timestamp("ms", tz="UTC"),
        "value": pa.float64(),
        "num_items": pa.int64(),
    }


def test_the_rows_are_those_the_other_warehouses_get() -> None:
    full = item("Purchase", email="ada@example.com", value=49.9, currency="USD", num_items=2, content_ids=["é"],
                click_ids={"gclid": "g"}, consent={"marketing": True}, properties={"a": [1]})  # fmt: skip
    (found,) = table(built(full)).to_pylist()
    assert found.pop("occurred_at") == datetime(2026, 11, 23, 11, tzinfo=UTC)
    expected = row(full, "files")
    assert {name: value for name, value in found.items() if value is not None} == {
        name: value for name, value in expected.items() if name != "occurred_at"
    }


def test_columns_without_any_value_keep_their_type() -> None:
    assert table(built(item())).schema == table(built(item(value=1.0, email="a@b.co"))).schema


def test_the_same_events_give_the_same_bytes() -> None:
    many = [item(key=n, event_id=f"e{n}", email=f"a{n}@b.co") for n in range(100)]
    assert built(*many) == built(*many)


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "é😀@例え.jp"}, {"page_title": "x" * 10_000}, {"page_title": "\x00\u2028"}, {"value": -1.0},
        {"value": 0.0}, {"value": 1e309}, {"occurred_ms": 0}, {"occurred_ms": 4_102_444_800_000},
        {"num_items": 10**9},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_nasty_events_make_one_row(fields: dict[str, Any]) -> None:
    (found,) = table(built(item(**fields))).to_pylist()
    for name, value in fields.items():
        if name in found:
            assert found[name] == (value if value != 1e309 else None)


@pytest.mark.parametrize(
    ("column", "given", "read"),
    [
        ("plan", "growth", "growth"), ("plan", 7, "7"), ("plan", ["a"], '["a"]'), ("plan", None, None),
        ("plan", True, "true"),
        ("value", 5, 5.0), ("value", "5", None), ("value", True, None), ("value", 10**400, None), ("value", None, None),
        ("num_items", 5, 5), ("num_items", 5.0, 5), ("num_items", 5.5, None), ("num_items", "5", None),
        ("num_items", 2**63, None), ("num_items", False, None),
        ("properties", {"a": 1}, '{"a":1}'), ("properties", 1, "1"),
        ("event_id", "other", "other"), ("unknown_column", "x", None),
    ],
)  # fmt: skip
def test_overrides_fit_their_column_or_leave_it_empty(column: str, given: Any, read: Any) -> None:
    made = table(built(item(plan="x", platform_params={"files": {column: given}})))
    assert made.schema.names == list(KINDS)
    assert made.to_pylist()[0].get(column) == read


@pytest.mark.parametrize("given", [None, "2026-01-01", True, -1, 10**15, 1.5])
def test_an_override_cannot_take_the_time_away(given: Any) -> None:
    (found,) = table(built(item(platform_params={"files": {"occurred_at": given}}))).to_pylist()
    assert found["occurred_at"] == datetime(2026, 11, 23, 11, tzinfo=UTC)


# --- Where it goes ------------------------------------------------------------------------------------
def test_local_path() -> None:
    request = built(item(event_id="a"), item(event_id="b"))
    name = hashlib.sha256(b"a\nb").hexdigest()
    assert (request.method, request.url) == ("STORE", f"file:///events/date=2026-11-23/{name}.parquet")
    assert request.headers == {"Content-Type": "application/vnd.apache.parquet"}


def test_the_day_is_that_of_the_first_event_in_utc_and_never_that_of_the_sending() -> None:
    night, morning = item(event_id="a", occurred_ms=NOW_MS - DAY_MS), item(event_id="b")
    assert "/date=2026-11-22/" in built(night, morning).url
    later = only(FILES.build([night, morning], LOCAL, NOW + timedelta(days=3)))
    assert later == built(night, morning)


def test_another_prefix() -> None:
    assert built(prefix="exports/acme=1").url.startswith("file:///exports/acme=1/date=")
    assert built(prefix="").url.startswith("file:///events/date=")


@pytest.mark.parametrize(
    ("endpoint", "region", "start"),
    [
        ("", "", "https://s3.us-east-1.amazonaws.com/acme-events/exports/trackstack/date%3D2026-11-23/"),
        ("", "eu-central-1", "https://s3.eu-central-1.amazonaws.com/acme-events/exports/"),
        ("https://acc.r2.cloudflarestorage.com/", "auto", "https://acc.r2.cloudflarestorage.com/acme-events/exports/"),
        ("http://minio:9000", "us-east-1", "http://minio:9000/acme-events/exports/"),
    ],
)
def test_bucket_addresses(endpoint: str, region: str, start: str) -> None:
    request = stored(endpoint=endpoint, region=region)
    assert request.method == "PUT"
    assert request.url.startswith(start)


def expected_signature(request: Request, secret: str, region: str) -> str:
    """AWS Signature Version 4, from its description and not from botocore."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    parts = urlsplit(request.url)
    names = ["content-type", "host", "x-amz-content-sha256", "x-amz-date"]
    headers["host"] = parts.netloc
    canonical = "\n".join([
        "PUT", parts.path, "", *(f"{name}:{headers[name]}" for name in names), "", ";".join(names),
        hashlib.sha256(request.body).hexdigest(),
    ])  # fmt: skip
    moment = headers["x-amz-date"]
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (moment[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("endpoint", ["", "http://minio:9000", "https://storage.example.com"])
def test_the_signature(endpoint: str) -> None:
    request = stored(endpoint=endpoint)
    signature = expected_signature(request, S3["secret_access_key"], "eu-central-1")
    assert request.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLEEXAMPLE00/20261123/eu-central-1/s3/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )
    assert request.headers["X-Amz-Date"] == "20261123T120000Z"
    assert request.headers["X-Amz-Content-SHA256"] == hashlib.sha256(request.body).hexdigest()


def test_the_moment_is_signed_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert FILES.build([item()], S3, elsewhere).requests == FILES.build([item()], S3, NOW).requests


def test_large_batches_are_cut_by_their_bytes_with_rows_and_items_together() -> None:
    many = [item(key=n, event_id=f"e{n}", page_title=f"{n}" + "x" * 500_000) for n in range(150)]
    requests = FILES.build(many, LOCAL, NOW).requests
    assert len(requests) > 1
    for request in requests:
        assert table(request).column("event_id").to_pylist() == [one.event_id for one in request.items]


# --- Configuration ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({}, set()),
        (LOCAL, set()),
        (S3, set()),
        ({"target": "s3"}, {"bucket", "access_key_id", "secret_access_key"}),
        ({"target": "ftp"}, {"target"}),
        ({"prefix": "/etc"}, {"prefix"}),
        ({"prefix": "../up"}, {"prefix"}),
        ({"prefix": "a/../b"}, {"prefix"}),
        ({"prefix": "a/./b"}, {"prefix"}),
        ({"prefix": "a//b"}, {"prefix"}),
        ({"prefix": "a/.."}, {"prefix"}),
        ({"prefix": "a/"}, {"prefix"}),
        ({"prefix": "a b"}, {"prefix"}),
        ({"prefix": "..a/b.c"}, set()),
        (S3 | {"bucket": "Not_A_Bucket"}, {"bucket"}),
        (S3 | {"endpoint": "https://key:secret@s3.example.com"}, {"endpoint"}),
        (S3 | {"endpoint": "https://s3.example.com/bucket"}, {"endpoint"}),
        (S3 | {"secret_access_key": "short"}, {"secret_access_key"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_configuration(config: dict[str, str], wrong: set[str]) -> None:
    problems = FILES.problems(config)
    assert problems.keys() == wrong
    assert all(sentence.endswith(".") for sentence in problems.values())


def test_without_its_packages_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    assert "pyarrow" in FILES.problems(LOCAL)["target"]
    assert "botocore" not in FILES.problems(LOCAL)["target"]
    assert "pyarrow and botocore" in FILES.problems(S3)["target"]
    made = FILES.build([item()], LOCAL, NOW)
    assert made.requests == []
    assert made.skipped[0].detail.endswith(".")


# --- Parse --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["PUT", "STORE"])
@pytest.mark.parametrize("status", [200, 201, 204])
def test_stored(method: str, status: int) -> None:
    assert [o.result for o in parsed(status, b"", 2, method)] == [OK, OK]


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("count", [1, 2])
def test_every_code(code: str, count: int) -> None:
    result, advice = ERRORS[code]
    for status in (400, 403, 200):
        outcomes = parsed(status, refusal(code), count)
        assert [o.result for o in outcomes] == [SPLIT if result == PERMANENT and count == 2 else result] * count
        assert advice in outcomes[0].detail
        assert code in outcomes[0].detail


@pytest.mark.parametrize(
    ("status", "body", "count", "result"),
    [
        (200, b"<!DOCTYPE html><html>Welcome</html>", 1, RETRY),
        (200, refusal("UnheardOf"), 1, RETRY),
        (301, b"", 1, CONFIGURE),
        (403, b"", 1, CONFIGURE),
        (404, b"<html>", 1, CONFIGURE),
        (400, b"\xff", 1, CONFIGURE),
        (413, b"", 2, SPLIT),
        (413, b"", 1, PERMANENT),
        (503, refusal("SlowDown"), 2, RETRY),
        (503, refusal("AccessDenied"), 2, RETRY),
        (500, b"<html>", 2, RETRY),
    ],
)
def test_answers_without_a_known_code(status: int, body: bytes, count: int, result: Result) -> None:
    assert [o.result for o in parsed(status, body, count)] == [result] * count


def test_retry_after_is_honoured() -> None:
    assert parsed(503, refusal("SlowDown"), retry_after="4")[0].after == 4.0


def test_the_sentence_says_which_of_the_two_refused() -> None:
    assert parsed(403, method="STORE")[0].detail.startswith("The exports folder answered 403")
    assert parsed(403, refusal("AccessDenied", "to ada@example.com"))[0].detail == (
        "The storage answered 403: AccessDenied to ***; allow the access key s3:PutObject on the bucket."
    )
