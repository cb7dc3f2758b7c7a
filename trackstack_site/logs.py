"""JSON lines on stderr, with the trace id and without anything personal or secret."""

from __future__ import annotations

import contextvars
import json
import logging
import re
from datetime import UTC, datetime

trace_id: contextvars.ContextVar[str] = contextvars.ContextVar("trace_id", default="")

# E-mail addresses, ingest keys, bearer tokens and tokens in URLs: never in a log, whoever formatted them.
_REDACT = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,254}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    r"|ts[kc]_[A-Za-z0-9_]{8,}"
    r"|(?i:bearer)\s+[\w.~+/-]+=*"
    r"|(?i:(?:access_token|api_secret|token|key|appsecret_proof|refresh_token|client_secret)=)[^&\s\"']+"
)


def redact(text: str) -> str:
    return _REDACT.sub("***", text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `extra={...}` keys are added as they are."""

    _standard = frozenset(logging.makeLogRecord({}).__dict__) | {
        "message",
        "asctime",
        "taskName",
    }

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if current := trace_id.get():
            line["traceId"] = current
        for key, value in record.__dict__.items():
            if key in self._standard:
                continue
            if isinstance(value, str | int | float | bool | type(None)):
                line[key] = redact(value) if isinstance(value, str) else value
            elif isinstance(value, list):
                line[key] = [redact(str(one)) for one in value]
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)
