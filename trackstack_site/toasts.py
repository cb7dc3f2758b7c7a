"""Messages with a way on: one button in the toast, which posts."""

from __future__ import annotations

import enum
from typing import NamedTuple

from django.contrib import messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Way(enum.StrEnum):
    UNDO = "undo"
    RESUME = "resume"


LABELS: dict[Way, str | Promise] = {Way.UNDO: _("Undo"), Way.RESUME: _("Resume")}


class Button(NamedTuple):
    label: str | Promise
    url: str
    name: str
    """Of the field that is posted as 1; empty: none."""


def tell(request: HttpRequest, said: str, way: Way, url: str, name: str = "") -> None:
    """A message whose toast has a button: it posts to `url`, with `name`=1 when there is one."""
    messages.success(request, said, extra_tags=f"{way} {url} {name}".strip())


def button_of(message: Message) -> Button | None:
    """What `tell` gave with it."""
    way, _space, rest = (message.extra_tags or "").partition(" ")
    if way not in set(Way):
        return None
    url, _space, name = rest.partition(" ")
    return Button(LABELS[Way(way)], url, name)
