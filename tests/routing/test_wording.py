"""Answers that are no pages of their own are translated as well; what is kept is kept in English."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation

from destinations.models import Destination, Hold
from events.models import ApiKey, RejectedEvent, Source
from routing import api, drafts, history, matrix, matrix_html, publishing, snapshot, toasts, toggles
from routing.models import Draft, DraftState, RoutingChange
from tests import factories
from tests.test_translation import send
from tests.visible_text import pseudo, unmarked  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}
HEADER = "stage,event,destination,platform,enabled,native_name,native_id,mode"


@pytest.fixture
def ada() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def pixel() -> Destination:
    factories.make_key(factories.make_source("Shop"))
    factories.make_destination("meta", name="Other")
    return factories.make_destination("meta", name="Pixel")


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Marks what is translated while German is active; holds every text that was looked up."""
    asked: list[str] = []

    def found(text: str) -> str:
        asked.append(text)
        return f"de({text})" if translation.get_language() == "de" else text

    real = translation._trans
    monkeypatch.setattr(real, "gettext", found, raising=False)
    monkeypatch.setattr(real, "ngettext", lambda one, many, n: found(one if n == 1 else many), raising=False)
    return asked


def unmarked_in(answers: list[Any]) -> list[str]:
    """Cells that are sent by themselves land in a table that is marked as data."""
    assert {answer.status_code for answer in answers} <= {200, 302, 422}
    swap = '<div hx-swap-oob="innerHTML:td'
    texts = [answer.content.decode().replace(swap, swap.replace("<div", '<div translate="no"')) for answer in answers]
    return [f"{number}: {text}" for number, html in enumerate(texts) for text in unmarked(html)]


