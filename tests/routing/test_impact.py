"""What a change would have meant: from the ledger, said before the click and offered after it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from destinations.models import Destination, LedgerEntry
from events import recent
from events.ingest import Sender, accept_batch
from routing import impact, net, snapshot, toggles
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def count(destination: Destination, event: str, state: str, number: int) -> None:
    LedgerEntry.objects.create(
        day=timezone.now().date(), destination=destination, event_name=event, state=state, count=number
    )


def test_words_with_and_without_e_mail() -> None:
    sender = Sender(source_id=factories.make_source().pk, trace_id="i" * 32)
    events = [factories.event("SignUp"), factories.event("SignUp"), factories.event("SignUp", email=None)]
    events[2].pop("email")
    accept_batch(json.dumps(events).encode(), sender)
    assert recent.with_email(["SignUp", "Purchase"]) == {"SignUp": 67}
    pairs = [(1, name) for name in ("SignUp", "Purchase", "Churned", "Refund")]
    told = impact.words_of({(1, "SignUp"): 1204, (1, "Purchase"): 9, (1, "Churned"): 0}, pairs)
    assert told == {(1, "SignUp"): "1,204 in 7 days, 67 % with e-mail", (1, "Purchase"): "9 in 7 days"}


def shown(destination: Destination, **on: bool) -> net.Preview:
    state = snapshot.current()
    return net.preview([net.of_change(state.rules[destination.pk], state, mode=None, on=on)])


def test_the_sentence_sums_what_would_have_come_and_what_would_not() -> None:
    meta, other = factories.make_destination("meta"), factories.make_destination("meta", name="Other")
    factories.make_received("FeatureUsed", 1000)
    count(meta, "SignUp", "delivered", 30)
    count(other, "SignUp", "delivered", 99)
    said = shown(meta, FeatureUsed=True, SignUp=False).impact
    assert said == "Over the last 7 days this would have meant up to 1,000 more deliveries and 30 fewer."
    assert shown(meta, SignUp=False).impact == "Over the last 7 days this would have meant 30 fewer deliveries."
    assert shown(meta, Login=True).impact == ""


def test_a_new_destination_is_told_what_came_before_it_was_there(django_assert_num_queries: Any) -> None:
    old, new = factories.make_destination("meta", name="Old"), factories.make_destination("meta", name="New")
    factories.make_received("FeatureUsed", 1204)
    count(old, "FeatureUsed", "received", 1204)
    for one in (old, new):
        preview = shown(one, FeatureUsed=True)
        assert [line.impact for line in preview.parts[0].lines] == ["", "1,204 in 7 days"], "its mode, and the event"
        assert "up to 1,204 more deliveries" in preview.impact
    with django_assert_num_queries(1):
        counted = impact.received([(old.pk, "FeatureUsed"), (new.pk, "FeatureUsed"), (new.pk, "Login")])
    assert counted == {(old.pk, "FeatureUsed"): 1204, (new.pk, "FeatureUsed"): 1204}
    assert impact.received([]) == {}


def test_pages_say_it_before_the_click() -> None:
    meta, twin = factories.make_destination("meta", name="Pixel"), factories.make_destination("meta", name="Twin")
    before = snapshot.stored_version()
    toggles.apply(meta, on={"FeatureUsed": True})
    count(meta, "FeatureUsed", "delivered", 70)
    factories.make_received("FeatureUsed", 80)
    client = client_with(group="Marketer")
    back = client.get(reverse("routing:roll_back", args=[before])).content.decode()
    assert "this would have meant 70 fewer deliveries." in back
    copy = client.get(reverse("routing:copy"), {"source": meta.pk, "target": twin.pk}).content.decode()
    assert "up to 80 more deliveries" in copy
    assert '<strong>FeatureUsed</strong> <span class="quiet">80 in 7 days</span>' in copy
    assert '<strong>FeatureUsed</strong> <span class="quiet">70 in 7 days</span>' in back


def test_each_line_of_an_import_says_how_much_and_how_well_known() -> None:
    factories.make_destination("meta", name="Twin")
    sender = Sender(source_id=factories.make_source().pk, trace_id="i" * 32)
    accept_batch(json.dumps([factories.event("FeatureUsed")]).encode(), sender)
    factories.make_received("FeatureUsed", 1204)
    header = "stage,event,destination,platform,enabled,native_name,native_id,mode"
    file = SimpleUploadedFile("m.csv", f"{header}\n,FeatureUsed,Twin,,true,FeatureUsed,,\n".encode())
    page = client_with(group="Marketer").post(reverse("routing:import"), {"file": file}).content.decode()
    said = "1,204 in 7 days, 100 % with e-mail"
    assert f'Twin starts receiving <strong>FeatureUsed</strong> <span class="quiet">{said}</span>' in page
    assert "up to 1,204 more deliveries" in page


def test_what_is_switched_on_but_not_sent_counts_for_nothing() -> None:
    linkedin = factories.make_destination("linkedin", name="LI")
    factories.make_received("FeatureUsed", 80)
    preview = shown(linkedin, FeatureUsed=True)
    assert preview.impact == ""
    assert [line.text for line in preview.parts[0].idle] == [
        "FeatureUsed is switched on for LI, but nothing is sent: native id missing"
    ]


@pytest.mark.parametrize(
    ("more", "fewer", "said"),
    [(0, 1, "1 fewer delivery."), (1, 0, "up to 1 more delivery."), (2, 1, "up to 2 more deliveries and 1 fewer.")],
)
def test_one_delivery_is_one(more: int, fewer: int, said: str) -> None:
    assert impact.meant(more, fewer) == f"Over the last 7 days this would have meant {said}"


def test_switching_on_offers_the_last_days() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    client = client_with(group="Marketer")
    answer = client.post(reverse("routing:toggle"), {"set": f"{meta.pk}:FeatureUsed:1"}, headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert "Send the last days…" in html
    assert f"kind=missed&amp;destination={meta.pk}&amp;since=" in html
    off = client.post(reverse("routing:toggle"), {"set": f"{meta.pk}:FeatureUsed:0"}, headers={"HX-Request": "true"})
    assert "Send the last days" not in off.content.decode()


def test_switching_on_what_lacks_its_id_offers_to_enter_it() -> None:
    linkedin = factories.make_destination("linkedin", name="LinkedIn EU")
    client = client_with(group="Marketer")
    posted = {"set": f"{linkedin.pk}:FeatureUsed:1"}
    html = client.post(reverse("routing:toggle"), posted, headers={"HX-Request": "true"}).content.decode()
    assert "nothing is sent: native id missing" in html
    assert "Send the last days" not in html, "nothing could be sent of them"
    ids = reverse("destinations:ids", args=[linkedin.pk])
    assert f'href="{ids}">Enter ids' in html
    assert client.get(ids).status_code == 200
