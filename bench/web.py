"""The product's server with one more address, `/empty`: a DRF view that does nothing, as the limit of single events.

It stands on the same short way through the middleware as `/events`, behind the same server with the same options.
"""

from __future__ import annotations

from typing import Any

from trackstack_site.wsgi import application

__all__ = ["application"]


def _add_empty_view() -> None:
    from django.urls import path
    from rest_framework.renderers import JSONRenderer
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from trackstack_site import ingest_bypass, urls

    class EmptyView(APIView):
        authentication_classes: list[Any] = []
        permission_classes: list[Any] = []
        renderer_classes = [JSONRenderer]

        def post(self, request: Request) -> Response:
            return Response({"status": "accepted", "received": 1, "accepted": 1, "duplicates": 0}, status=202)

    urls.urlpatterns.insert(0, path("empty", EmptyView.as_view()))
    ingest_bypass.PATHS = ingest_bypass.PATHS | {"/empty"}


_add_empty_view()
