"""How to send an event, to copy: curl, Python and JavaScript, with nothing but what each has on board. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

KEY = "TRACKSTACK_KEY"
"""Environment variable that holds the ingest key where none is named: no key is ever written into a page."""


class Call(NamedTuple):
    id: str
    label: str
    text: str


def calls(url: str, event: Mapping[str, Any], variable: str = KEY, comment: str = "") -> list[Call]:
    """url: of the ingest API. variable: holds the key; comment: says which, on one line."""
    body = json.dumps({"events": [event]}, ensure_ascii=False, indent=2)
    remark = f"# {comment}\n" if comment else ""
    return [
        Call("curl", "curl", remark + _curl(url, body, variable)),
        Call("python", "Python", remark + _python(url, event, variable)),
        Call("javascript", "JavaScript", remark.replace("#", "//", 1) + _javascript(url, body, variable)),
    ]


def _curl(url: str, body: str, variable: str) -> str:
    return (
        f'curl -sS {shlex.quote(url)} -H "x-ts-key: ${variable}" \\\n'
        f"  -H 'content-type: application/json' -d {shlex.quote(body)}"
    )


def _python(url: str, event: Mapping[str, Any], variable: str) -> str:
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
    headers={{"x-ts-key": os.environ["{variable}"], "content-type": "application/json"}},
)
with urllib.request.urlopen(request) as answer:
    print(answer.read().decode())"""


def _javascript(url: str, body: str, variable: str) -> str:
    return f"""\
const answer = await fetch({json.dumps(url)}, {{
  method: "POST",
  headers: {{ "x-ts-key": process.env.{variable}, "content-type": "application/json" }},
  body: JSON.stringify({body.replace(chr(10), chr(10) + "  ")}),
}});
console.log(await answer.json());"""