def file_of(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("mappings.csv", text.encode(), content_type="text/csv")


def test_answers_to_switches_are_marked(ada: Client, pixel: Destination, pseudo: None) -> None:  # noqa: F811
    send(factories.event("SignUp", "e1"))
    toggle, pk = reverse("routing:toggle"), pixel.pk
    answers = [
        ada.post(toggle, {"set": f"{pk}:{what}"}, **HTMX)
        for what in ("SignUp:0", "SignUp:1", "SignUp:1", "@revenue:1", "*:0", "Refund:1")
    ]
    # A toast whose change was overtaken, and one whose change was not.
    first, last = RoutingChange.objects.earliest("pk"), RoutingChange.objects.latest("pk")
    answers += [ada.post(reverse("routing:undo"), {"change": one.pk}, **HTMX) for one in (first, last)]
    answers += [
        ada.get(reverse("routing:change"), {"set": f"{pk}:{what}"}, **HTMX)
        for what in ("=everything", "*:1", "=custom", "Refund:1")
    ]
    other = Destination.objects.get(name="Other")
    several = [f"{pk}:Purchase,SignUp:0", f"{pk},{other.pk}:Purchase,Refund:1", f"{other.pk}:Purchase:0"]
    answers += [ada.get(reverse("routing:set_range"), {"set": text}, **HTMX) for text in several]
    seen = str(snapshot.stored_version())
    answers += [ada.post(reverse("routing:set_range"), {"set": several[1], "seen": seen}, **HTMX) for _ in range(2)]
    answers += [ada.get(reverse("routing:cell_days", args=[pk, name])) for name in ("SignUp", "Refund", "Purchase")]
    answers += [ada.get(reverse("routing:meaning", args=["Refund"])), ada.get(reverse("routing:modes", args=[pk]))]
    answers += [ada.get(reverse("routing:change"), {"set": f"{pk}:*:1", "shown": "3"}, **HTMX)]
    assert unmarked_in(answers) == []


def test_answers_to_forms_are_marked(ada: Client, pixel: Destination, pseudo: None) -> None:  # noqa: F811
    toggles.apply(pixel, on={"SignUp": False, "Refund": True}, native_names={"Purchase": "Paid"})
    other = Destination.objects.get(name="Other")
    add = reverse("routing:import")
    wrong = f"{HEADER}\nx,Signup,Pixel,tiktok,perhaps,,,odd\n,SignUp,Nobody,,,,,\n,SignUp,Pixel,,on,,abc,\n,SignUp\n"
    right = f"{HEADER}\n,SignUp,Pixel,,on,Joined,,custom\n,Refund,Other,,on,,,\n"
    pair = {"source": pixel.pk, "target": other.pk}
    back = reverse("routing:roll_back", args=[0])
    answers = [
        ada.post(add, {"file": file_of(wrong)}),
        ada.post(add, {"file": file_of("")}),
        ada.post(add, {"file": file_of(right)}),
        ada.post(add, {"text": right}),
        ada.post(add, {"text": right.replace("stage", "more")}),
        ada.post(add, {"text": right, "seen": str(snapshot.stored_version()), "note": "n" * 401}),
        ada.post(add, {"text": right, "seen": str(snapshot.stored_version())}, follow=True),
        ada.get(reverse("routing:copy"), pair),
        ada.post(reverse("routing:copy"), pair | {"seen": "0"}),
        ada.post(reverse("routing:copy"), pair | {"seen": str(snapshot.stored_version())}, follow=True),
        ada.get(reverse("routing:copy"), pair | {"target": pixel.pk}),
        ada.post(reverse("routing:mapping", args=[pixel.pk, "SignUp"]), {"native_name": "a\x07b"}),
        ada.get(back),
        ada.post(back, {"seen": str(snapshot.stored_version())}, follow=True),
        ada.post(reverse("routing:config_token_add"), {"name": "CI"}),
    ]
    ada.post(reverse("routing:collecting"), {"on": "1"})
    answers += [ada.post(add, {"text": right}), ada.get(reverse("routing:copy"), pair)]
    assert unmarked_in(answers) == []


def test_answers_to_drafts_are_marked(ada: Client, pixel: Destination, pseudo: None) -> None:  # noqa: F811
    answers = [
        ada.post(reverse("routing:collecting"), {"on": "1"}, follow=True),
        ada.post(reverse("routing:toggle"), {"set": f"{pixel.pk}:SignUp:0"}, **HTMX),
        ada.post(reverse("routing:change"), {"set": f"{pixel.pk}:=everything", "seen": snapshot.stored_version()}),
    ]
    draft = Draft.objects.get()
    toggles.apply(pixel, on={"SignUp": False})
    act = [reverse("routing:draft_act", args=[draft.pk, name]) for name in ("review", "publish", "note", "schedule")]
    answers += [ada.post(address, {"revision": "1"}, follow=True) for address in act]
    assert unmarked_in(answers) == []


def test_answers_about_events_are_marked(ada: Client, pixel: Destination, pseudo: None) -> None:  # noqa: F811
    send({"event": "Nope"}, factories.event("WebinarHeld", "e1"))
    source, key, rejected = Source.objects.get(), ApiKey.objects.get(), RejectedEvent.objects.get()
    mend = reverse("events:rejected_detail", args=[rejected.pk])
    answers = [
        ada.post(reverse("events:source_add"), {"name": "Shop", "allowed_origins": "nonsense"}),
        ada.post(reverse("events:source_add"), {"name": "App"}, follow=True),
        ada.post(reverse("events:key_add", args=[source.pk]), {"label": "New", "expires": "30"}),
        ada.post(reverse("events:key_revoke", args=[key.pk]), follow=True),
        ada.post(reverse("events:register"), {"name": "signup", "stage": "product"}),
        ada.post(reverse("events:register"), {"name": "SignUp", "stage": "product"}),
        ada.post(reverse("events:register"), {"name": "WebinarHeld", "stage": "product"}, follow=True),
        ada.post(reverse("events:retire", args=["SignUp"]), follow=True),
        ada.post(mend, {"payload": "[]"}),
        ada.post(mend, {"payload": "{"}),
    ]
    assert unmarked_in(answers) == []


def test_the_history_is_kept_in_english_and_the_toast_speaks_the_readers_language(
    pixel: Destination, german: list[str]
) -> None:
    with translation.override("de"):
        entry = toggles.apply(pixel, on={"SignUp": False})
        assert entry is not None
        assert entry.sentences == ["Pixel: Recommended → Custom", "Pixel stops receiving SignUp"]
        assert toasts.toast_of(entry)["text"] == "de(de(Pixel stops receiving SignUp).)"
        mapped = toggles.apply(pixel, native_names={"SignUp": "Joined"})
        assert mapped is not None
        assert mapped.sentences == ["Pixel: native name of SignUp: default → Joined"]
        assert "de(default)" in toasts.toast_of(mapped)["text"]


def test_going_back_is_noted_in_english(pixel: Destination, german: list[str]) -> None:
    with translation.override("de"):
        toggles.apply(pixel, on={"SignUp": False})
        made = history.roll_back(0, user=User.objects.create_user("bob"), seen=snapshot.stored_version())
    assert [entry.note for entry in made] == ["Back to version 0"]


def test_the_configuration_api_answers_in_english(pixel: Destination, german: list[str]) -> None:
    _, text = api.make_token("CI", may_write=True)
    body: Any = {"destinations": {"Pixel": {"mode": "everything", "native_ids": {"SignUp": "x"}}}}
    with translation.override("de"):
        request = RequestFactory().put(
            "/api/config/?dry_run=1", body, "application/json", HTTP_AUTHORIZATION=f"Bearer {text}"
        )
        answer = api.ConfigView.as_view()(request).render()
    assert b"this platform takes no native ids" in answer.content
    assert b"de(" not in answer.content


def test_why_a_draft_was_not_published_is_kept_in_english(pixel: Destination, german: list[str]) -> None:
    ada, state = User.objects.create_superuser("eve"), snapshot.load()
    drafts.set_collecting(ada, True)
    drafts.collect(ada, state.rules[pixel.pk], state, on={"SignUp": False})
    now = timezone.now()
    Draft.objects.update(state=DraftState.SCHEDULED, publish_at=now - timedelta(seconds=1), publisher=None)
    with translation.override("de"):
        assert publishing.publish_due() == 0
    assert Draft.objects.get().problem == "Who scheduled it may no longer change the routing."


def test_why_a_column_is_held_is_said_in_the_language_of_who_reads_it(pixel: Destination, german: list[str]) -> None:
    with translation.override("de"):
        toggles.set_hold(pixel, Hold.PAUSED, "Stocktaking")
    rule = snapshot.load().rules[pixel.pk]
    assert (rule.hold, rule.hold_detail) == ("paused", "Stocktaking")
    assert matrix.status_of(rule).detail == "Paused: Stocktaking"
    with translation.override("de"):
        assert matrix.status_of(rule).word == "de(Paused)"


def test_a_column_looks_its_words_up_once_and_not_for_each_cell(pixel: Destination, german: list[str]) -> None:
    state = snapshot.load()
    cells = matrix.cells_of(state.rules[pixel.pk], state.events, {}, {})
    german.clear()
    words = matrix_html.Words()
    for cell in cells.values():
        matrix_html.cell_html(cell, words, may_toggle=True, may_map=True)
    assert len(cells) == 66
    assert len(german) < 20
