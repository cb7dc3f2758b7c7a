from django.urls import path

from events.views import quality, rejected, sources, taxonomy

app_name = "events"
urlpatterns = [
    path("sources/", sources.index, name="sources"),
    path("sources/add/", sources.add, name="source_add"),
    path("sources/<int:pk>/", sources.edit, name="source"),
    path("sources/<int:pk>/keys/add/", sources.add_key, name="key_add"),
    path("sources/keys/<int:pk>/revoke/", sources.revoke, name="key_revoke"),
    path("quality/", quality.index, name="quality"),
    path("rejected/", rejected.index, name="rejected"),
    path("rejected/<int:pk>/", rejected.detail, name="rejected_detail"),
    path("taxonomy/", taxonomy.index, name="taxonomy"),
    path("taxonomy/register/", taxonomy.register, name="register"),
    path("taxonomy/<slug:name>/", taxonomy.edit, name="event_edit"),
    path("taxonomy/<slug:name>/retire/", taxonomy.retire, name="retire"),
    path("taxonomy/<slug:name>/restore/", taxonomy.restore, name="restore"),
]
