"""Configure → Sources: sources, origins and keys."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events.models import ApiKey, Source
from routing import snapshot
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def pages(source: Source, key: ApiKey) -> list[str]:
    return [
        reverse("events:sources"),
        reverse("events:source_add"),
        reverse("events:source", args=[source.pk]),
        reverse("events:key_add", args=[source.pk]),
        reverse("events:key_revoke", args=[key.pk]),
    ]


def test_every_page_asks_who_is_there_and_what_they_may() -> None:
    source = factories.make_source()
    factories.make_key(source)
    nobody, engineer = client_with(), client_with(group="Engineer")
    for page in pages(source, source.api_keys.get()):
        answer = Client().get(page)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("admin:login"))
        assert nobody.get(page).status_code == 403
        assert engineer.get(page).status_code == 200


def test_viewers_look_and_change_nothing() -> None:
    source = factories.make_source()
    factories.make_key(source)
    client, page = client_with(group="Viewer"), reverse("events:source", args=[source.pk])
    assert '<form method="post" class="form' not in client.get(page).content.decode()
    assert client.post(page, {"name": "Mine"}).status_code == 403
    assert client.post(reverse("events:key_add", args=[source.pk])).status_code == 403
    assert client.post(reverse("events:key_revoke", args=[source.api_keys.get().pk])).status_code == 403


def test_create_and_edit_raise_the_routing_version() -> None:
    client, before = client_with(group="Engineer"), snapshot.stored_version()
    data: dict[str, Any] = {
        "name": "Web app",
        "allowed_origins": "https://App.example.com/\r\nhttp://localhost:3000\r\n",
        "default_marketing_consent": "on",
        "is_active": "on",
    }
    client.post(reverse("events:source_add"), data)
    source = Source.objects.get()
    assert source.allowed_origins == ["https://app.example.com", "http://localhost:3000"]
    assert (source.default_marketing_consent, source.default_analytics_consent) == (True, False)
    assert snapshot.stored_version() == before + 1
    client.post(reverse("events:source", args=[source.pk]), data | {"name": "Site"})
    source.refresh_from_db()
    assert (source.name, snapshot.stored_version()) == ("Site", before + 2)
    client.post(reverse("events:source", args=[source.pk]), data | {"name": "Site"})
    assert snapshot.stored_version() == before + 2


@pytest.mark.parametrize("origin", ["app.example.com", "https://a.example/path", "https://", "https://*.a.com", "a b"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    answer = client_with(group="Engineer").post(reverse("events:source_add"), {"name": "A", "allowed_origins": origin})
    assert "is no origin" in answer.content.decode()
    assert not Source.objects.exists()


def test_a_star_allows_any_origin() -> None:
    client_with(group="Engineer").post(reverse("events:source_add"), {"name": "A", "allowed_origins": "*"})
    assert Source.objects.get().allowed_origins == ["*"]


def test_a_key_is_shown_once_and_works() -> None:
    source, client = factories.make_source("Shop"), client_with(group="Engineer")
    answer = client.post(reverse("events:key_add", args=[source.pk]), {"label": "CI", "expires": "30"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    html = answer.content.decode()
    (text,) = set(re.findall(r"tsk_\w{8}_\w{40}", html))
    assert "curl -X POST http://testserver/events" in html
    row = ApiKey.objects.get()
    assert (row.label, row.created_by is not None, row.expires_at is not None) == ("CI", True, True)
    for page in pages(source, row):
        assert text not in client.get(page).content.decode()
    body = factories.event(event_id="e1")
    sent = Client().post("/events", body, content_type="application/json", headers={"x-ts-key": text})
    assert sent.status_code == 202


def test_a_revoked_key_is_refused() -> None:
    text = factories.make_key()
    row = ApiKey.objects.get()
    client, page = client_with(group="Engineer"), reverse("events:key_revoke", args=[row.pk])
    assert f"tsk_{row.prefix}" in client.get(page).content.decode()
    client.post(page)
    row.refresh_from_db()
    assert row.revoked_at is not None
    sent = Client().post("/events", factories.event(), content_type="application/json", headers={"x-ts-key": text})
    assert sent.status_code == 401


def test_the_list_asks_the_same_for_one_source_and_for_many(django_assert_max_num_queries: Any) -> None:
    for _ in range(4):
        factories.make_key(factories.make_source())
    client = client_with(group="Engineer")
    with django_assert_max_num_queries(7):
        client.get(reverse("events:sources"))
