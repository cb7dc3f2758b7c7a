"""A stale tab overwrites nothing unseen, on every form that two people may have open."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events.models import CanonicalEvent, Source
from routing import toggles
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def shown_by(client: Client, address: str) -> dict[str, Any]:
    """What a browser would post of the page as it is."""
    form = client.get(address).context["form"]
    found: dict[str, Any] = {}
    for bound in form:
        value = bound.field.prepare_value(bound.initial)
        if value not in (False, None):
            found[bound.html_name] = "on" if value is True else value
        if bound.field.show_hidden_initial:
            found[bound.html_initial_name] = "" if value is None else str(value)
    return found


def test_a_source() -> None:
    client, source = client_with(group="Engineer"), factories.make_source("Web")
    page = reverse("events:source", args=[source.pk])
    old = shown_by(client, page)
    Source.objects.filter(pk=source.pk).update(name="Web app")
    assert client.post(page, old | {"allowed_origins": "https://a.example.com"}).status_code == 302
    source.refresh_from_db()
    assert (source.name, source.allowed_origins) == ("Web app", ["https://a.example.com"])
    answer = client.post(page, old | {"name": "Site"})
    assert "Somebody made it “Web app” meanwhile" in answer.content.decode()
    assert client.post(page, old | {"name": "Site", "initial-name": "Web app"}).status_code == 302
    source.refresh_from_db()
    assert source.name == "Site"


def test_an_event_of_the_taxonomy() -> None:
    client, page = client_with(group="Engineer"), reverse("events:event_edit", args=["SignUp"])
    old = shown_by(client, page)
    CanonicalEvent.objects.filter(name="SignUp").update(description="Theirs")
    assert client.post(page, old | {"avoid": "Twice"}).status_code == 302
    event = CanonicalEvent.objects.get(name="SignUp")
    assert (event.description, event.avoid) == ("Theirs", "Twice")
    assert "Somebody made it “Theirs” meanwhile" in client.post(page, old | {"description": "Mine"}).content.decode()


def test_the_ids_of_a_destination() -> None:
    pixel = factories.make_destination("linkedin", name="LI", event_mode="custom")
    toggles.apply(pixel, on={"SignUp": True, "Purchase": True}, native_ids={"SignUp": "1001"})
    client, page = client_with(group="Engineer"), reverse("destinations:ids", args=[pixel.pk])
    old = shown_by(client, page)
    toggles.apply(pixel, native_ids={"SignUp": "2002"})
    assert client.post(page, old | {"id_of_Purchase": "3003"}).status_code == 302
    kept = dict(pixel.routes.values_list("event_name", "native_id"))
    assert (kept["SignUp"], kept["Purchase"]) == ("2002", "3003")
    assert "Somebody made it “2002” meanwhile" in client.post(page, old | {"id_of_SignUp": "4004"}).content.decode()
