"""The truth table of the routing policy, row by row, and what must hold whatever the input."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.platforms.base import Kind
from destinations.reasons import REASONS
from routing.policy import DestinationRule, EventRule, Mode, SourceRule, decide

NOW = 1_800_000_000_000
DAY = 86_400_000
SOURCE = SourceRule(1, "Web app")
EVENTS = {
    "SignUp": EventRule("SignUp", "standard"),
    "Refund": EventRule("Refund", "warehouse_only"),
    "BulkJobStarted": EventRule("BulkJobStarted", "product"),
}
NATIVE = {"SignUp": "CompleteRegistration", "Refund": "Refund", "BulkJobStarted": "BulkJobStarted", "Gone": ""}
BASE = DestinationRule(
    id=1,
    name="Meta EU",
    platform="meta",
    label="Meta",
    kind=Kind.ADS,
    recommended=frozenset({"SignUp", "Gone"}),
    native_names=NATIVE,
)


def rule(**changes: Any) -> DestinationRule:
    return msgspec.structs.replace(BASE, **changes)


def ask(
    a_rule: DestinationRule, event: str = "SignUp", *, consent: Any = None, age: int = 0, source: Any = SOURCE
) -> str:
    decision = decide(a_rule, source, event, EVENTS.get(event), consent or {}, NOW - age, NOW)
    assert decision.send == (decision.reason == "")
    return decision.reason or "send"


CUSTOM, EVERYTHING = Mode.CUSTOM, Mode.EVERYTHING
NO_MARKETING, NO_ANALYTICS = {"marketing": False}, {"analytics": False}

TABLE = [
    # 1-3: destination, source, consent, before anything else
    ("1 switched off", rule(is_enabled=False), {}, "destination_disabled"),
    ("1 before 2", rule(is_enabled=False, source_ids=frozenset()), {}, "destination_disabled"),
    ("2 another source", rule(source_ids=frozenset({2})), {}, "source_not_enabled"),
    ("2 blank never means all", rule(source_ids=frozenset()), {}, "source_not_enabled"),
    ("2 this source", rule(source_ids=frozenset({1})), {}, "send"),
    ("2 before 3", rule(source_ids=frozenset()), {"consent": NO_MARKETING}, "source_not_enabled"),
    ("3 ads need marketing", BASE, {"consent": NO_MARKETING}, "consent_denied"),
    ("3 ads need no analytics", BASE, {"consent": NO_ANALYTICS}, "send"),
    ("3 CRM needs marketing", rule(kind=Kind.CRM), {"consent": NO_MARKETING}, "consent_denied"),
    ("3 warehouse needs analytics", rule(kind=Kind.WAREHOUSE), {"consent": NO_ANALYTICS}, "consent_denied"),
    ("3 warehouse needs no marketing", rule(kind=Kind.WAREHOUSE), {"consent": NO_MARKETING}, "send"),
    ("3 analytics needs analytics", rule(kind=Kind.ANALYTICS), {"consent": NO_ANALYTICS}, "consent_denied"),
    ("3 the source's default", BASE, {"source": SourceRule(1, marketing=False)}, "consent_denied"),
    ("3 the event outweighs it", BASE, {"source": SourceRule(1, marketing=False), "consent": {"marketing": True}}, "send"),
    ("3 before the toggles", rule(mode=CUSTOM, ticked=frozenset({"SignUp"})), {"consent": NO_MARKETING}, "consent_denied"),
    # 4: explicitly ticked
    ("4 ticked", rule(mode=CUSTOM, ticked=frozenset({"SignUp"})), {}, "send"),
    ("4 ticked warehouse-only", rule(mode=CUSTOM, ticked=frozenset({"Refund"})), {"event": "Refund"}, "send"),
    ("4 ticked and unregistered", rule(mode=CUSTOM, ticked=frozenset({"Xy"}), takes_custom_events=True), {"event": "Xy"}, "send"),
    ("4 ticks count in Custom only", rule(ticked=frozenset({"BulkJobStarted"})), {"event": "BulkJobStarted"}, "not_selected"),
    # 5: Recommended
    ("5 in the default list", BASE, {}, "send"),
    ("5 not in the default list", BASE, {"event": "BulkJobStarted"}, "not_selected"),
    # 6: Everything
    ("6 registered", rule(mode=EVERYTHING), {"event": "BulkJobStarted"}, "send"),
    ("6 warehouse-only to a CRM", rule(mode=EVERYTHING, kind=Kind.CRM), {"event": "Refund"}, "send"),
    ("6 warehouse-only to a webhook", rule(mode=EVERYTHING, kind=Kind.WEBHOOK), {"event": "Refund"}, "send"),
    # 7-9
    ("7 warehouse-only to ads", rule(mode=EVERYTHING), {"event": "Refund"}, "warehouse_only"),
    ("7 warehouse-only to analytics", rule(mode=EVERYTHING, kind=Kind.ANALYTICS), {"event": "Refund"}, "warehouse_only"),
    ("7 in Recommended too", BASE, {"event": "Refund"}, "warehouse_only"),
    ("7 in Custom, unticked", rule(mode=CUSTOM), {"event": "Refund"}, "warehouse_only"),
    ("8 unregistered", rule(mode=EVERYTHING, takes_custom_events=True), {"event": "Xy"}, "not_registered"),
    ("8 unregistered in Custom", rule(mode=CUSTOM), {"event": "Xy"}, "not_registered"),
    ("9 unticked", rule(mode=CUSTOM), {}, "not_selected"),
    ("9 a CRM leaves a refund out", rule(mode=CUSTOM, kind=Kind.CRM), {"event": "Refund"}, "not_selected"),
    # what 4-6 still need
    ("no native event", rule(mode=CUSTOM, ticked=frozenset({"Gone"})), {"event": "Gone"}, "unmapped"),
    ("a native name was entered", rule(mode=CUSTOM, ticked=frozenset({"Gone"}), native_names={"Gone": "Bye"}), {"event": "Gone"}, "send"),
    ("native id missing", rule(needs_native_id=True), {}, "missing_native_id"),
    ("native id entered", rule(needs_native_id=True, native_ids={"SignUp": "7"}), {}, "send"),
    ("unmapped before native id", rule(needs_native_id=True), {"event": "Gone"}, "unmapped"),
    ("too old", rule(max_age_ms=7 * DAY), {"age": 7 * DAY + 1}, "too_old"),
    ("old enough", rule(max_age_ms=7 * DAY), {"age": 7 * DAY}, "send"),
    ("not selected before too old", rule(mode=CUSTOM, max_age_ms=DAY), {"age": 2 * DAY}, "not_selected"),
    # holding is no decision; the built-in warehouse always gets everything
    ("held still sends", rule(is_held=True), {}, "send"),
    ("built-in", rule(kind=Kind.WAREHOUSE, is_builtin=True, is_enabled=False), {"event": "Xy", "consent": NO_ANALYTICS}, "send"),
]  # fmt: skip


@pytest.mark.parametrize(("a_rule", "question", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_truth_table(a_rule: DestinationRule, question: dict[str, Any], expected: str) -> None:
    assert ask(a_rule, **question) == expected


names = st.sampled_from(["SignUp", "Refund", "BulkJobStarted", "Gone", "Unknown"])
consents = st.dictionaries(st.sampled_from(["marketing", "analytics"]), st.booleans())
rules = st.builds(
    DestinationRule,
    id=st.just(1),
    name=st.just("D"),
    platform=st.just("p"),
    label=st.just("P"),
    kind=st.sampled_from(Kind),
    mode=st.sampled_from(Mode),
    is_enabled=st.booleans(),
    source_ids=st.none() | st.frozensets(st.integers(1, 3)),
    ticked=st.frozensets(names),
    recommended=st.frozensets(names),
    native_names=st.dictionaries(names, st.sampled_from(["", "Native"])),
    takes_custom_events=st.booleans(),
    native_ids=st.dictionaries(names, st.sampled_from(["", "1"])),
    needs_native_id=st.booleans(),
    max_age_ms=st.none() | st.integers(0, 10 * DAY),
)


@given(rules, names, consents, st.integers(-DAY, 20 * DAY))
def test_every_decision_is_a_send_or_a_known_reason_with_a_sentence(
    a_rule: DestinationRule, event: str, consent: dict[str, bool], age: int
) -> None:
    decision = decide(a_rule, SOURCE, event, EVENTS.get(event), consent, NOW - age, NOW)
    assert decision.send != (decision.reason in REASONS)
    assert decision.sentence(event, a_rule).endswith(".")


@given(rules, names, consents, st.integers(-DAY, 20 * DAY))
def test_nothing_is_sent_against_consent_or_switches(
    a_rule: DestinationRule, event: str, consent: dict[str, bool], age: int
) -> None:
    if not decide(a_rule, SOURCE, event, EVENTS.get(event), consent, NOW - age, NOW).send:
        return
    assert a_rule.is_enabled
    assert a_rule.source_ids is None or SOURCE.id in a_rule.source_ids
    category = "marketing" if a_rule.kind in (Kind.ADS, Kind.CRM) else "analytics"
    assert consent.get(category, True)
    assert a_rule.native_name(event)
    if event == "Refund" and a_rule.kind in (Kind.ADS, Kind.ANALYTICS):
        assert event in (a_rule.ticked if a_rule.mode == Mode.CUSTOM else a_rule.recommended)


@given(rules, names, consents)
def test_switching_off_always_stops(a_rule: DestinationRule, event: str, consent: dict[str, bool]) -> None:
    off = msgspec.structs.replace(a_rule, mode=Mode.CUSTOM, ticked=a_rule.ticked - {event})
    assert not decide(off, SOURCE, event, EVENTS.get(event), consent, NOW, NOW).send
