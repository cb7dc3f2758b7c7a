from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from routing.api import ConfigView
from trackstack_site import probes

urlpatterns = [
    path("", include("events.api.urls")),  # first, as every event comes this way
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("api/config/", ConfigView.as_view(), name="config"),
    path("admin/configure/", include("routing.urls")),
    path("admin/", include("destinations.urls")),
    path("admin/", include("events.urls")),
    path("admin/", admin.site.urls),
]

handler404 = "trackstack_site.lost.not_found"
