"""How somebody left the matrix: kept for that person, and nothing the page cannot have sent."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from routing import looks
from routing.models import MatrixLook
from tests.logins import client_with

pytestmark = pytest.mark.django_db

LOOK = "/admin/configure/events/look/"
MATRIX = "/admin/configure/events/"


def test_who_never_folded_anything_sees_all() -> None:
    assert looks.of(User.objects.create_user("new")) == looks.Look(frozenset(), "")


def test_it_is_kept_and_kept_again() -> None:
    client = client_with("routing.view_route")
    assert client.post(LOOK, {"folded": ["product", "funnel"], "show": "on"}).status_code == 204
    assert client.post(LOOK, {"folded": ["product"], "show": "changed"}).status_code == 204
    assert MatrixLook.objects.count() == 1
    text = client.get(MATRIX).content.decode()
    assert '<tbody id="stage-product" data-filter-group class="is-folded" ' in text
    assert text.count('class="is-folded"') == 1
    assert 'data-show="changed"' in text
    assert '<option value="changed" selected>' in text
    assert 'class="is-folded"' not in client_with("routing.view_route").get(MATRIX).content.decode()


def test_a_link_shows_what_it_says_and_changes_nothing() -> None:
    client = client_with("routing.view_route")
    client.post(LOOK, {"show": "on"})
    assert 'data-show="problem"' in client.get(MATRIX, {"show": "problem"}).content.decode()
    assert 'data-show="on"' in client.get(MATRIX).content.decode()


@pytest.mark.parametrize(
    "sent",
    [
        {"show": "no such"},
        {"folded": ["x" * 65]},
        {"folded": ["a\0b"]},
        {"folded": [str(number) for number in range(51)]},
    ],
)
def test_what_the_page_cannot_have_sent_is_refused(sent: dict[str, object]) -> None:
    assert client_with("routing.view_route").post(LOOK, sent).status_code == 400
    assert not MatrixLook.objects.exists()


def test_who_may() -> None:
    assert Client().post(LOOK).status_code == 302
    assert client_with("events.view_source").post(LOOK).status_code == 403
    assert client_with("routing.view_route").get(LOOK).status_code == 405
