"""What others changed reaches an open matrix: small questions, whole columns as answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from routing import snapshot, toggles
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
