"""What others changed reaches an open matrix: small questions, whole columns as answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from routing import snapshot, toggles, views_pulse
from routing.models import Draft
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def test_pulse_says_nothing_when_nothing_is_new(django_assert_max_num_queries: Any) -> None:
    client = client_with(group="Viewer")
    page = reverse("routing:pulse")
    client.get(page, {"seen": snapshot.stored_version()})
    with django_assert_max_num_queries(5):
        assert client.get(page, {"seen": snapshot.stored_version()}).status_code == 204
    assert client.get(page, {"seen": "nonsense"}).status_code == 204


def test_pulse_brings_the_columns_that_others_changed_and_who_it_was() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    factories.make_destination("linkedin", name="LI")
    seen = snapshot.stored_version()
    toggles.apply(meta, on={"FeatureUsed": True}, actor="ada")
    html = client_with(group="Marketer").get(reverse("routing:pulse"), {"seen": seen}).content.decode()
    assert "ada: Pixel: Recommended → Custom. Pixel starts receiving FeatureUsed" in html
    assert f'seen={snapshot.stored_version()}"' in html
    assert "FeatureUsed → Pixel" in html
    assert "→ LI" not in html


def test_pulse_has_the_page_read_anew_when_much_changed() -> None:
    seen = snapshot.stored_version()
    meta = factories.make_destination("meta")
    toggles.record_destination_change(meta, "created", ["It is created"])
    answer = client_with(group="Viewer").get(reverse("routing:pulse"), {"seen": seen})
    assert answer.headers["HX-Refresh"] == "true"


def test_more_than_can_be_looked_through_has_the_page_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_pulse, "MOST_CHANGES", 3)
    meta, other = factories.make_destination("meta"), factories.make_destination("linkedin")
    seen, client = snapshot.stored_version(), client_with(group="Viewer")
    for is_on in (True, False, True):
        toggles.apply(meta, on={"FeatureUsed": is_on})
    assert client.get(reverse("routing:pulse"), {"seen": seen}).status_code == 200
    toggles.apply(other, on={"FeatureUsed": True})
    assert client.get(reverse("routing:pulse"), {"seen": seen}).headers["HX-Refresh"] == "true"


def test_pulse_brings_what_the_same_person_collected_in_another_window() -> None:
    pixel, page = factories.make_destination("meta", name="Pixel"), reverse("routing:pulse")
    other = factories.make_destination("linkedin", name="LI")
    client = client_with(group="Marketer")
    seen = {"seen": snapshot.stored_version(), "draft": ""}
    assert client.get(page, seen).status_code == 204
    client.post(reverse("routing:collecting"), {"on": "1"})
    assert client.get(page, seen).headers["HX-Refresh"] == "true", "the whole page is another one"
    seen |= {"draft": "0", "drafted": ""}
    assert client.get(page, seen).status_code == 204
    client.post(reverse("routing:toggle"), {"set": f"{pixel.pk}:FeatureUsed:1"})
    html = client.get(page, seen).content.decode()
    assert "FeatureUsed → Pixel" in html
    assert "Draft: 1 change" in html
    assert "→ LI" not in html
    draft = Draft.objects.get()
    seen |= {"draft": f"{draft.pk}.{draft.revision}", "drafted": f"{pixel.pk},"}
    assert client.get(page, seen).status_code == 204
    client.post(reverse("routing:draft_undo"), {"revision": draft.revision})
    client.post(reverse("routing:toggle"), {"set": f"{other.pk}:FeatureUsed:1"})
    html = client.get(page, seen).content.decode()
    assert "FeatureUsed → Pixel" in html, "it is not drafted there any more"
    assert "FeatureUsed → LI" in html
