"""Mails about drafts: who is told what, once, and that nothing is lost while the mail server is away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from destinations.models import Destination
from routing import publishing, telling, toggles
from routing.models import Draft
from routing.tasks import publish_drafts
from tests.routing.test_drafts import ada, bob, collect, due, pixel  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mails(settings: Any, ada: User, bob: User) -> None:  # noqa: F811
    settings.SENDS_MAIL, settings.SITE_URL = True, "https://track.example"
    for user in (ada, bob):
        user.email = f"{user.username}@example.com"
        user.save()


@pytest.fixture
def draft(ada: User, pixel: Destination) -> Draft:  # noqa: F811
    draft = collect(ada, pixel, on={"SignUp": False})
    return publishing.set_note(draft.pk, ada, "For the spring")


def told() -> list[tuple[list[str], str]]:
    telling.tell_due()
    found = [(one.to, one.subject) for one in mail.outbox]
    mail.outbox.clear()
    return found


def test_a_review_and_its_outcome_are_told_once_each(ada: User, bob: User, draft: Draft) -> None:  # noqa: F811
    assert told() == []
    publishing.ask_review(draft.pk, ada, bob)
    assert (publishing.awaiting(bob), publishing.awaiting(ada)) == (1, 0)
    telling.tell_due()
    assert f"For the spring\n\nhttps://track.example/admin/configure/drafts/{draft.pk}/" in mail.outbox[0].body
    assert told() == [(["bob@example.com"], f"TrackStack: ada asks you to review draft {draft.pk}.")]
    assert told() == []
    publishing.decide(draft.pk, bob, is_approved=False, comment="Not Meta")
    assert told() == [(["ada@example.com"], f"TrackStack: bob sent draft {draft.pk} back.")]
    assert (publishing.awaiting(bob), publishing.awaiting(ada)) == (0, 1)
    publishing.ask_review(draft.pk, ada, bob)
    publishing.decide(draft.pk, bob, is_approved=True)
    assert told() == [(["ada@example.com"], f"TrackStack: bob approved draft {draft.pk}. You may publish it.")]
    assert publishing.awaiting(ada) == 1
    publishing.publish(draft.pk, bob)
    assert told() == [(["ada@example.com"], f"TrackStack: Draft {draft.pk} of ada is published.")]
    assert publishing.awaiting(ada) == 0


@pytest.mark.parametrize("act", [publishing.discard, publishing.reopen])
def test_nobody_is_asked_for_what_was_taken_back(ada: User, bob: User, draft: Draft, act: Any) -> None:  # noqa: F811
    publishing.ask_review(draft.pk, ada, bob)
    act(draft.pk, ada)
    assert told() == []


def test_who_publishes_by_hand_is_not_told(ada: User, draft: Draft) -> None:  # noqa: F811
    publishing.publish(draft.pk, ada)
    assert told() == []


def test_a_time_that_came_is_told_either_way(ada: User, draft: Draft, pixel: Destination) -> None:  # noqa: F811
    other = Draft.objects.create(author=ada)
    publishing.schedule(draft.pk, ada, timezone.now() + timedelta(hours=1))
    second = collect(ada, pixel, native_names={"Purchase": "Paid"})
    assert second == other
    publishing.schedule(second.pk, ada, timezone.now() + timedelta(hours=1))
    toggles.apply(pixel, native_names={"Purchase": "Bought"}, actor="eve")
    due(draft)
    due(second)
    assert publish_drafts() == 1
    assert {one.subject for one in mail.outbox} == {
        f"TrackStack: Draft {draft.pk} of ada is published.",
        f"TrackStack: Draft {second.pk} was not published when its time came.",
    }
    assert any("eve changed it meanwhile" in one.body for one in mail.outbox)


def test_nothing_is_lost_while_the_mail_server_is_away(
    ada: User,  # noqa: F811
    bob: User,  # noqa: F811
    draft: Draft,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    publishing.ask_review(draft.pk, ada, bob)
    with monkeypatch.context() as patched:
        patched.setattr(telling, "send_mail", away)
        assert telling.tell_due() == 1
        assert telling.tell_due() == 0, "not again at once"
    draft.refresh_from_db()
    assert draft.untold == "review"
    assert draft.tell_at is not None
    assert draft.tell_at > timezone.now() + timedelta(seconds=20)
    Draft.objects.update(tell_at=timezone.now())
    assert len(told()) == 1


def test_it_is_given_up_in_the_end(
    ada: User,  # noqa: F811
    bob: User,  # noqa: F811
    draft: Draft,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publishing.ask_review(draft.pk, ada, bob)
    monkeypatch.setattr(telling, "send_mail", lambda *_: 1 / 0)
    for _ in range(telling.MOST_TRIES):
        assert telling.tell_due() == 1
        Draft.objects.update(tell_at=timezone.now())
    assert telling.tell_due() == 0


def test_without_an_address_or_a_mail_server_the_screens_tell(
    ada: User,  # noqa: F811
    bob: User,  # noqa: F811
    draft: Draft,
    settings: Any,
) -> None:
    User.objects.update(email="")
    publishing.ask_review(draft.pk, ada, bob)
    assert told() == []
    settings.SENDS_MAIL = False
    publishing.decide(draft.pk, bob, is_approved=True)
    draft.refresh_from_db()
    assert draft.untold == ""
