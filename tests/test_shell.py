"""The shell: one menu by job, and Django's own pages inside it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import NoReverseMatch, reverse

from trackstack_site import menu

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _plain_static(settings: Any) -> None:
    settings.WHITENOISE_AUTOREFRESH = True
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin", "", "x"))
    return client


def menu_of(client: Client, path: str) -> list[str]:
    text = client.get(path).content.decode()
    return re.findall(r"</svg>([\w ]+)</a></li>", text)


@pytest.mark.parametrize(
    "path",
    [
        "auth/user/",
        "auth/user/add/",
        "auth/group/",
        "auth/group/add/",
        "password_change/",
        "auth/",
        "auth/user/1/delete/",
    ],
)
def test_djangos_pages_are_inside_the_shell(admin: Client, path: str) -> None:
    user = User.objects.get()
    answer = admin.get(f"/admin/{path.replace('1', str(user.pk))}")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert 'class="sidebar"' in text
    assert text.index("admin/css/base.css") < text.index("trackstack/trackstack.css"), "ours has the last word"
    assert " style=" not in text, "the content security policy would drop it"
    assert "<script>" not in text


def test_log_in_has_no_menu_and_keeps_where_to_go(client: Client) -> None:
    text = client.get("/admin/login/?next=/admin/auth/user/").content.decode()
    assert "sidebar" not in text
    assert 'name="next" value="/admin/auth/user/"' in text
    User.objects.create_superuser("admin", "", "right")
    wrong = client.post("/admin/login/", {"username": "admin", "password": "wrong"}).content.decode()
    assert 'role="alert"' in wrong


def test_the_menu_shows_what_one_may(admin: Client) -> None:
    assert {"Events", "Users", "Groups"} <= set(menu_of(admin, "/admin/password_change/"))
    viewer = User.objects.create_user("viewer", password="x", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client = Client()
    client.force_login(viewer)
    shown = menu_of(client, "/admin/configure/events/")
    assert "Events" in shown
    assert not {"Users", "Groups"} & set(shown)


def test_the_current_entry_is_marked_below_its_address_too(admin: Client) -> None:
    text = admin.get("/admin/auth/user/add/").content.decode()
    assert len(re.findall('aria-current="page"', text)) == 1
    assert f'href="{reverse("admin:auth_user_changelist")}" aria-current="page"' in text


def test_an_entry_without_a_page_is_left_out(rf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> str:
        raise NoReverseMatch(name)

    monkeypatch.setattr(menu, "reverse", gone)
    request = rf.get("/admin/")
    request.user = User(is_staff=True, is_superuser=True, is_active=True)
    assert menu.links(request) == []


def test_not_allowed_and_not_here_are_pages_of_ours(admin: Client) -> None:
    assert "There is no such page" in admin.get("/nowhere/").content.decode()
    client = Client()
    client.force_login(User.objects.create_user("nobody", password="x", is_staff=True))
    answer = client.get("/admin/configure/events/")
    assert (answer.status_code, "may not open this page" in answer.content.decode()) == (403, True)
