"""The shapes of the funnel and the flow: in proportion, in order, and nothing where there is nothing."""

from __future__ import annotations

import re
from itertools import pairwise

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


GOOD, MIXED = {"delivered": 57}, {"delivered": 48, "skipped": 8, "dead": 1}


def test_destinations_with_the_same_outcome_are_one_group() -> None:
    found = charts.groups([("Meta", MIXED), ("A", GOOD), ("Idle", {"delivered": 0}), ("B", GOOD), ("C", GOOD)])
    assert [(group.names, group.received) for group in found] == [(("A", "B", "C"), 171), (("Meta",), 57)]
    assert found[0].each == [("delivered", 57)]
    assert found[1].each == [("delivered", 48), ("skipped", 8), ("dead", 1)]


def test_many_unlike_destinations_end_in_one_group() -> None:
    found = charts.groups([(f"D{n}", {"delivered": n}) for n in range(1, 21)])
    assert len(found) == charts.MOST_GROUPS
    last = found[-1]
    assert (len(last.names), last.is_alike) == (14, False)
    assert sum(group.received for group in found) == sum(range(1, 21))
    assert last.each == [("delivered", sum(range(1, 15)))]


def test_a_flow_is_as_wide_as_its_counts_and_balances() -> None:
    flow = charts.flow("SignUp", 57, [("Shop", 40), ("App", 17)], [("Meta", MIXED), ("A", GOOD), ("B", GOOD)])
    assert [(node.code, node.count) for node in flow.outcomes] == [("delivered", 162), ("skipped", 8), ("dead", 1)]
    assert [node.count for node in flow.destinations] == [114, 57]
    big, small = flow.destinations
    assert big.height == pytest.approx(2 * small.height)
    assert [band.tone for band in flow.to_outcomes] == ["good", "good", "quiet", "bad"]
    assert len(flow.from_sources) == 2
    for column in (flow.sources, flow.destinations, flow.outcomes):
        assert all(node.height >= charts.LEAST_NODE for node in column), "there is room for its words"
        assert column[-1].top + column[-1].height == pytest.approx(flow.height)
        assert all(two.top >= one.top + one.height for one, two in pairwise(column))


def test_there_is_no_flow_of_nothing() -> None:
    assert charts.flow("SignUp", 0, [], [("Meta", {})]).groups == []


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
    assert f"{thousands(1204)} SignUp in the last 7 days" in page
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition('class="flow-list"')[2].partition("</ul>")[0]))
    assert "Pixel 1 204 delivered" in words, "for those who do not see it"
