"""BigQuery's tabledata.insertAll, and Google's token endpoint for service accounts.

Sources: cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll and …/docs/error-messages;
developers.google.com/identity/protocols/oauth2/service-account.

Conventions of this double: an access token or a service account's address that contains `expired`, `revoked` or
`forbidden` is answered as such; a data set or table whose name contains `missing` is unknown. The signature of an
assertion is verified for the service account of the form's example, whose public key stands below; another account's
is only looked at, as its public key is not known here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import jwt

from destinations.sandbox import _rows, checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json

TOKEN_PATH = "/token"  # noqa: S105
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = {
    f"https://www.googleapis.com/auth/{name}"
    for name in ("bigquery", "bigquery.insertdata", "bigquery.readonly", "cloud-platform")
}
ACCOUNT = "trackstack@acme-analytics-1042.iam.gserviceaccount.com"
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsqzv6bSpbCUW8ebJrf9N
c0skEDzoU+qfxDScouEtuPUBtUlmtozBECxoI+pcdWh5LGaP9iSXmU6bK59S3779
jsgHFmXKQz6v19hd048cnv0s+rrE6yJBU7kSY80dSNQHcMnqVnjqA2LK8JnKyCFu
e+Qq6oD94J2VnYnfLd9Qk3v1GK7+mJFOogoDpdKbAuHQrg/eHZ415ZpedchxoDws
Oq6BvrqpenRJzJEjmWrphEoWb10JCyjpdWAHMQNieGcW65BDVFjm8/ck4nHS790H
NcvQqoGEBJWogLKhPBf9glhErfmXGkJvEaO77M4qtjuUOkhlEtW8RFEkEg0yhf8Q
4wIDAQAB
-----END PUBLIC KEY-----
"""
PATH = re.compile(
    r"/bigquery/v2/projects/([a-z][a-z0-9-]{4,28}[a-z0-9])/datasets/(\w{1,1024})/tables/([\w-]{1,1024})/insertAll"
)
MOST_BYTES = 10_000_000
MOST_ROWS = 50_000
SKEW = 300
COUNT = "X-Sandbox-Rows"
"""A header of the double's own: how many rows there were, which the vendor's answer does not say."""
ROOT: dict[str, checks.Check] = {
    "kind": checks.one_of("bigquery#tableDataInsertAllRequest"),
    "skipInvalidRows": checks.boolean,
    "ignoreUnknownValues": checks.boolean,
    "templateSuffix": checks.text,
    "traceId": checks.text,
    "rows": lambda value: None if isinstance(value, list) else "must be a list",
}
ROW: dict[str, checks.Check] = {
    "insertId": checks.short_text(128),
    "json": lambda value: None if isinstance(value, dict) else "must be an object",
}


def fail(status: int, reason: str, message: str, name: str = "INVALID_ARGUMENT") -> Answer:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return Answer.of(status, {"error": {"code": status, "message": message, "errors": errors, "status": name}})


def no_token(status: int, error: str, description: str) -> Answer:
    return Answer.of(status, {"error": error, "error_description": description})


class BigQuery(Vendor):
    partial_note: ClassVar[str] = "200, but insertErrors has the last row (reason invalid)"
    dedup_seconds: ClassVar[float] = 60.0

    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return _token(request, now)
        found = PATH.fullmatch(request.path)
        if found is None or request.method != "POST":
            raise Refused(fail(404, "notFound", f"Not found: {request.method} {request.path}", "NOT_FOUND"))
        _check_access(request)
        project, dataset, table = found.groups()
        if "missing" in dataset:
            raise Refused(fail(404, "notFound", f"Not found: Dataset {project}:{dataset}", "NOT_FOUND"))
        if "missing" in table:
            raise Refused(fail(404, "notFound", f"Not found: Table {project}:{dataset}.{table}", "NOT_FOUND"))
        root = _read(request)
        skips, ignores = root.get("skipInvalidRows", False), root.get("ignoreUnknownValues", False)
        wrong = {i: fault for i, row in enumerate(root["rows"]) if (fault := _fault(row["json"], ignores))}
        errors = [{"index": i, "errors": [_row_error("invalid", *fault)]} for i, fault in wrong.items()]
        if wrong and not skips:
            stopped = [i for i in range(len(root["rows"])) if i not in wrong]
            errors += [{"index": i, "errors": [_row_error("stopped", "", "")]} for i in stopped]
        return _inserted(errors, len(root["rows"]))

    def look(self, request: Request, now: float) -> Answer | None:
        """The description of a table."""
        found = PATH.fullmatch(f"{request.path}/insertAll")
        if found is None or request.method != "GET":
            return None
        _check_access(request)
        project, dataset, table = found.groups()
        for kind, name, whole in (("Dataset", dataset, f"{project}:{dataset}"),
                                  ("Table", table, f"{project}:{dataset}.{table}")):  # fmt: skip
            if "missing" in name:
                return fail(404, "notFound", f"Not found: {kind} {whole}", "NOT_FOUND")
        reference = {"projectId": project, "datasetId": dataset, "tableId": table}
        return Answer.of(200, {"kind": "bigquery#table", "id": f"{project}:{dataset}.{table}", "type": "TABLE",
                               "tableReference": reference})  # fmt: skip

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        if request.path == TOKEN_PATH:
            return []
        root = read_json(request.body)
        faults = [_fault(row["json"], root.get("ignoreUnknownValues", False)) for row in root["rows"]]
        is_stopped = any(faults) and not root.get("skipInvalidRows", False)
        return [
            () if fault or is_stopped else (str(row["json"]["event_id"]),)
            for fault, row in zip(faults, root["rows"], strict=True)
        ]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "authError", "Request had invalid authentication credentials.", "UNAUTHENTICATED")
        if status == 403:
            return fail(403, "accessDenied", "Access Denied: Table: Permission denied", "PERMISSION_DENIED")
        if status == 404:
            return fail(404, "notFound", "Not found: Table", "NOT_FOUND")
        if status == 429:
            return fail(429, "rateLimitExceeded", "Exceeded rate limits", "RESOURCE_EXHAUSTED")
        if status >= 500:
            return fail(status, "backendError", "Error encountered during execution. Retrying may solve the problem.")
        return fail(status, "invalid", "The request was refused")

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        if body.get("kind") != "bigquery#tableDataInsertAllResponse":
            return good
        last = int(good.headers[COUNT]) - 1
        body["insertErrors"] = [{"index": last, "errors": [_row_error("invalid", "value", "Could not convert value")]}]
        return replace(good, body=Answer.of(200, body).body)


