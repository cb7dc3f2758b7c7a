"""Every reason a lane may stop for has one plain sentence and one step that leads somewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission
from django.urls import resolve, reverse

from destinations import mends, reasons
from destinations.mends import Case
from destinations.models import Hold
from destinations.trace import BREAKER_OPEN
from tests import factories
from tests.logins import client_with

CODES = [*reasons.REASONS, *(hold.value for hold in Hold if hold), BREAKER_OPEN]


def case(**values: Any) -> Case:
    defaults: dict[str, Any] = {
        "event": "SignUp", "source_id": 1, "destination_id": 2, "destination": "Pixel", "platform": "Meta",
        "platform_key": "meta", "delivery_id": 7, "here": "/admin/trace/?id=e1",
    }  # fmt: skip
    return Case(**(defaults | values))


def test_there_is_a_mend_for_each_reason_and_none_for_what_is_no_reason() -> None:
    assert sorted(mends.MENDS) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_each_says_one_sentence_and_offers_one_step(code: str) -> None:
    mend = mends.MENDS[code]
    sentence = mend.sentence.format(event="SignUp", destination="Pixel", platform="Meta")
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert "{" not in sentence
    assert mend.label
    step = mend.step(case())
    assert resolve(urlsplit(step.url).path).url_name


@pytest.mark.django_db
@pytest.mark.parametrize("code", CODES)
def test_each_step_exists_and_those_who_see_the_button_may_use_it(code: str) -> None:
    source, destination = factories.make_source(), factories.make_destination("meta")
    mend = mends.MENDS[code]
    step = mend.step(case(source_id=source.pk, destination_id=destination.pk))
    known = {f"{app}.{name}" for app, name in Permission.objects.values_list("content_type__app_label", "codename")}
    assert set(mend.permissions) <= known
    for permission in mend.permissions:
        client = client_with(permission, "routing.view_route", "destinations.view_destination")  # the pages they are on
        answer = client.post(step.url, step.fields) if step.fields else client.get(step.url)
        # 404: the delivery of this test is made up; whoever lacks a permission would get 403 before that.
        assert answer.status_code in ((200, 302, 404) if code in AGAIN else (200, 302)), permission


AGAIN = ("refused", "exhausted", "build_failed")


def test_what_routing_skipped_is_sent_by_a_backfill_instead() -> None:
    assert mends.AGAIN.step(case()).fields == {"delivery": 7}
    skipped = mends.AGAIN.step(case(delivery_id=None))
    assert not skipped.fields
    assert skipped.url.startswith(f"{reverse('destinations:replay_new')}?kind=missed&destination=2")


def test_an_adapters_own_reason_leads_to_the_test_bench() -> None:
    assert mends.mend_of("something_new").step(case()).url == f"{reverse('destinations:bench')}?event=SignUp"
