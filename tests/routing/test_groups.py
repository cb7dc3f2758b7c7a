"""The three groups an installation starts with."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

pytestmark = pytest.mark.django_db


def permissions(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def test_marketer_switches_maps_exports_and_sees_everything() -> None:
    held = permissions("Marketer")
    assert {"routing.toggle_route", "routing.change_route", "routing.export_route"} <= held
    assert {"routing.view_route", "destinations.view_delivery", "events.view_event"} <= held
    assert {name for name in held if ".add_" in name or ".delete_" in name} == {"destinations.add_replay"}
    assert {"routing.view_draft", "routing.review_draft"} <= held
    assert "destinations.change_destination" not in held


def test_viewer_changes_nothing() -> None:
    held = permissions("Viewer")
    assert {name for name in held if ".view_" not in name} == {"routing.export_route"}
    assert "routing.view_draft" in held


def test_engineer_has_everything_but_users() -> None:
    held = permissions("Engineer")
    assert {"destinations.add_destination", "events.add_apikey", "routing.toggle_route"} <= held
    assert permissions("Marketer") < held
    assert not {name for name in held if name.startswith("auth.")}
