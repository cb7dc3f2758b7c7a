from django.urls import path

from routing import views, views_csv, views_event

app_name = "routing"
urlpatterns = [
    path("events/", views.matrix, name="matrix"),
    path("events/toggle/", views.toggle, name="toggle"),
    path("events/change/", views.change, name="change"),
    path("events/undo/", views.undo, name="undo"),
    path("events/modes/<int:destination_id>/", views.modes, name="modes"),
    path("events/export.csv", views_csv.export, name="export"),
    path("events/import/", views_csv.import_mappings, name="import"),
    path("events/<slug:name>/", views_event.event, name="event"),
    path("events/<int:destination_id>/<str:event>/", views.mapping, name="mapping"),
]
