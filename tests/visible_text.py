"""What people read on a page, and which of it no translation could change.

Under `pseudo` every translated text stands in ⟦…⟧. What is left outside is either data, which HTML marks with
`translate="no"`, or a text that somebody forgot to mark.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.utils import translation

OPEN, CLOSE = "⟦", "⟧"
WORD = re.compile(r"[^\W\d_]{2,}")
READ_ALOUD = ("title", "aria-label", "aria-description", "placeholder", "alt", "aria-roledescription")
VOID = frozenset(("area", "br", "col", "hr", "img", "input", "link", "meta", "source", "use", "wbr", "path", "rect"))
NOT_PROSE = frozenset(("script", "style", "code", "pre", "kbd", "time", "textarea"))
"""Code, keys and times are not translated; times follow the reader's formats by themselves."""
INLINE = frozenset(("a", "b", "strong", "em", "i", "small", "span", "kbd", "code", "abbr", "time", "wbr", "br", "svg"))
NAMES = ("TrackStack",)
"""Are the same in every language."""


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language in which every text says that it was looked up; what is kept in no language stays as it is."""
    real = translation._trans

    def wrapped(text: str) -> str:
        return text if translation.get_language() is None else f"{OPEN}{text}{CLOSE}"

    monkeypatch.setattr(real, "gettext", wrapped, raising=False)
    monkeypatch.setattr(real, "pgettext", lambda context, text: wrapped(text), raising=False)
    monkeypatch.setattr(real, "ngettext", lambda one, many, n: wrapped(one if n == 1 else many), raising=False)
    monkeypatch.setattr(
        real, "npgettext", lambda context, one, many, n: wrapped(one if n == 1 else many), raising=False
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[tuple[str, bool]] = []  # each open element, and whether it is left out
        self.depth = 0
        self.found: list[str] = []

    @property
    def is_left_out(self) -> bool:
        return bool(self.stack) and self.stack[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in INLINE:
            self.depth = 0  # no translation spans a block; a bracket lost by truncation must not hide the rest
        said = values.get("translate")
        left_out = tag in NOT_PROSE or said == "no" or (self.is_left_out and said != "yes")
        if not left_out:
            for name in READ_ALOUD:
                self.read(values.get(name, ""), name, is_whole=True)
            if tag == "input" and values.get("type") in ("submit", "button", "reset"):
                self.read(values.get("value", ""), "value", is_whole=True)
        if tag not in VOID:
            self.stack.append((tag, left_out))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self.depth = 0
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at][0] == tag:
                del self.stack[at:]
                break

    def handle_data(self, data: str) -> None:
        if not self.is_left_out:
            self.read(data, self.stack[-1][0] if self.stack else "")

    def read(self, text: str, where: str, *, is_whole: bool = False) -> None:
        depth, outside = (0 if is_whole else self.depth), []
        for letter in text:
            if letter == OPEN:
                depth += 1
                outside.append(" ")
            elif letter == CLOSE:
                depth = max(0, depth - 1)
            elif not depth:
                outside.append(letter)
        if not is_whole:
            self.depth = depth
        left = "".join(outside)
        for name in NAMES:
            left = left.replace(name, "")
        if WORD.search(left):
            self.found.append(f"<{where}> {' '.join(left.split())}")


def unmarked(html: str) -> list[str]:
    """Each text of a page rendered under `pseudo` that no translation can reach, with the element it stands in."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return list(dict.fromkeys(reader.found))
