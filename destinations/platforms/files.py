"""Parquet files: in the exports folder of this server, or on S3-compatible storage.

Sources: parquet.apache.org/docs/file-format; docs.aws.amazon.com/AmazonS3/latest/API: API_PutObject, ErrorResponses and
sig-v4-header-based-auth.

One file per batch, `<prefix>/date=<day of its first event, UTC>/<hash of its event ids>.parquet`: a batch that is sent
again replaces its own file. A batch around midnight holds events of two days; `occurred_at` is exact, the folder is
there so that a reader can leave out the rest. Every file has all columns, in the same order and of the same types.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from io import BytesIO
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, _rows, base
from destinations.platforms._names import NAMES
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip

CONTENT_TYPE = "application/vnd.apache.parquet"  # registered with IANA in 2024
ROOM = 1024 * 1024
"""Bytes left for the file's frame: the schema, the statistics and the pages' headers."""
NEEDED = {"pyarrow": "local", "botocore": "s3"}
NOT_INSTALLED = {
    ("pyarrow",): gettext_noop("Parquet files need pyarrow: install TrackStack with its extra `files`."),
    ("botocore",): gettext_noop("Parquet files need botocore: install TrackStack with its extra `files`."),
    ("pyarrow", "botocore"): gettext_noop(
        "Parquet files need pyarrow and botocore: install TrackStack with its extra `files`."
    ),
}
"""Kept with what is skipped, so in English; the form translates it."""

DDL = f"""\
-- DuckDB
SELECT * FROM read_parquet('events/*/*.parquet', hive_partitioning = true);

-- Athena
CREATE EXTERNAL TABLE trackstack_events
(
{
    _rows.definitions(
        {
            "text": "string",
            "json": "string",
            "number": "double",
            "integer": "bigint",
            "occurred_at": "timestamp",
        }
    )
}
)
PARTITIONED BY (`date` string)
STORED AS PARQUET
LOCATION 's3://bucket/events/'"""

ERRORS: dict[str, tuple[Result, str]] = {
    "AccessDenied": (Result.CONFIG, "allow the access key s3:PutObject on the bucket"),
    "AllAccessDisabled": (Result.CONFIG, "the bucket is closed to everybody"),
    "AccountProblem": (Result.CONFIG, "see the account's messages"),
    "AuthorizationHeaderMalformed": (Result.CONFIG, "enter the region of the bucket"),
    "ExpiredToken": (Result.CONFIG, "enter a lasting access key, not a temporary one"),
    "InvalidAccessKeyId": (Result.CONFIG, "check the access key id"),
    "InvalidBucketName": (Result.CONFIG, "check the bucket's name"),
    "InvalidToken": (Result.CONFIG, "enter a lasting access key, not a temporary one"),
    "NoSuchBucket": (Result.CONFIG, "create the bucket, or correct its name"),
    "NotSignedUp": (Result.CONFIG, "the account is not signed up for storage"),
    "PermanentRedirect": (Result.CONFIG, "enter the endpoint and the region of the bucket"),
    "RequestTimeTooSkewed": (Result.CONFIG, "set this server's clock"),
    "SignatureDoesNotMatch": (Result.CONFIG, "check the secret access key and the region"),
    "TemporaryRedirect": (Result.RETRY, "the bucket is new, its address spreads within minutes"),
    "InternalError": (Result.RETRY, ""),
    "OperationAborted": (Result.RETRY, ""),
    "RequestTimeout": (Result.RETRY, ""),
    "ServiceUnavailable": (Result.RETRY, ""),
    "SlowDown": (Result.RETRY, ""),
    "Throttling": (Result.RETRY, ""),
    "BadDigest": (Result.RETRY, ""),
    "IncompleteBody": (Result.RETRY, ""),
    "XAmzContentSHA256Mismatch": (Result.RETRY, ""),
    "EntityTooLarge": (Result.PERMANENT, "the file is larger than the storage takes"),
    "KeyTooLongError": (Result.CONFIG, "shorten the folder"),
}
"""Code of S3's XML → what becomes of the batch, and what to do about it. Other codes are judged by the status."""

_SEGMENT = r"(?!\.{1,2}(/|$))[A-Za-z0-9_=.-]+"
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9]{1,60})\s*</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{0,600})</Message>")


