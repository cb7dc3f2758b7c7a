from django.urls import path

from destinations.views import alerts, bench, configure, health, observe, replays

app_name = "destinations"
urlpatterns = [
    path("health/", health.index, name="health"),
    path("destinations/", configure.index, name="list"),
    path("destinations/add/", configure.choose, name="add"),
    path("destinations/add/<slug:platform_key>/", configure.create, name="create"),
    path("destinations/<int:pk>/", configure.edit, name="edit"),
    path("destinations/<int:pk>/switch/", configure.switch, name="switch"),
    path("destinations/<int:pk>/pause/", configure.pause, name="pause"),
    path("destinations/<int:pk>/resume/", configure.resume, name="resume"),
    path("destinations/<int:pk>/delete/", configure.delete, name="delete"),
    path("destinations/<int:pk>/try/", bench.try_one, name="try"),
    path("test-bench/", bench.bench, name="bench"),
    path("deliveries/", observe.deliveries, name="deliveries"),
    path("attempts/<int:pk>/", observe.attempt, name="attempt"),
    path("dead-letters/", observe.dead_letters, name="dead_letters"),
    path("trace/", observe.trace, name="trace"),
    path("alerts/", alerts.index, name="alerts"),
    path("alerts/history/", alerts.history, name="alert_history"),
    path("alerts/rules/<int:pk>/", alerts.rule, name="alert_rule"),
    path("alerts/rules/<int:pk>/mute/", alerts.mute, name="alert_mute"),
    path("alerts/channels/add/", alerts.channel, name="alert_channel_add"),
    path("alerts/channels/<int:pk>/", alerts.channel, name="alert_channel"),
    path("alerts/channels/<int:pk>/test/", alerts.test, name="alert_channel_test"),
    path("alerts/channels/<int:pk>/remove/", alerts.remove, name="alert_channel_remove"),
    path("replays/", replays.index, name="replays"),
    path("replays/new/", replays.new, name="replay_new"),
    path("replays/one/", replays.one, name="replay_one"),
    path("replays/<int:pk>/", replays.detail, name="replay"),
    path("replays/<int:pk>/steer/", replays.steer, name="replay_steer"),
]
