from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class TrackStackAdminConfig(AdminConfig):
    default_site = "trackstack_site.admin_site.TrackStackAdminSite"


class SiteConfig(AppConfig):
    name = "trackstack_site"
    verbose_name = "TrackStack"

    def ready(self) -> None:
        from trackstack_site import checks  # noqa: F401  (registers the system checks)