def _inserted(errors: list[dict[str, Any]], count: int) -> Answer:
    answer: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
    return Answer.of(200, answer | ({"insertErrors": errors} if errors else {}), {COUNT: str(count)})


def _row_error(reason: str, location: str, message: str) -> dict[str, str]:
    return {"reason": reason, "location": location, "debugInfo": "", "message": message}


def _check_access(request: Request) -> None:
    token = request.bearer or ""
    if not re.fullmatch(r"ya29\.[A-Za-z0-9._-]{10,2048}", token) or "expired" in token or "revoked" in token:
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(fail(401, "authError", text, "UNAUTHENTICATED"))
    if "forbidden" in token:
        text = "Access Denied: Table acme:trackstack.events: Permission bigquery.tables.updateData denied on table"
        raise Refused(fail(403, "accessDenied", text, "PERMISSION_DENIED"))


def _read(request: Request) -> dict[str, Any]:
    if request.query:
        raise Refused(fail(400, "badRequest", f"Unknown name in the query: {request.query}"))
    if request.content_type != "application/json":
        raise Refused(fail(400, "badRequest", f"Unsupported content type {request.content_type!r}"))
    if len(request.body) > MOST_BYTES:
        raise Refused(fail(413, "requestTooLarge", "Request payload size exceeds the limit: 10485760 bytes."))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, "parseError", f"Parse Error: {error}")) from None
    faults = checks.look_over(root, ROOT, ["rows"])
    if not faults:
        rows = root["rows"]
        if not 1 <= len(rows) <= MOST_ROWS:
            raise Refused(fail(400, "invalid", f"No rows present in the request, or too many: {len(rows)}"))
        faults = [f for i, row in enumerate(rows) for f in checks.look_over(row, ROW, ["json"], path=f"/rows/{i}")]
    if faults:
        raise Refused(fail(400, "invalid", f"Invalid JSON payload received. {faults[0].path} {faults[0].text}"))
    found: dict[str, Any] = root
    return found


def _fault(row: dict[str, Any], ignores_unknown: bool) -> tuple[str, str] | None:
    """Column and message of the first fault of a row."""
    if not ignores_unknown and (unknown := sorted(row.keys() - _rows.COLUMNS)):
        return unknown[0], f"no such field: {unknown[0]}."
    if text := _rows.wrong_row(row, _rows.ISO):
        return text.partition(" ")[0], text
    return None


def _token(request: Request, now: float) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        raise Refused(no_token(400, "invalid_request", "Only a POST of a form is taken here"))
    form = dict(parse_qsl(request.body.decode("latin-1")))
    if set(form) != {"grant_type", "assertion"} or form["grant_type"] != GRANT:
        raise Refused(no_token(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}"))
    claims = _claims(form["assertion"])
    issuer: Any = claims.get("iss")
    issued: Any = claims.get("iat")
    ends: Any = claims.get("exp")
    if not isinstance(issuer, str) or not issuer.endswith(".iam.gserviceaccount.com") or "revoked" in issuer:
        raise Refused(no_token(400, "invalid_grant", "Invalid grant: account not found"))
    if claims.get("aud") != TOKEN_URL:
        raise Refused(no_token(400, "invalid_grant", "Invalid JWT: Failed audience check."))
    times_right = all(isinstance(at, int) and not isinstance(at, bool) for at in (issued, ends))
    if not times_right or not issued - SKEW <= now <= ends + SKEW or not 0 < ends - issued <= 3600:
        text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise Refused(no_token(400, "invalid_grant", text))
    scopes = str(claims.get("scope", "")).split()
    if not scopes or not SCOPES.issuperset(scopes):
        raise Refused(no_token(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."))
    mark = next((f"-{word}" for word in ("expired", "forbidden") if word in issuer), "")
    token = f"ya29.sandbox-access-token{mark}"
    return Answer.of(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})


def _claims(assertion: str) -> dict[str, Any]:
    try:
        head = jwt.get_unverified_header(assertion)
        unverified: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
        if head.get("alg") != "RS256":
            raise Refused(no_token(400, "invalid_grant", "Invalid JWT: the algorithm must be RS256"))
        if unverified.get("iss") == ACCOUNT:
            options: Any = dict.fromkeys(("verify_exp", "verify_iat", "verify_aud", "verify_nbf"), False)
            jwt.decode(assertion, PUBLIC_KEY, algorithms=["RS256"], options=options)
    except jwt.PyJWTError:
        raise Refused(no_token(400, "invalid_grant", "Invalid JWT Signature.")) from None
    return unverified
