"""Django's admin under our name and in our shell; it opens on Health."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from trackstack_site.menu import links


class TrackStackAdminSite(AdminSite):
    site_header = "TrackStack"
    site_title = "TrackStack"
    index_title = _("Everything")
    site_url = None
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The first page of the menu this user may open: Health for nearly everybody."""
        first = next((link.url for group in links(request) for link in group.links), None)
        return redirect(first) if first else super().index(request, extra_context)
