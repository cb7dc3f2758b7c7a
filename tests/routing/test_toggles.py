"""The write path of the toggles: modes, ticks, native ids, audit and version."""

from __future__ import annotations

import pytest
from django.db import transaction

from destinations.models import Destination
from routing import snapshot, toggles
from routing.models import RoutingChange
from routing.policy import Mode
from tests.factories import make_destination

pytestmark = pytest.mark.django_db


def chosen(destination: Destination) -> set[str]:
    state = snapshot.current()
    return toggles.selected(state.rules[destination.pk], state.events)


def test_a_tick_in_recommended_mode_makes_that_list_custom_and_changes_one_box() -> None:
    meta = make_destination("meta")
    before = chosen(meta)
    change = toggles.apply(meta, on={"WorkspaceCreated": True}, actor="test")
    assert snapshot.current().rules[meta.pk].mode == Mode.CUSTOM
    assert chosen(meta) == before | {"WorkspaceCreated"}
    assert change is not None
    assert change.sentences == [
        f"{meta.name}: Recommended → Custom",
        f"{meta.name} starts receiving WorkspaceCreated",
    ]


def test_an_untick_in_everything_mode_leaves_all_others() -> None:
    hook = make_destination("webhook", event_mode="everything")
    before = chosen(hook)
    toggles.apply(hook, on={"SignUp": False}, actor="test")
    assert chosen(hook) == before - {"SignUp"}
    assert len(before) == 66


def test_back_to_recommended_is_the_default_list_again() -> None:
    meta = make_destination("meta")
    before = chosen(meta)
    toggles.apply(meta, on={"SignUp": False, "Refund": True}, actor="test")
    assert toggles.apply(meta, mode="recommended", actor="test") is not None
    assert chosen(meta) == before


def test_custom_mode_chosen_by_itself_moves_nothing() -> None:
    meta = make_destination("meta")
    before = chosen(meta)
    toggles.apply(meta, mode="custom", actor="test")
    assert chosen(meta) == before


def test_a_change_that_changes_nothing_is_no_version_and_no_entry() -> None:
    meta = make_destination("meta")
    version = snapshot.stored_version()
    assert toggles.apply(meta, on={"SignUp": True}, actor="test") is None
    assert toggles.apply(meta, mode="recommended", actor="test") is None
    assert toggles.apply(meta, native_names={"SignUp": ""}, actor="test") is None
    assert (snapshot.stored_version(), RoutingChange.objects.count()) == (version, 0)


def test_each_change_raises_the_version_and_says_who() -> None:
    meta = make_destination("meta")
    version = snapshot.stored_version()
    change = toggles.apply(meta, on={"SignUp": False}, actor="ada", note="why not")
    assert change is not None
    assert change.version == version + 1 == snapshot.stored_version()
    assert (change.actor, change.note, change.after["selected"]) == ("ada", "why not", [])
    assert change.before["selected"] == ["SignUp"]


def test_native_ids_are_checked_by_shape() -> None:
    linkedin = make_destination("linkedin")
    with pytest.raises(toggles.ToggleError, match="does not look like a conversion rule"):
        toggles.apply(linkedin, native_ids={"SignUp": "abc"}, actor="test")
    toggles.apply(linkedin, native_ids={"SignUp": "12345678"}, actor="test")
    assert snapshot.current().rules[linkedin.pk].native_ids["SignUp"] == "12345678"
    with pytest.raises(toggles.ToggleError, match="takes no native ids"):
        toggles.apply(make_destination("meta"), native_ids={"SignUp": "1"}, actor="test")


def test_the_built_in_warehouse_cannot_be_switched() -> None:
    with pytest.raises(toggles.ToggleError):
        toggles.apply(Destination.objects.get(platform_key="warehouse"), on={"SignUp": False}, actor="test")


def test_only_money_going_back_to_ads_asks_for_confirmation() -> None:
    state = snapshot.current()
    ads, hook = make_destination("meta"), make_destination("webhook")
    rules = snapshot.current().rules
    assert toggles.needs_confirmation(rules[ads.pk], ["SignUp", "Refund"], state.events) == ["Refund"]
    assert toggles.needs_confirmation(rules[hook.pk], ["SignUp", "Refund"], state.events) == []


def test_the_snapshot_is_kept_until_the_version_moves() -> None:
    snapshot.forget()
    first = snapshot.current()
    assert snapshot.current() is first
    make_destination("meta")
    assert snapshot.current().version == first.version + 1


@pytest.mark.django_db(transaction=True)
def test_once_committed_the_rules_are_read_once_within_transactions_too() -> None:
    """A worker that changed something (it opened a breaker) goes on to route: each step is a transaction."""
    with transaction.atomic():
        version = snapshot.bump()
    with transaction.atomic():
        first = snapshot.current()
    with transaction.atomic():
        assert snapshot.current() is first
    assert first.version == version
