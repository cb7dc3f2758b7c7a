"""The shapes of the funnel and the flow: in proportion, in order, and nothing where there is nothing."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from destinations.models import Destination, LedgerEntry
from routing import charts
from tests import factories
from tests.logins import client_with
from trackstack_site.templatetags.figures import thousands


def test_a_funnel_is_in_proportion_to_its_largest_stage() -> None:
    steps = charts.funnel([("Awareness", 400), ("Interest", 100), ("Revenue", 0)])
    assert [(step.label, step.width, step.share) for step in steps] == [
        ("Awareness", 1000, 100), ("Interest", 250, 25), ("Revenue", 0, 0),
    ]  # fmt: skip
    assert charts.funnel([("Awareness", 0)]) == []
    assert charts.funnel([]) == []


def test_a_flow_has_a_band_for_each_destination_that_got_something() -> None:
    flow = charts.flow([("Meta", 75, "good"), ("LinkedIn", 0, "good"), ("Webhook", 25, "good")])
    assert [(band.label, band.count) for band in flow.bands] == [("Meta", 75), ("Webhook", 25)]
    assert flow.height == 68
    assert flow.bands[0].path.startswith("M0 0.0C")
    assert flow.bands[0].path.endswith("0 51.0Z"), "three quarters of the left side"
    assert charts.flow([]).bands == []


@pytest.mark.django_db
def test_the_pictures_are_on_their_pages_with_their_numbers() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    warehouse = Destination.objects.get(platform_key="warehouse")
    today = timezone.now().date()
    for destination, state in ((warehouse, "received"), (meta, "received"), (meta, "delivered")):
        LedgerEntry.objects.create(
            day=today, destination=destination, event_name="SignUp", state=state, count=1204, is_total=True
        )  # fmt: skip
    client = client_with(group="Marketer")
    matrix = client.get(reverse("routing:matrix")).content.decode()
    assert "Funnel of the last 7 days" in matrix
    assert thousands(1204) in matrix
    page = client.get(reverse("routing:event", args=["SignUp"])).content.decode()
    assert f'aria-label="SignUp flows to Pixel: {thousands(1204)}"' in page
