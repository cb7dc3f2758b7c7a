"""The shell: one menu by job, and Django's own pages inside it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from routing.models import Draft
from tests.factories import make_source
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


# --- The way to a page ------------------------------------------------------------------------------------------
def trail_of(client: Client, path: str) -> list[tuple[str, str]]:
    """(words, address) of each step; the address of the page itself is "here"."""
    text = client.get(path).content.decode()
    nav = re.search(r'<nav class="breadcrumb" aria-label="Breadcrumb">(.*?)</nav>', text, re.S)
    assert nav, path
    found = []
    for attributes, inner in re.findall(r"<li([^>]*)>(.*?)</li>", nav[1], re.S):
        link = re.search(r'href="([^"]*)"', inner)
        here = "here" if 'aria-current="page"' in attributes else ""
        found.append((re.sub(r"<[^>]+>", "", inner).strip(), link[1] if link else here))
    return found


def test_the_trail_leads_from_the_group_to_the_page(admin: Client) -> None:
    deliveries, matrix = reverse("destinations:deliveries"), reverse("routing:matrix")
    live = reverse("destinations:live")
    assert trail_of(admin, live) == [("Observe", ""), ("Live", "here")]
    assert trail_of(admin, deliveries) == [("Observe", live), ("Deliveries", "here")]
    assert trail_of(admin, reverse("routing:event", args=["SignUp"])) == [
        ("Configure", matrix), ("Events", matrix), ("SignUp", "here"),
    ]  # fmt: skip
    assert trail_of(admin, reverse("routing:copy"))[:2] == [("Configure", matrix), ("Events", matrix)]
    source = make_source("Shop")
    assert trail_of(admin, reverse("events:key_add", args=[source.pk]))[1:] == [
        ("Sources", reverse("events:sources")),
        ("Shop", reverse("events:source", args=[source.pk])),
        ("New key", "here"),
    ]  # fmt: skip


def test_drafts_tells_how_many_wait_and_asks_only_for_those_who_may_see_drafts(
    admin: Client, django_assert_num_queries: Any
) -> None:
    user = User.objects.get()
    assert 'class="badge"' not in admin.get("/admin/password_change/").content.decode()
    Draft.objects.create(author=user, state="approved")
    text = admin.get("/admin/password_change/").content.decode()
    assert '<span aria-hidden="true">1</span><span class="visually-hidden">: 1 waits for you</span>' in text
    Draft.objects.create(author=user, state="approved")
    assert ": 2 wait for you</span>" in admin.get("/admin/password_change/").content.decode()
    nobody = User.objects.create_user("nobody", is_staff=True)
    request = RequestFactory().get("/admin/")
    request.user = nobody
    with django_assert_num_queries(1):  # its permissions only
        assert not any(link.waiting for group in menu.links(request) for link in group.links)


# --- What is not here -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/admin/configure/events/Nope/", "No event of the name Nope is registered here"),
        ("/admin/configure/drafts/99/", "There is no draft 99"),
        ("/admin/configure/history/99/", "There is no change 99 in the history"),
        ("/admin/attempts/99/", "There is no request 99. Such are kept for 30 days"),
        ("/admin/rejected/99/", "There is no rejected event 99. Such are kept for 90 days"),
        ("/admin/destinations/99/", "There is no such destination"),
        ("/admin/sources/99/", "There is no such source"),
        ("/admin/replays/99/", "There is no replay 99"),
    ],
)
def test_what_is_not_here_is_named(admin: Client, path: str, said: str) -> None:
    answer = admin.get(path)
    assert (answer.status_code, said in answer.content.decode()) == (404, True)


def test_an_unknown_event_leads_to_where_its_name_may_be(admin: Client) -> None:
    text = admin.get("/admin/configure/events/Nope/").content.decode()
    assert f'href="{reverse("events:taxonomy")}"' in text
    assert f'href="{reverse("events:rejected")}?event=Nope&amp;status=all"' in text


def test_strangers_may_log_in_and_learn_nothing(client: Client) -> None:
    text = client.get("/nowhere/?a=1").content.decode()
    assert text.count('href="/admin/login/?next=%2Fnowhere%2F%3Fa%3D1"') == 2, "in the page and in the menu"
    assert "Back to the start" not in text
    assert 'href="/admin/login/?next=%2Fapi%2Fdocs%2F"' in client.get("/api/docs/").content.decode()


def test_the_list_of_keys_is_on_every_page_and_has_the_pages_own(admin: Client) -> None:
    for path in ("/admin/auth/user/", "/admin/deliveries/", "/admin/live/", "/admin/configure/events/"):
        text = admin.get(path).content.decode()
        assert text.count('<template id="keys">') == 1, path
        assert "<kbd>j</kbd> <kbd>k</kbd>" in text
    assert "pause, and follow again" in admin.get("/admin/live/").content.decode()
    assert "ten events up or down" in admin.get("/admin/configure/events/").content.decode()
