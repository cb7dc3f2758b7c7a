"""One cause is one group, wherever in a batch its events stood, and says who can mend it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.db import connection
from django.urls import reverse

from destinations import causes, queries, reasons, replay_plan
from destinations.models import Delivery, ReplayKind, State
from tests import factories
from tests.destinations.test_observe_views import kill, look, send
from tests.logins import client_with

SAID = {
    "TikTok 40002: Batch.0.action_source: unknown": "TikTok 40002: Batch.*.action_source: unknown",
    "Google 400 /events/events/49/x (events.events[49].x)": "Google 400 /events/events/*/x (events.events[*].x)",
    "Pinterest 400, code 4196: /data/0/3/x": "Pinterest 400, code 4196: /data/*/*/x",
    "Meta error 100/2804019: value 12.50 is no number": "Meta error 100/2804019: value 12.50 is no number",
    "Out of range: 3.": "Out of range: 3.",
}


@pytest.mark.django_db
@pytest.mark.parametrize(("said", "folded"), SAID.items())
def test_positions_are_folded_alike_in_python_and_in_the_database(said: str, folded: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {causes.folded_sql('%s')}", [said])
        assert cursor.fetchone()[0] == causes.fold(said) == folded
    assert causes.is_folded(folded) == (said != folded)


@pytest.mark.django_db
def test_one_cause_is_one_group_that_lists_and_replays_all_of_it() -> None:
    hook = factories.make_destination("webhook", name="Hook", event_mode="everything")
    for position in range(3):
        send(factories.event("SignUp", f"e{position}"))
        kill(hook, detail=f"Batch.{position}.action_source: unknown")
    send(factories.event("SignUp", "e9"))
    kill(hook, detail="Something else")
    groups = {group.detail: group.count for group in queries.dead_groups()}
    assert groups == {"Batch.*.action_source: unknown": 3, "Something else": 1}
    stored = set(Delivery.objects.filter(state=State.DEAD).values_list("detail", flat=True))
    assert "Batch.1.action_source: unknown" in stored
    html = look("dead_letters")
    assert urlencode({"detail": "Batch.*.action_source: unknown"}) in html
    for detail, number in (*groups.items(), ("Batch.1.action_source: unknown", 1)):
        shown = look("deliveries", destination=hook.pk, detail=detail)
        assert sum(f"?id=e{name}" in shown for name in (0, 1, 2, 9)) == number
        plan = replay_plan.Plan(ReplayKind.DEAD, hook, reason="refused", detail=detail)
        assert replay_plan.estimate(plan).matching == number


@pytest.mark.django_db
def test_the_platforms_words_are_the_headline_and_the_mender_is_who_sent_it() -> None:
    hook = factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event("SignUp", "e1", platformParams={"webhook": {"deep": [{"action_source": "pigeon"}]}}))
    kill(hook, detail="action_source: unknown")
    html = look("dead_letters")
    assert 'translate="no">action_source: unknown</a><div class="quiet">Refused <code' in html
    assert "product code sends action_source in platformParams" in html
    trace = client_with("destinations.view_delivery").get(f"{reverse('destinations:trace')}?id=e1").content.decode()
    assert "Product code sends action_source in platformParams" in trace


def test_what_the_event_did_not_bring_is_said_in_general() -> None:
    payload = {"platformParams": {"meta": {"source": 1}, "x": {"action_source": 1}}}
    assert causes.mender("refused", "action_source: unknown", payload, "meta") == reasons.mender("refused")
    assert causes.brought(payload, "x", "no action_sources here") == []
