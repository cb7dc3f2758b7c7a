"""S3-compatible storage that takes PUT of Parquet files: `PUT /<bucket>/<key>` with AWS Signature Version 4.

Source: docs.aws.amazon.com/AmazonS3/latest/API: API_PutObject, ErrorResponses, sigv4-auth-using-authorization-header.

Conventions of this double: an access key id that contains `EXPIRED`, `REVOKED` or `FORBIDDEN` (in any case) is answered
as such; a bucket whose name contains `missing` does not exist. The signature itself is not recomputed: it covers the
host, and here the host is another. Everything else of it is looked at, the hash of the body too.

`STORE` is no method of S3: it is how a file for the local exports folder comes along in a test, without credentials.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from destinations.sandbox import _rows
from destinations.sandbox.base import Answer, Refused, Request, Vendor

CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w{16,128})/(\d{8})/([a-z0-9-]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=[0-9a-f]{64}"
)
SIGNED = {"host", "x-amz-content-sha256", "x-amz-date"}
KEY = re.compile(r"/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/((?:[\w=.-]+/)*date=\d{4}-\d\d-\d\d/[0-9a-f]{32,64}\.parquet)")
BUCKET = re.compile(r"/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?")
LOCAL = re.compile(r"/(?:[\w=.-]+/)*date=\d{4}-\d\d-\d\d/[0-9a-f]{32,64}\.parquet")
SKEW = 900
PARQUET_TYPE = "application/vnd.apache.parquet"


def fail(status: int, code: str, message: str) -> Answer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>SANDBOX</RequestId></Error>"
    )
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


class Files(Vendor):
    """A file is stored or not, so it has no partial answers."""

    def answer(self, request: Request, now: float) -> Answer:
        if request.method == "STORE":
            if not LOCAL.fullmatch(request.path):
                raise Refused(fail(400, "InvalidRequest", f"no path of an export: {request.path}"))
            _table(request.body)
            return Answer(201)
        if request.method != "PUT":
            raise Refused(fail(405, "MethodNotAllowed", "The specified method is not allowed against this resource."))
        _check_signature(request, now)
        found = KEY.fullmatch(request.path)
        if found is None or request.query:
            raise Refused(fail(400, "InvalidURI", "Couldn't parse the specified URI."))
        if "missing" in found[1]:
            raise Refused(fail(404, "NoSuchBucket", "The specified bucket does not exist"))
        if request.content_type != PARQUET_TYPE:
            raise Refused(fail(400, "InvalidArgument", f"the sandbox wants {PARQUET_TYPE}"))
        _table(request.body)
        return Answer(200, b"", {"ETag": f'"{sha256(request.body).hexdigest()[:32]}"'})

    def look(self, request: Request, now: float) -> Answer | None:
        """ListObjectsV2 of an empty bucket."""
        found = BUCKET.fullmatch(request.path)
        if request.method != "GET" or found is None:
            return None
        _check_signature(request, now)
        asked = request.parameters
        if asked.get("list-type") != "2" or asked.keys() - {"list-type", "max-keys", "prefix"}:
            return fail(400, "InvalidArgument", "Invalid query parameter")
        if "missing" in found[1]:
            return fail(404, "NoSuchBucket", "The specified bucket does not exist")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{found[1]}</Name><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated>"
            "</ListBucketResult>"
        )
        return Answer(200, body.encode(), {"Content-Type": "application/xml"})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        return [(event_id,) for event_id in _table(request.body).column("event_id").to_pylist()]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if status == 403:
            return fail(403, "AccessDenied", "Access Denied")
        if status == 404:
            return fail(404, "NoSuchBucket", "The specified bucket does not exist")
        if status in (429, 503):
            return fail(status, "SlowDown", "Please reduce your request rate.")
        if status >= 500:
            return fail(status, "InternalError", "We encountered an internal error. Please try again.")
        return fail(status, "InvalidRequest", "The request was refused")


def _check_signature(request: Request, now: float) -> None:
    headers = request.headers
    found = CREDENTIAL.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise Refused(fail(403, "AccessDenied", "Access Denied"))
    key_id, day, region, names = found.groups()
    lowered = key_id.lower()
    if "revoked" in lowered:
        raise Refused(fail(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist"))
    if "expired" in lowered:
        raise Refused(fail(400, "ExpiredToken", "The provided token has expired."))
    if "forbidden" in lowered:
        raise Refused(fail(403, "AccessDenied", "User is not authorized to perform: s3:PutObject"))
    sent = set(names.split(";"))
    must = SIGNED | {name for name in headers if name.startswith("x-amz-")}
    if not must <= sent or not sent - {"host"} <= headers.keys():
        raise Refused(fail(403, "AccessDenied", "There were headers present in the request which were not signed"))
    try:
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(fail(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date")) from None
    if at.strftime("%Y%m%d") != day:
        raise Refused(fail(403, "SignatureDoesNotMatch", "The day of the credential is not that of the request"))
    if abs(at.timestamp() - now) > SKEW:
        text = "The difference between the request time and the current time is too large."
        raise Refused(fail(403, "RequestTimeTooSkewed", text))
    if region == "wrong-region-1":
        text = "The authorization header is malformed; the region is wrong; expecting 'us-east-1'"
        raise Refused(fail(400, "AuthorizationHeaderMalformed", text))
    if headers["x-amz-content-sha256"] != sha256(request.body).hexdigest():
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise Refused(fail(400, "XAmzContentSHA256Mismatch", text))


def _table(body: bytes) -> Any:
    """The Arrow table of a Parquet file with exactly TrackStack's columns. Any storage takes any bytes; here they are
    looked at, because nobody else will before an analyst does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(BytesIO(body))
    except (pa.ArrowException, OSError) as error:
        raise Refused(fail(400, "InvalidRequest", f"no Parquet file: {error}")) from None
    types = {name: pa.string() for name in _rows.COLUMNS} | {
        "occurred_at": pa.timestamp("ms", tz="UTC"),
        "value": pa.float64(),
        "num_items": pa.int64(),
    }
    found = {field.name: field.type for field in table.schema}
    if found != types:
        differing = sorted(name for name in found.keys() | types if found.get(name) != types.get(name))
        raise Refused(fail(400, "InvalidRequest", f"columns that differ: {', '.join(differing)}"))
    for name in _rows.REQUIRED:
        if table.column(name).null_count:
            raise Refused(fail(400, "InvalidRequest", f"{name} must not be null"))
    if not table.num_rows:
        raise Refused(fail(400, "InvalidRequest", "there is no row"))
    for name in _rows.JSON_TEXT:
        for value in table.column(name).to_pylist():
            if fault := _rows.wrong_value(name, value, _rows.ISO):
                raise Refused(fail(400, "InvalidRequest", fault))
    return table
