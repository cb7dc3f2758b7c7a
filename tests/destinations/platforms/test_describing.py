"""What a platform says of itself is in the reader's language, and costs nothing where nobody reads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.utils import translation
from django.utils.functional import Promise
from django.utils.html import escape

from destinations import platforms
from destinations.platforms import files
from destinations.platforms.base import Config, Field, Platform, Response
from tests.destinations.platforms.making import CONFIG, NOW, item
from tests.visible_text import pseudo, unmarked  # noqa: F401  (a fixture)
from trackstack_site.wording import in_english

ROOT = Path(__file__).resolve().parents[3]
PLATFORMS = [platforms.get(key) for key in platforms.PLATFORMS]
each_platform = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.key)

COLOUR = Field(
    name="colour", label="Colour", required=True, pattern=r"[a-z]+", help="Under the lid", example="teal",
    choices=(("red", "Red"), ("teal", "Teal")),
)  # fmt: skip
CODE = Field(name="code", label="Code", pattern=r"\d+", example="42")
WRONG = ("?", "{}", '{"client_email": "a"}', '{"private_key": "a"}', '{"client_email": "a", "private_key": "b"}')


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (COLOUR, "", "Colour is required."),
        (COLOUR, "blue", "Colour must be one of red, teal."),
        (COLOUR, "teal", ""),
        (CODE, "", ""),
        (CODE, "x", "Code does not look right: check it against the platform. It looks like “42”."),
        (Field(name="code", label="Code", pattern=r"\d+", help="Under the lid"), "x",
         "Code does not look right: Under the lid."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_value(field: Field, value: str, sentence: str) -> None:
    assert field.problem(value) == sentence
    assert type(field.problem(value)) is str


def words_of(platform: Platform) -> Iterator[tuple[str, str | Promise]]:
    for field in platform.fields:
        yield field.name, field.label
        yield field.name, field.help
        yield field.name, field.way
        yield from (
            (field.name, label) for value, label in field.choices if isinstance(label, Promise) or label != value
        )
    if platform.native_id is not None:
        yield "native_id", platform.native_id.label
        yield "native_id", platform.native_id.help
    if platform.test_mode is not None:
        yield "test_mode", platform.test_mode.how


def wrong_configs(platform: Platform) -> Iterator[Config]:
    whole = {field.name: field.example for field in platform.fields if field.example}
    yield {}
    for field in platform.fields:
        values = (*(value for value, _label in field.choices), field.example or "a1", *WRONG)
        yield whole | {field.name: ""}
        for value in values:
            yield {field.name: value}
            yield whole | {field.name: value}


@each_platform
def test_every_word_and_sentence_can_be_translated(
    platform: Platform,
    pseudo: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [(where, text) for where, text in words_of(platform) if unmarked(escape(text))] == []
    found = [one for config in wrong_configs(platform) for one in platform.problems(config).values()]
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    found += platform.problems(CONFIG[platform.key]).values()
    assert [one for one in found if unmarked(escape(one))] == []
    with in_english():
        assert not any("⟦" in one for one in platform.problems({}).values())


@pytest.mark.parametrize(
    ("key", "answer", "label"),
    [
        ("google_ads", {"results": [{"conversionAction": {"id": "1", "name": "Lead", "status": "HIDDEN"}}]},
         "⟦Lead (hidden)⟧"),
        ("microsoft", {"ConversionGoals": [{"Name": "Lead", "Status": "Paused"}]}, "⟦Lead (paused)⟧"),
        ("linkedin", {"elements": [{"id": 1, "name": "Lead", "enabled": False}]}, "⟦Lead (switched off)⟧"),
    ],
)  # fmt: skip
def test_what_is_added_to_a_vendors_name_can_be_translated(
    key: str,
    answer: dict[str, Any],
    label: str,
    pseudo: None,  # noqa: F811
) -> None:
    (choice,) = platforms.get(key).read_ids(Response(status=200, body=msgspec.json.encode(answer)), CONFIG[key])
    assert choice.label == label


def test_no_word_is_looked_up_on_import() -> None:
    """Without apps a look-up raises; with them the first reader's language would be everybody's."""
    code = "from destinations import platforms; print(len([platform.fields for platform in platforms.every()]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == len(PLATFORMS)


@each_platform
def test_no_word_is_looked_up_for_an_event(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(text: str) -> str:
        raise AssertionError(f"looked up: {text}")

    monkeypatch.setattr(translation._trans, "gettext", looked_up, raising=False)
    config = CONFIG[platform.key]
    built = platform.build([item("Purchase", platform, email="a@b.co", value=1.0, currency="USD")], config, NOW)
    for request in built.requests:
        for status in (200, 400, 401, 429, 500):
            assert platform.parse(request, Response(status=status, body=b"{}"))
