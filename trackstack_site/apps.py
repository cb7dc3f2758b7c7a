from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries


class TrackStackAdminConfig(AdminConfig):
    default_site = "trackstack_site.admin_site.TrackStackAdminSite"


class SiteConfig(AppConfig):
    name = "trackstack_site"
    verbose_name = "TrackStack"

    def ready(self) -> None:
        from trackstack_site import checks  # noqa: F401  (registers the system checks)

        # A request gives its connection back to the pool at its end, so there is none to look at when one starts; and
        # queries are kept in DEBUG only. Looking costs 5 % of an ingest request.
        request_started.disconnect(close_old_connections)
        if not settings.DEBUG:
            request_started.disconnect(reset_queries)
