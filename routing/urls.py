from django.urls import path

from routing import (
    views,
    views_cell,
    views_config,
    views_csv,
    views_drafts,
    views_event,
    views_history,
    views_look,
    views_pulse,
)

app_name = "routing"
urlpatterns = [
    path("tokens/", views_config.tokens, name="config_tokens"),
    path("tokens/add/", views_config.add_token, name="config_token_add"),
    path("tokens/<int:pk>/revoke/", views_config.revoke_token, name="config_token_revoke"),
    path("copy/", views_config.copy, name="copy"),
    path("history/", views_history.index, name="history"),
    path("history/compare/", views_history.compare, name="history_compare"),
    path("history/back/<int:version>/", views_history.roll_back, name="roll_back"),
    path("history/<int:pk>/", views_history.entry, name="history_entry"),
    path("drafts/", views_drafts.index, name="drafts"),
    path("drafts/collecting/", views_drafts.collecting, name="collecting"),
    path("drafts/undo/", views_drafts.undo, name="draft_undo"),
    path("drafts/<int:pk>/", views_drafts.detail, name="draft"),
    path("drafts/<int:pk>/discard/", views_drafts.discard, name="draft_discard"),
    path("drafts/<int:pk>/<slug:act>/", views_drafts.act, name="draft_act"),
    path("events/", views.matrix, name="matrix"),
    path("events/toggle/", views.toggle, name="toggle"),
    path("events/change/", views.change, name="change"),
    path("events/undo/", views.undo, name="undo"),
    path("events/modes/<int:destination_id>/", views.modes, name="modes"),
    path("events/look/", views_look.keep, name="look"),
    path("events/pulse/", views_pulse.pulse, name="pulse"),
    path("events/export.csv", views_csv.export, name="export"),
    path("events/export/", views_csv.choose, name="export_choose"),
    path("events/import/", views_csv.import_mappings, name="import"),
    path("events/<slug:name>/", views_event.event, name="event"),
    path("events/<int:destination_id>/<str:event>/days/", views_cell.days, name="cell_days"),
    path("events/<int:destination_id>/<str:event>/", views.mapping, name="mapping"),
]
