"""Drafts over HTTP: who may, what a switch does while it is collected, and what the pages say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations.models import Destination
from routing import drafts, snapshot, toggles
from routing.models import Collecting, Draft, DraftState, RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

MATRIX = "/admin/configure/events/"
DRAFTS = "/admin/configure/drafts/"
HTMX = {"HTTP_HX_REQUEST": "true"}


def someone(name: str, group: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def pixel() -> Destination:
    return factories.make_destination("meta", name="Pixel")


@pytest.fixture
def ada(pixel: Destination) -> Client:
    client = someone("ada", "Marketer")
    client.post(DRAFTS + "collecting/", {"on": "1"})
    return client


def toggle(client: Client, pixel: Destination, what: str, **options: Any) -> Any:
    return client.post(MATRIX + "toggle/", {"set": f"{pixel.pk}:{what}"}, **options)


def is_on(pixel: Destination, event: str) -> bool:
    state = snapshot.load()
    return event in toggles.selected(state.rules[pixel.pk], state.events)


def draft_of(name: str) -> Draft:
    return Draft.objects.get(author__username=name, state__in=["open", "in_review", "approved", "scheduled"])


# --- Who may ------------------------------------------------------------------------------------------
def test_strangers_log_in_and_who_only_looks_only_looks(client: Client, ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    page = f"{DRAFTS}{draft_of('ada').pk}/"
    viewer, nobody = someone("vera", "Viewer"), client_with()
    for path in (DRAFTS, page):
        assert client.get(path).status_code == 302
        assert nobody.get(path).status_code == 403
        assert viewer.get(path).status_code == 200
    assert viewer.post(DRAFTS + "collecting/", {"on": "1"}).status_code == 403
    assert b"Publish now" not in viewer.get(page).content
    acts = ("note", "publish", "remove", "keep", "reopen")
    engineer = someone("bob", "Engineer")
    for other in (viewer, engineer):
        assert [other.post(f"{page}{act}/", {"change": "1"}).status_code for act in acts] == [403] * len(acts)
        assert other.post(page + "discard/").status_code == 403
        assert other.get(page + "discard/").status_code == 404
    assert ada.get(page + "publish/").status_code == 405
    assert ada.post(page + "nonsense/").status_code == 404
    assert ada.post(DRAFTS + "999999/publish/").status_code == 404
    assert draft_of("ada").state == DraftState.OPEN
    assert "Drafts" in viewer.get(DRAFTS).content.decode()


# --- The matrix -----------------------------------------------------------------------------------------
def test_a_switch_is_collected_marked_and_counted(ada: Client, pixel: Destination) -> None:
    version = snapshot.stored_version()
    answer = toggle(ada, pixel, "SignUp:0", **HTMX).content.decode()
    assert 'aria-describedby="drafted"></button><em>draft</em>' in answer
    assert 'id="draft-bar" class="draft-bar" hx-swap-oob="true"' in answer
    assert "Draft: 1 change<" in answer
    assert f'value="{pixel.pk}:SignUp:1"' in answer
    assert is_on(pixel, "SignUp")
    assert snapshot.stored_version() == version
    page = ada.get(MATRIX).content.decode()
    assert page.count("<em>draft</em>") == 2, "the switch, and the mode that becomes Custom"
    assert "See the difference" in page
    other = someone("bob", "Engineer").get(MATRIX).content.decode()
    assert "<em>draft</em>" not in other
    assert "See the difference" not in other
    answer = toggle(ada, pixel, "SignUp:1", **HTMX).content.decode()
    assert "<em>draft</em>" not in answer
    assert "Draft: no changes yet" in answer


def test_a_stage_is_asked_with_the_draft_in_mind_and_collected(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "FeatureUsed:1")
    asked = toggle(ada, pixel, "@product:1", **HTMX)
    assert asked["HX-Retarget"] == "#dialog-body"
    text = asked.content.decode()
    assert "Put it in the draft" in text
    assert "receiving <strong>FeatureUsed" not in text
    seen = snapshot.stored_version()
    ada.post(MATRIX + "change/", {"set": f"{pixel.pk}:@product:1", "seen": str(seen)}, **HTMX)  # type: ignore[arg-type]
    assert draft_of("ada").changes.count() > 5
    assert not is_on(pixel, "FeatureUsed")
    ada.post(MATRIX + "change/", {"set": f"{pixel.pk}:=everything", "seen": str(seen)})
    assert list(draft_of("ada").changes.values_list("field", flat=True)) == ["mode"]


def test_a_mapping_is_collected_and_shown_in_its_form(ada: Client, pixel: Destination) -> None:
    page = f"{MATRIX}{pixel.pk}/SignUp/"
    ada.post(page, {"native_name": "Joined"})
    assert 'value="Joined"' in ada.get(page).content.decode()
    assert "Joined" in ada.get(MATRIX).content.decode()
    assert snapshot.current().rules[pixel.pk].native_name("SignUp") == "CompleteRegistration"
    linkedin = factories.make_destination("linkedin")
    answer = ada.post(f"{MATRIX}{linkedin.pk}/SignUp/", {"native_name": "", "native_id": "nonsense!"})
    assert answer.status_code == 422
    assert "This is no " in answer.content.decode()


def test_what_others_do_meanwhile_comes_with_the_draft_on_top(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    seen = snapshot.stored_version()
    toggles.apply(pixel, on={"FeatureUsed": True}, actor="eve")
    text = ada.get(reverse("routing:pulse"), {"seen": seen}).content.decode()
    assert f'value="{pixel.pk}:SignUp:1"' in text
    assert f'value="{pixel.pk}:FeatureUsed:0"' in text


def test_switched_off_all_is_immediate_again_and_the_draft_is_kept(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    ada.post(DRAFTS + "collecting/", {"on": "0"})
    assert not Collecting.objects.exists()
    assert "<em>draft</em>" not in ada.get(MATRIX).content.decode()
    toggle(ada, pixel, "Purchase:0")
    assert not is_on(pixel, "Purchase")
    assert is_on(pixel, "SignUp")
    assert draft_of("ada").changes.count() == 1


def test_budget_of_a_collected_switch(ada: Client, pixel: Destination, django_assert_max_num_queries: Any) -> None:
    toggle(ada, pixel, "SignUp:0", **HTMX)
    snapshot.forget()
    snapshot.current()
    # Who asks: 3. The draft before, while and after: 6. The version: 4. Collecting: 7. What the answer shows: 1 or 2.
    with django_assert_max_num_queries(22):
        toggle(ada, pixel, "Purchase:0", **HTMX)


# --- The draft's page --------------------------------------------------------------------------------------
def test_from_the_difference_to_published_with_its_note(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    toggle(ada, pixel, "FeatureUsed:1")
    draft = draft_of("ada")
    page = f"{DRAFTS}{draft.pk}/"
    text = ada.get(page).content.decode()
    assert "Pixel stops receiving SignUp" in text
    assert " required" not in text, "each button asks for its own field only"
    ada.post(page + "remove/", {"change": str(draft.changes.get(event_name="FeatureUsed").pk)})
    draft.refresh_from_db()
    version = snapshot.stored_version()
    answer = ada.post(page + "publish/", {"revision": str(draft.revision), "note": "Spring"}, follow=True)
    assert "Published as version" in answer.content.decode()
    assert RoutingChange.objects.get(version=version + 1).note == "Spring"
    assert not is_on(pixel, "SignUp")
    history = ada.get("/admin/configure/history/").content.decode()
    assert "“Spring”" in history
    assert "Published in the last" in ada.get(DRAFTS).content.decode()


def test_a_published_draft_is_one_row_of_the_history(ada: Client, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    toggle(ada, pixel, "SignUp:0")
    toggle(ada, other, "SignUp:0")
    draft = draft_of("ada")
    ada.post(f"{DRAFTS}{draft.pk}/publish/", {"revision": str(draft.revision), "note": "Spring"})
    text = ada.get("/admin/configure/history/").content.decode()
    assert text.count("“Spring”") == 1
    assert '<td translate="no">Pixel, Other</td>' in text
    entry = RoutingChange.objects.filter(note="Spring").earliest("pk")
    text = ada.get(f"/admin/configure/history/{entry.pk}/").content.decode()
    assert f"Published from draft {draft.pk}" in text
    assert "Other stops receiving SignUp" in text


def test_who_reviews_a_mode_sees_each_event_of_it(ada: Client, pixel: Destination) -> None:
    factories.make_received("FeatureUsed", 1204)
    seen = str(snapshot.stored_version())
    ada.post(MATRIX + "change/", {"set": f"{pixel.pk}:=everything", "seen": seen}, **HTMX)  # type: ignore[arg-type]
    html = someone("bob", "Engineer").get(f"{DRAFTS}{draft_of('ada').pk}/").content.decode()
    assert 'Pixel starts receiving <strong>FeatureUsed</strong> <span class="quiet">1,204 in 7 days</span>' in html
    assert '<details class="diff-more"><summary>' in html


def test_publishing_ends_with_its_undo_and_the_last_days(ada: Client, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    for one in (pixel, other):
        toggle(ada, one, "FeatureUsed:1")
    draft = draft_of("ada")
    answer = ada.post(f"{DRAFTS}{draft.pk}/publish/", {"revision": str(draft.revision), "note": ""}, follow=True)
    entry = RoutingChange.objects.earliest("pk")
    html = answer.content.decode().partition('id="toasts"')[2]
    assert f"<p>Published as version {entry.version}.</p>" in html
    assert f'href="{reverse("routing:history_entry", args=[entry.pk])}#backfill">Send the last days…' in html
    assert f'name="change" value="{entry.pk}">Undo' in html
    assert "hx-post" not in html, "there are no cells here to swap: Undo leads to them"
    page = answer.redirect_chain[-1][0]
    assert ">Undo<" not in someone("bob", "Engineer").get(page).content.decode(), "bob did not do it"
    ada.post(MATRIX + "undo/", {"change": str(entry.pk)})
    assert not is_on(pixel, "FeatureUsed")
    assert not is_on(other, "FeatureUsed")


def test_a_conflict_stands_on_the_page_with_keep_and_drop(ada: Client, pixel: Destination) -> None:
    ada.post(f"{MATRIX}{pixel.pk}/SignUp/", {"native_name": "Joined"})
    toggles.apply(pixel, native_names={"SignUp": "Registered"}, actor="eve")
    draft = draft_of("ada")
    page = f"{DRAFTS}{draft.pk}/"
    text = ada.get(page).content.decode()
    assert "1 change was overtaken by somebody else." in text
    assert "eve changed it meanwhile" in text
    answer = ada.post(page + "publish/", {"revision": str(draft.revision)}, follow=True).content.decode()
    assert "Others changed the same since" in answer
    ada.post(page + "keep/", {"change": str(draft.changes.get().pk)})
    draft.refresh_from_db()
    ada.post(page + "publish/", {"revision": str(draft.revision)})
    assert snapshot.current().rules[pixel.pk].native_name("SignUp") == "Joined"


def test_review_over_the_pages(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    bob = someone("bob", "Engineer")
    draft = draft_of("ada")
    page = f"{DRAFTS}{draft.pk}/"
    revision = {"revision": str(draft.revision)}
    assert "bob" in ada.get(page).content.decode()
    ada.post(page + "review/", {"reviewer": str(User.objects.get(username="bob").pk), "note": "please", **revision})
    assert "Waiting for your review" in bob.get(DRAFTS).content.decode()
    assert "Approve" not in ada.get(page).content.decode().replace("Approved", "")
    assert ada.post(page + "approve/", revision).status_code == 403
    answer = bob.post(page + "send-back/", revision, follow=True).content.decode()
    assert "Say in the comment" in answer
    bob.post(page + "approve/", {"comment": "fine", **revision})
    assert "Approved by bob." in ada.get(page).content.decode()
    bob.post(page + "publish/", revision)
    assert not is_on(pixel, "SignUp")
    draft.refresh_from_db()
    assert (draft.note, draft.comment, str(draft.publisher)) == ("please", "fine", "bob")


def test_publishing_at_a_time_and_stopping_it(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    draft = draft_of("ada")
    page = f"{DRAFTS}{draft.pk}/"
    revision = {"revision": str(draft.revision)}
    tomorrow = timezone.now() + timedelta(days=1)
    html = ada.get(page).content.decode()
    assert f'value="{tomorrow:%Y-%m-%d}T08:00" data-utc data-tomorrow-at="08:00"' in html
    for wrong, said in (
        ("", "Choose a time to come."),
        ("tomorrow", "This is not a time."),
        ("2020-01-01T10:00", "The time has passed already. Choose one to come."),
    ):
        answer = ada.post(page + "schedule/", {"publish_at": wrong, "note": "for later", **revision})
        assert answer.status_code == 422
        assert "data-tomorrow-at" not in answer.content.decode(), "what was typed is not proposed anew"
        assert f'<ul class="errors" id="id_publish_at_error"><li>{said}</li></ul>' in answer.content.decode()
        assert "for later</textarea>" in answer.content.decode(), "what was typed is not lost"
        assert draft_of("ada").state == DraftState.OPEN
    at = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    ada.post(page + "schedule/", {"publish_at": at, **revision})
    assert draft_of("ada").state == DraftState.SCHEDULED
    assert f">{at.replace('T', ' ')} UTC</time>" in ada.get(DRAFTS).content.decode()
    ada.post(page + "unschedule/")
    assert draft_of("ada").state == DraftState.OPEN


def test_a_time_comes_as_utc_from_wherever_it_was_typed(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    draft = draft_of("ada")
    page = f"{DRAFTS}{draft.pk}/"
    assert 'Publish at (<span data-zone translate="no">UTC</span>)' in ada.get(page).content.decode()
    at = (timezone.now() + timedelta(days=2)).replace(second=0, microsecond=0)
    ada.post(page + "schedule/", {"publish_at": f"{at:%Y-%m-%dT%H:%M}Z", "revision": str(draft.revision)})
    assert draft_of("ada").publish_at == at


def test_discarding_asks_first(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    page = f"{DRAFTS}{draft_of('ada').pk}/"
    assert "Its change is not made" in ada.get(page + "discard/").content.decode()
    draft = draft_of("ada")
    ada.post(page + "discard/", {"revision": draft.revision - 1})
    assert Draft.objects.get(pk=draft.pk).state == DraftState.OPEN, "not what the page asked about"
    ada.post(page + "discard/", {"revision": draft.revision})
    assert "It was discarded" in ada.get(page).content.decode()
    assert drafts.current(User.objects.get(username="ada")) is None
    assert is_on(pixel, "SignUp")


def test_what_was_switched_on_can_be_sent_for_the_last_days_too(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "FeatureUsed:1")
    draft = draft_of("ada")
    ada.post(f"{DRAFTS}{draft.pk}/publish/", {"revision": str(draft.revision), "note": ""})
    text = ada.get(f"{DRAFTS}{draft.pk}/").content.decode()
    may_replay = User.objects.get(username="ada").has_perm("destinations.add_replay")
    assert ("Send the last days of what it switched on" in text) is may_replay
    assert (f"replays/new/?kind=missed&amp;destination={pixel.pk}" in text) is may_replay
    assert may_replay


# --- Undo ----------------------------------------------------------------------------------------------


def undo(client: Client, revision: int) -> Any:
    return client.post(DRAFTS + "undo/", {"revision": revision}, **HTMX)


def rows_of(draft: Draft) -> set[tuple[str, str, str]]:
    return set(draft.changes.values_list("event_name", "field", "wanted"))


def test_what_was_collected_last_is_taken_back(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "PageView:1")
    toggle(ada, pixel, "SignUp:0")
    first = rows_of(draft_of("ada"))
    html = toggle(ada, pixel, "StartTrial:0", **HTMX).content.decode()
    revision = draft_of("ada").revision
    assert f'name="revision" value="{revision}"' in html
    html = undo(ada, revision).content.decode()
    assert "Taken back." in html
    assert "StartTrial → Pixel" in html
    assert "SignUp → Pixel" not in html, "only what is different is sent"
    assert rows_of(draft_of("ada")) == first
    assert 'name="revision"' not in html, "there is no second step back"
    assert "changed since" in undo(ada, revision).content.decode()
    assert rows_of(draft_of("ada")) == first


def test_taking_a_mode_back_brings_the_single_switches_again(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    before = rows_of(draft_of("ada"))
    ada.post(MATRIX + "change/", {"set": f"{pixel.pk}:=everything", "seen": snapshot.stored_version()}, **HTMX)
    assert rows_of(draft_of("ada")) != before
    undo(ada, draft_of("ada").revision)
    assert rows_of(draft_of("ada")) == before


def test_an_old_window_takes_nothing_back(ada: Client, pixel: Destination) -> None:
    toggle(ada, pixel, "SignUp:0")
    old = draft_of("ada").revision
    toggle(ada, pixel, "StartTrial:0")
    assert "changed since" in undo(ada, old).content.decode()
    draft = draft_of("ada")
    ada.post(f"{DRAFTS}{draft.pk}/remove/", {"change": draft.changes.first().pk})
    assert "changed since" in undo(ada, draft_of("ada").revision).content.decode(), "another edit came after"
    assert len(rows_of(draft_of("ada"))) == 1
