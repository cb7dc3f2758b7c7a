"""How to send an event, to copy: curl, Python and JavaScript, with nothing but what each has on board. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

KEY = "TRACKSTACK_KEY"
"""Environment variable that holds the ingest key: none is ever written into a page."""


class Call(NamedTuple):
    id: str
    label: str
    text: str


def calls(url: str, event: Mapping[str, Any]) -> list[Call]:
    """url: of the ingest API."""
    body = json.dumps({"events": [event]}, ensure_ascii=False, indent=2)
    return [
        Call("curl", "curl", _curl(url, body)),
        Call("python", "Python", _python(url, event)),
        Call("javascript", "JavaScript", _javascript(url, body)),
    ]


def _curl(url: str, body: str) -> str:
    return (
        f'curl -sS {shlex.quote(url)} -H "x-ts-key: ${KEY}" \\\n'
        f"  -H 'content-type: application/json' -d {shlex.quote(body)}"
    )


def _python(url: str, event: Mapping[str, Any]) -> str:
    fields = "\n".join(f"    {name!r}: {value!r}," for name, value in event.items())
    return f"""\
import json
import os
import urllib.request

event = {{
{fields}
}}
request = urllib.request.Request(
    {url!r},
    data=json.dumps({{"events": [event]}}).encode(),
    headers={{"x-ts-key": os.environ["{KEY}"], "content-type": "application/json"}},
)
with urllib.request.urlopen(request) as answer:
    print(answer.read().decode())"""


def _javascript(url: str, body: str) -> str:
    return f"""\
const answer = await fetch({json.dumps(url)}, {{
  method: "POST",
  headers: {{ "x-ts-key": process.env.{KEY}, "content-type": "application/json" }},
  body: JSON.stringify({body.replace(chr(10), chr(10) + "  ")}),
}});
console.log(await answer.json());"""