class Files(base.Platform):
    key = "files"
    label = "Parquet files"
    kind = base.Kind.WAREHOUSE
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = _rows.BATCH_LIMIT
    max_body_bytes = 32 * 1024 * 1024  # ours: a worker holds rows and file in memory; S3 takes 5 GB in one PUT
    docs_url = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"
    plain_identity = _rows.PLAIN_IDENTITY
    is_json = False
    ddl = DDL
    fields = (
        Field(name="target", label=_("Where"), is_advanced=False, default="local",
              choices=(("local", _("The exports folder of this server")), ("s3", _("S3-compatible storage"))),
              help=_("S3-compatible: Amazon S3, Cloudflare R2, Google Cloud Storage (HMAC keys), MinIO …")),
        Field(name="prefix", label=_("Folder"), is_advanced=False, default="events",
              pattern=rf"{_SEGMENT}(/{_SEGMENT})*",
              help=_("Below the exports folder or in the bucket; letters, digits and _ = . - in parts joined by /")),
        Field(name="endpoint", label=_("Endpoint"), pattern=r"https?://[^/\s?#@]+/?",
              help=_("Empty for Amazon S3; R2: https://<account>.r2.cloudflarestorage.com, "
                     "Google: https://storage.googleapis.com")),
        Field(name="region", label=_("Region"), is_advanced=False, default="us-east-1", pattern=r"[a-z0-9-]{2,40}",
              help=_("The bucket's region, such as eu-central-1; auto for R2 and Google")),
        Field(name="bucket", label=_("Bucket"), pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
              help=_("S3 → Buckets; it must exist")),
        Field(name="access_key_id", label=_("Access key id"), pattern=r"[A-Za-z0-9_]{16,128}",
              help=_("IAM → Users → Security credentials; the user needs s3:PutObject on the bucket")),
        Field(name="secret_access_key", label=_("Secret access key"), secret=True, pattern=r"[A-Za-z0-9/+=_-]{16,256}",
              help=_("Shown once, when the access key is made")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        if config.get("target") == "s3":
            for field in self.fields:
                if field.name in ("bucket", "access_key_id", "secret_access_key") and not config.get(field.name):
                    said = gettext("%(field)s is required for S3-compatible storage.")
                    found[field.name] = said % {"field": field.label}
        if "target" not in found and (missing := _missing(config)):
            found["target"] = gettext(missing)
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        if missing := _missing(config):
            return Built(requests=[], skipped=[Skip(item=item, reason="invalid", detail=missing) for item in items])
        requests = []
        encoder = msgspec.json.Encoder()
        # The length as JSON stands in for that in the file, whose columns are only known together.
        rows = [(item, _cells(item)) for item in items]
        parts = [(row, encoder.encode(row[1])) for row in rows]
        start = 0
        for run in base.chunks(
            [(item, size) for (item, _row), size in parts], self.batch_limit, self.max_body_bytes - ROOM
        ):
            cells = [row for _, row in rows[start : start + len(run)]]
            start += len(run)
            requests.append(_stored(tuple(item for item, _ in run), parquet(cells), config, now))
        return Built(requests=requests, skipped=[])

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """A file is stored or not: S3 says so by status and, in XML, why. The local folder answers by status alone."""
        status, count, body = response.status, len(request.items), response.body
        found = _CODE.search(body)
        code = found[1].decode() if found else ""
        if 200 <= status < 300 and not code:
            # PUT is answered with an empty body; a page comes from something that is no storage.
            if b"<html" not in body[:2000].lower():
                return [base.OK] * count
            detail = f"The endpoint answered {status} with a page: is it the address of the storage?"
            return [Outcome(result=Result.RETRY, detail=detail)] * count
        what = "The exports folder" if request.method == "STORE" else "The storage"
        said_by = _MESSAGE.search(body)
        reason = " ".join(said_by[1].decode("utf-8", "replace").split()) if said_by else ""
        if base.is_transient(status):
            result, advice = Result.RETRY, ""
        else:
            result, advice = ERRORS.get(code) or (_by_status(status), "")
        if result == Result.PERMANENT and count > 1:
            result = Result.SPLIT
        after = base.retry_after(response) if result == Result.RETRY else None
        said = masked(f"{what} answered {status}: {code or 'no reason given'} {reason}".strip(), cap=260)
        return [Outcome(result=result, detail=f"{said}; {advice}." if advice else said, after=after)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """Locally whether a file can be written. Of a storage the first key below the folder: nothing tells without
        writing whether a key may write. Source: API_ListObjectsV2.
        """
        prefix = config.get("prefix") or "events"
        if config.get("target") != "s3":
            return Request(method="CHECK", url=f"file:///{prefix}", headers={}, body=b"", items=())
        if find_spec("botocore") is None:
            return None  # `problems` says so
        query = f"list-type=2&max-keys=1&prefix={quote(prefix + '/', safe='')}"
        url = f"{_bucket_url(config)}?{query}"
        headers = signed(url, {}, b"", config.get("region") or "us-east-1", config, now, "GET")
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        """A storage knows the key before it says that it may not list: keys that may only write are the usual ones."""
        if config.get("target") != "s3" and _reading.is_good(response):
            return _reading.good(f"The folder {config.get('prefix') or 'events'} can be written.")
        bucket, shows = config.get("bucket", ""), "whether it may write shows with the first file."
        if _reading.is_good(response) and b"<ListBucketResult" in response.body:
            return _reading.good(f"Bucket {bucket} answers and knows the access key; {shows}")
        code = _CODE.search(response.body)
        if response.status == 403 and code is not None and code[1] == b"AccessDenied":
            return _reading.good(f"The storage knows the access key. It may not list {bucket}; {shows}")
        return _reading.refused(self, response)


def _by_status(status: int) -> Result:
    if 200 <= status < 300:
        return Result.RETRY
    # Which events are in a file is nothing to a storage: but for its size, a refusal is about the destination.
    return Result.PERMANENT if status == 413 else Result.CONFIG


def _missing(config: Config) -> str:
    """A sentence when a package is not installed that this configuration needs."""
    wanted = [name for name, target in NEEDED.items() if target in ("local", config.get("target"))]
    missing = tuple(name for name in wanted if find_spec(name) is None)
    return NOT_INSTALLED[missing] if missing else ""


def _cells(item: Item) -> list[Any]:
    """One value per column. Of the overrides, those that name a column and fit its type."""
    row = _rows.row(item, "files", _milliseconds)
    cells = [row.get(name) for name in _rows.KINDS]
    if item.payload.platform_params.get("files"):
        for place, (name, kind) in enumerate(_rows.KINDS.items()):
            cells[place] = _fitting(cells[place], kind)
            if name == "occurred_at" and cells[place] is None:
                cells[place] = item.occurred_ms
    return cells


def _milliseconds(milliseconds: int) -> int:
    return milliseconds


def _fitting(value: Any, kind: str) -> Any:
    if value is None or (kind in ("text", "json") and isinstance(value, str)):
        return value
    if kind in ("text", "json"):
        return msgspec.json.encode(value).decode()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "number":
        return float(value) if is_number and abs(value) < 1e300 else None
    if not is_number or value != value or not float(value).is_integer() or abs(value) >= 2**62:
        return None
    if kind == "time" and not 0 <= value < 10**14:
        return None
    return int(value)


def parquet(rows: Sequence[Sequence[Any]]) -> bytes:
    """The file. The same rows give the same bytes: nothing in it is a time or a random id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "json": pa.string(),
        "number": pa.float64(),
        "integer": pa.int64(),
        "time": pa.timestamp("ms", tz="UTC"),
    }
    by_column = zip(*rows, strict=True)
    columns = [pa.array(values, types[kind]) for values, kind in zip(by_column, _rows.KINDS.values(), strict=True)]
    target = BytesIO()
    pq.write_table(pa.table(columns, names=list(_rows.KINDS)), target, compression="snappy")
    return target.getvalue()


def _stored(items: tuple[Item, ...], body: bytes, config: Config, now: datetime) -> Request:
    day = _rows.iso(items[0].occurred_ms)[:10]
    path = f"{config.get('prefix') or 'events'}/date={day}/{_rows.batch_hash(items)}.parquet"
    headers = {"Content-Type": CONTENT_TYPE}
    if config.get("target") != "s3":
        return Request(method="STORE", url=f"file:///{path}", headers=headers, body=body, items=items)
    region, url = config.get("region") or "us-east-1", f"{_bucket_url(config)}/{quote(path, safe='/~')}"
    return Request(
        method="PUT", url=url, headers=signed(url, headers, body, region, config, now), body=body, items=items
    )


def _bucket_url(config: Config) -> str:
    """The bucket in the path: all S3-compatible storages take that, not all of them a host per bucket."""
    endpoint = config.get("endpoint") or f"https://s3.{config.get('region') or 'us-east-1'}.amazonaws.com"
    return f"{endpoint.rstrip('/')}/{config.get('bucket', '')}"


def signed(
    url: str, headers: dict[str, str], body: bytes, region: str, config: Config, now: datetime, method: str = "PUT"
) -> dict[str, str]:
    """`headers` with those of AWS Signature Version 4. botocore's signer, with the time handed in instead of read."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys = Credentials(config.get("access_key_id", ""), config.get("secret_access_key", ""))
    signer = S3SigV4Auth(keys, "s3", region)
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    request.context["timestamp"] = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    # What S3SigV4Auth.add_auth does, but for reading the clock.
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return dict(request.headers.items())
