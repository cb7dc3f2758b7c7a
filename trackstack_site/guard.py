"""Who may open a view: strangers are sent to the log-in page, the rest need a permission or get 403."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

View = Callable[..., HttpResponseBase]


def needs(*permissions: str) -> Callable[[View], View]:
    """Any one of the permissions opens the view. Django's own decorator asks for all of them."""

    def guard(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not any(request.user.has_perm(permission) for permission in permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded: View = login_required(checked)
        return guarded

    return guard


BIGGEST_KEY = 2**63 - 1


def key_of(text: str) -> int | None:
    """A primary key out of a URL; None for what is none, however long it is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= BIGGEST_KEY else None
