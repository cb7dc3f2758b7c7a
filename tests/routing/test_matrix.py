"""The view-model of Configure → Events: pure, so tested without a database."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from destinations.platforms.base import Kind
from routing import marks, matrix, matrix_html
from routing.forms import parse_range, parse_set
from routing.policy import DestinationRule, EventRule, Mode, SourceRule
from routing.snapshot import Snapshot

EVENTS = {
    name: EventRule(name, routing_class, stage)
    for name, routing_class, stage in (
        ("SignUp", "standard", "acquisition"),
        ("StartTrial", "standard", "acquisition"),
        ("Purchase", "standard", "revenue"),
        ("Refund", "warehouse_only", "revenue"),
    )
}
STAGES = [
    matrix.StageInfo("acquisition", "Acquisition", "New accounts"),
    matrix.StageInfo("empty", "Empty", "None"),
    matrix.StageInfo("revenue", "Revenue", "Money"),
]


def rule(**values: Any) -> DestinationRule:
    base = {
        "id": 2,
        "name": "Ads EU",
        "platform": "ads",
        "label": "Ads",
        "kind": Kind.ADS,
        "recommended": frozenset({"SignUp", "Purchase"}),
        "native_names": {"SignUp": "Register", "StartTrial": "Register", "Purchase": "Buy", "Refund": ""},
    }
    return DestinationRule(**(base | values))


Counts = dict[tuple[int, str], int]


def cells(found: DestinationRule, sent: Counts | None = None, dead: Counts | None = None) -> dict[str, matrix.Cell]:
    return matrix.cells_of(found, EVENTS, sent or {}, dead or {})


def html_of(cell: matrix.Cell, *, may: bool = True) -> str:
    return matrix_html.cell_html(cell, matrix_html.Words(), may_toggle=may, may_map=may)


def build(*rules: DestinationRule) -> matrix.Matrix:
    state = Snapshot(version=1, rules={found.id: found for found in rules}, sources={1: SourceRule(1)}, events=EVENTS)
    return matrix.build(state, STAGES, {(2, "SignUp"): 1200}, {(2, "SignUp"): 6})


def test_stages_rows_and_columns_keep_the_order_of_the_taxonomy() -> None:
    shown = build(rule(), rule(id=3, name="CRM", kind=Kind.CRM, mode=Mode.EVERYTHING, takes_custom_events=True))
    assert [stage.info.label for stage in shown.stages] == ["Acquisition", "Revenue"], (
        "a stage without events is left out"
    )
    assert [row.event for stage in shown.stages for row in stage.rows] == list(EVENTS)
    assert [(column.name, column.on, column.total, column.state) for column in shown.columns] == [
        ("Ads EU", 2, 4, "mixed"),
        ("CRM", 4, 4, "true"),
    ]
    first = shown.stages[0].rows[0]
    assert (first.cells[0].sent, first.cells[0].dead, first.words) == (1200, 6, "SignUp Register")
    assert [(cell.on, cell.total, cell.state) for cell in shown.stages[1].cells] == [(1, 2, "mixed"), (2, 2, "true")]


def test_what_is_on_is_looked_for_where_each_event_is_a_choice() -> None:
    crm = rule(id=3, name="CRM", kind=Kind.CRM, mode=Mode.EVERYTHING, takes_custom_events=True)
    rows = [row for stage in build(rule(), crm).stages for row in stage.rows]
    assert [row.event for row in rows if "on" in row.marks.split()] == ["SignUp", "Purchase"]


@pytest.mark.parametrize(("on", "total", "state"), [(0, 3, "false"), (1, 3, "mixed"), (3, 3, "true"), (0, 0, "false")])
def test_three_states(on: int, total: int, state: str) -> None:
    assert matrix.tri_state(on, total) == state


def test_off_cells_say_why() -> None:
    found = cells(rule())
    assert (found["SignUp"].is_on, found["SignUp"].reason) == (True, "")
    assert (found["StartTrial"].is_on, found["StartTrial"].reason) == (False, "not_selected")
    assert (found["Refund"].is_on, found["Refund"].reason) == (False, "warehouse_only")


def test_on_but_unmapped_or_without_its_id_is_a_problem() -> None:
    found = cells(rule(mode=Mode.CUSTOM, ticked=frozenset({"Refund", "SignUp"}), needs_native_id=True))
    assert found["Refund"].problem == "unmapped"
    assert (found["SignUp"].problem, found["SignUp"].lacks_id) == ("missing_native_id", True)
    assert found["Purchase"].problem == "", "it is off: nothing is wrong yet"
    given = cells(rule(needs_native_id=True, native_ids={"SignUp": "42"}))["SignUp"]
    assert (given.problem, given.lacks_id, given.native_id) == ("", False, "42")


def test_fan_in_counts_only_what_is_on() -> None:
    assert cells(rule())["SignUp"].fan_in == 0
    both = cells(rule(mode=Mode.CUSTOM, ticked=frozenset({"SignUp", "StartTrial"})))
    assert (both["SignUp"].fan_in, both["StartTrial"].fan_in, both["Purchase"].fan_in) == (2, 2, 0)


def test_the_builtin_warehouse_always_has_everything() -> None:
    warehouse = rule(kind=Kind.WAREHOUSE, is_builtin=True, mode=Mode.CUSTOM, is_enabled=False)
    assert all(cell.is_on and cell.is_always and not cell.problem for cell in cells(warehouse).values())
    assert matrix.status_of(warehouse).word == "On"
    html = html_of(cells(warehouse)["Refund"])
    assert "always" in html
    assert "button" not in html


@pytest.mark.parametrize(
    ("values", "is_sandbox", "word", "stands_out"),
    [
        ({"is_enabled": False, "is_held": True}, True, "Off", True),
        ({"is_held": True, "hold": "paused"}, True, "Paused", True),
        ({"is_held": True, "hold": "credentials"}, True, "Credentials refused", True),
        ({}, True, "Sandbox", False),
        ({}, False, "On", False),
    ],
)
def test_status_says_the_gravest_first(values: dict[str, Any], is_sandbox: bool, word: str, stands_out: bool) -> None:
    """In the words of the page of destinations."""
    status = matrix.status_of(rule(**values, is_sandbox=is_sandbox))
    assert (status.word, status.stands_out) == (word, stands_out)


def test_the_warehouse_stands_last_where_nothing_is_to_be_switched() -> None:
    shown = build(rule(id=1, name="Warehouse", kind=Kind.WAREHOUSE, is_builtin=True), rule())
    assert [column.name for column in shown.columns] == ["Ads EU", "Warehouse"]
    assert [cell.destination for cell in shown.stages[0].rows[0].cells] == ["Ads EU", "Warehouse"]
    assert [cell.destination for cell in shown.stages[0].cells] == ["Ads EU", "Warehouse"]


def test_placeholders_of_native_names_are_filled_in() -> None:
    names = {"SignUp": "pe{portal_id}_sign_up", "Purchase": "{mine}"}
    assert cells(rule(native_names=names, fills={"portal_id": "123"}))["SignUp"].native_name == "pe123_sign_up"
    unset = cells(rule(native_names=names, fills={"portal_id": ""}))
    assert unset["SignUp"].native_name == "pe…_sign_up"
    assert unset["Purchase"].native_name == "{mine}", "what somebody entered stays"


def test_marks_of_a_cell_are_classes_and_sentences_of_the_legend() -> None:
    plain = html_of(cells(rule())["SignUp"])
    assert "class=" not in plain
    assert "describedby" not in plain
    failing = html_of(cells(rule(), {(2, "SignUp"): 114}, {(2, "SignUp"): 6})["SignUp"])
    assert '<b class="is-failing">114</b>' in failing
    assert 'aria-describedby="m-failing"' in failing
    losing = html_of(cells(rule(), {(2, "SignUp"): 115}, {(2, "SignUp"): 6})["SignUp"])
    assert '<b class="is-losing">115</b>' in losing
    assert 'aria-describedby="m-losing"' in losing
    assert '<b class="is-failing">0</b>' in html_of(cells(rule(), {}, {(2, "SignUp"): 6})["SignUp"])
    fan = html_of(cells(rule(mode=Mode.CUSTOM, ticked=frozenset({"SignUp", "StartTrial"})))["StartTrial"])
    assert '<a href="2/StartTrial/" class="is-fan">' in fan
    assert 'class="is-own"' in fan, "it is not recommended"
    assert 'aria-describedby="m-fan"' in fan
    house = html_of(cells(rule())["Refund"])
    assert 'class="is-house" name="set"' in house
    assert 'aria-describedby="m-house"' in house
    idle = html_of(cells(rule(needs_native_id=True), {}, {(2, "SignUp"): 1})["SignUp"])
    assert 'aria-describedby="m-lacking m-failing"' in idle


def said(found: DestinationRule, event: str, dead: int = 0, sent: int = 0) -> list[tuple[str, str]]:
    column = cells(found, {(2, event): sent}, {(2, event): dead})
    return [(mark.look, mark.sentence) for mark in marks.of(event, column, found, EVENTS[event])]


def test_each_mark_explains_itself_in_a_sentence() -> None:
    assert said(rule(), "SignUp") == []
    assert said(rule(), "SignUp", 6, 114) == [("is-failing", "6 of 120 died in the last 7 days.")]
    few = "6 of 1\N{NARROW NO-BREAK SPACE}120 died in the last 7 days."
    assert said(rule(), "SignUp", 6, 1114) == [("is-losing", few)]
    assert said(rule(), "StartTrial") == [("", "StartTrial is switched off for Ads EU.")]
    three = rule(mode=Mode.CUSTOM, ticked=frozenset({"SignUp", "StartTrial"}))
    assert ("is-fan", "SignUp and StartTrial become Register here.") in said(three, "SignUp")
    assert said(three, "Purchase")[-1] == ("is-own", "Not as usual: it is off here, and on by default.")
    assert said(three, "StartTrial")[-1] == ("is-own", "Not as usual: it is on here, and off by default.")
    assert said(rule(needs_native_id=True), "SignUp") == [
        ("is-lacking", "Ads needs an id for SignUp, and none was entered. Until then, nothing is sent.")
    ]
    assert said(rule(), "Refund") == [
        ("", "Ads has no event for Refund, and none was entered."),
        ("is-house", "Refund goes to CRM and warehouse only, unless ticked here."),
    ]
    paused = rule(is_held=True, hold="paused", hold_detail="Stocktaking")
    assert said(paused, "SignUp") == [("", "Paused: Stocktaking")]
    assert said(rule(is_enabled=False), "SignUp") == [("", "Ads EU is switched off.")]
    warehouse = rule(kind=Kind.WAREHOUSE, is_builtin=True)
    assert said(warehouse, "SignUp") == [("", "Every accepted event is here.")]


def test_cells_escape_what_people_entered() -> None:
    cell = msgspec.structs.replace(cells(rule(name='<b>"EU"'))["SignUp"], native_name="<script>", fan_in=2)
    html = html_of(cell)
    assert "<script" not in html
    assert '<b>"' not in html
    assert "&lt;script&gt;" in html


def test_a_cell_is_a_switch_with_a_name_and_what_it_would_set() -> None:
    html = html_of(cells(rule(), {(2, "SignUp"): 1200})["SignUp"])
    assert 'role="switch" aria-checked="true"' in html
    assert 'value="2:SignUp:0"' in html
    assert 'aria-label="SignUp → Ads EU"' in html
    assert "<b>1.2k</b>" in html
    assert 'href="2/SignUp/"' in html
    seen = html_of(cells(rule())["SignUp"], may=False)
    assert " disabled>" in seen
    assert "<a " not in seen


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (48_200, "48k"), (3_140_000, "3.1M")]
)
def test_short_counts(count: int, text: str) -> None:
    assert matrix_html.short(count) == text


def test_what_a_switch_posts_is_read_back() -> None:
    one = parse_set("12:SignUp:1", EVENTS)
    assert one is not None
    assert (one.destination_id, one.on, one.is_bulk) == (12, {"SignUp": True}, False)
    stage = parse_set("12:@revenue:0", EVENTS)
    assert stage is not None
    assert (stage.on, stage.is_bulk) == ({"Purchase": False, "Refund": False}, True)
    column = parse_set("12:*:1", EVENTS)
    assert column is not None
    assert set(column.on) == set(EVENTS)
    mode = parse_set("12:=everything", EVENTS)
    assert mode is not None
    assert (mode.mode, mode.on, mode.is_bulk) == ("everything", {}, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "x:SignUp:1",
        "12:SignUp:2",
        "12:Unknown:1",
        "12:@none:1",
        "12:=all",
        "²:SignUp:1",
        "1:*:1" * 40,
        "9" * 5000 + ":SignUp:1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert parse_set(text, EVENTS) is None


def test_what_a_range_posts_is_read_back() -> None:
    found = parse_range("12,14:SignUp,Purchase:0", EVENTS)
    assert found is not None
    assert (found.destination_ids, found.names, found.is_on) == ([12, 14], ["SignUp", "Purchase"], False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "12:SignUp",
        "12:SignUp:2",
        "12:SignUp,Nonsense:0",
        "12,:SignUp:1",
        "²:SignUp:1",
        "1:@none:1",
        "1:*:1",
        "9" * 5000 + ":SignUp:1",
    ],
)
def test_any_other_range_is_refused(text: str) -> None:
    assert parse_range(text, EVENTS) is None
