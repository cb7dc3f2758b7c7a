from django.urls import path

from events.api import views

urlpatterns = [
    path("events", views.EventsView.as_view(), name="ingest"),
    path("events/", views.EventsView.as_view(schema=None)),  # forgiven, not advertised
    path("api/schema/", views.SchemaView.as_view(), name="schema"),
    path("api/docs/", views.reference, name="api-reference"),
]
