"""One cause for many deliveries: the same words of a platform, wherever in a batch the event stood, and whose they are.

What is stored stays as the platform said it; positions are folded where causes are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import F, Func, TextField, Value
from django.utils.translation import gettext as _

from destinations import reasons

_STEPS = ((r"\[\d+\]", "[*]"), (r"([./])\d+(?=[./])", r"\1*"))
"""`events[3].email`, `Batch.3.email`, `/data/3/email`. The same in Python and in PostgreSQL."""
_FOLDED = re.compile(r"\[\*\]|[./]\*(?=[./])")


def fold(detail: str) -> str:
    for pattern, kept in _STEPS:
        detail = re.sub(pattern, kept, detail)
    return detail


def is_folded(detail: str) -> bool:
    """Whether it stands for any position: then what is stored must be folded before it is compared."""
    return bool(_FOLDED.search(detail))


def folded_sql(column: str) -> str:
    for pattern, kept in _STEPS:
        column = f"regexp_replace({column}, '{pattern}', '{kept}', 'g')"
    return column


def folded() -> Func:
    """Of the column `detail`, for a QuerySet."""
    found: Any = F("detail")
    for pattern, kept in _STEPS:
        found = Func(
            found, Value(pattern), Value(kept), Value("g"), function="regexp_replace", output_field=TextField()
        )
    return found


def brought(payload: Mapping[str, Any], platform_key: str, detail: str) -> list[str]:
    """Names in the event's own platformParams for that platform which the platform's words name: what was wrong came
    from product code."""
    params = payload.get("platformParams", {}).get(platform_key, {})
    return [name for name in dict.fromkeys(_names(params)) if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", detail)]


def _names(params: Any) -> Iterator[str]:
    if isinstance(params, Mapping):
        for name, value in params.items():
            yield name
            yield from _names(value)
    elif isinstance(params, list):
        for value in params:
            yield from _names(value)


def mender(code: str, detail: str = "", payload: Mapping[str, Any] | None = None, platform_key: str = "") -> str:
    """Who can mend what died of this, and how. payload: of an event that did, when there is one left."""
    if names := brought(payload or {}, platform_key, detail):
        said = _("An engineer: product code sends %(names)s in platformParams. Correct it there, then replay.")
        return said % {"names": ", ".join(names)}
    return reasons.mender(code)
