"""Mappings out as CSV and back in: an export changes nothing, an import is all or nothing and says what it does."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from destinations import platforms
from destinations.models import Destination
from destinations.platforms.base import Kind, NativeId, Platform
from routing import drafts, snapshot, toggles
from routing.csv_exchange import Plan, export_lines, import_csv, plan_import
from routing.csv_table import HEADER, CsvError
from routing.models import Route, RoutingChange
from tests.logins import client_with

pytestmark = pytest.mark.django_db


class Ads(Platform):
    key = "csv_ads"
    label = "Ads"
    kind = Kind.ADS
    events = {"SignUp": "CompleteRegistration", "Purchase": "Purchase", "Refund": None}
    recommended = frozenset({"SignUp", "Purchase"})
    native_id = NativeId(label="Conversion id", pattern=r"[0-9]{3,6}", help="Copy it from the account.")


class Crm(Platform):
    key = "csv_crm"
    label = "CRM"
    kind = Kind.CRM
    takes_custom_events = True


FAKES: dict[str, Platform] = {fake.key: fake() for fake in (Ads, Crm)}


@pytest.fixture(autouse=True)
def _fake_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two platforms of our own beside the real ones, so that no adapter's mapping is pinned here."""
    real = platforms.get
    monkeypatch.setattr(platforms, "get", lambda key: FAKES.get(key) or real(key))
    snapshot.forget()


@pytest.fixture
def ads() -> Destination:
    return Destination.objects.create(name="Ads — EU", platform_key="csv_ads")


@pytest.fixture
def crm(ads: Destination) -> Destination:
    return Destination.objects.create(name="CRM", platform_key="csv_crm", event_mode="everything")


def exported() -> str:
    return "".join(export_lines(snapshot.load()))


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def edited(change: Callable[[dict[str, str]], object], *, only_changed: bool = False) -> str:
    """The export with `change` applied to every row."""
    rows = table(exported())
    kept = []
    for row in rows:
        before = dict(row)
        change(row)
        if not only_changed or row != before:
            kept.append(row)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEADER)
    writer.writeheader()
    writer.writerows(kept)
    return buffer.getvalue()


def at(event: str, destination: str, /, **cells: str) -> Callable[[dict[str, str]], object]:
    return lambda row: row.update(cells) if (row["event"], row["destination"]) == (event, destination) else None


def plan(text: str) -> Plan:
    return plan_import(text, snapshot.load())


def errors(text: str) -> list[str]:
    with pytest.raises(CsvError) as caught:
        plan(text)
    return caught.value.errors


# --- Export ---------------------------------------------------------------------------------------


def test_one_row_per_event_and_destination_in_taxonomy_then_column_order(ads: Destination, crm: Destination) -> None:
    text = exported()
    assert text.splitlines()[0] == "stage,event,destination,platform,enabled,native_name,native_id,mode"
    rows = table(text)
    assert len(rows) == 66 * 3
    assert [row["destination"] for row in rows[:3]] == list(
        Destination.objects.order_by("id").values_list("name", flat=True)
    )
    assert [row["event"] for row in rows[::3]][:2] == ["PageView", "ContentView"]
    assert [row for row in rows if row["event"] == "SignUp"] == [
        dict(zip(HEADER, cells.split(","), strict=True))
        for cells in (
            "acquisition,SignUp,Warehouse,warehouse,true,SignUp,,everything",
            "acquisition,SignUp,Ads — EU,csv_ads,true,CompleteRegistration,,recommended",
            "acquisition,SignUp,CRM,csv_crm,true,SignUp,,everything",
        )
    ]
    refund = next(row for row in rows if (row["event"], row["destination"]) == ("Refund", "Ads — EU"))
    assert (refund["enabled"], refund["native_name"]) == ("false", "")


def test_cells_are_no_formulas_and_come_back_as_they_were(ads: Destination) -> None:
    for name, event in (("=HYPERLINK(1)", "SignUp"), ("'quoted", "Purchase"), ("-1", "Refund")):
        toggles.apply(ads, native_names={event: name}, actor="test")
    Destination.objects.filter(pk=ads.pk).update(name="@Ads")
    text = exported()
    rows = {row["event"]: row for row in table(text) if row["platform"] == "csv_ads"}
    assert rows["SignUp"]["native_name"] == "'=HYPERLINK(1)"
    assert rows["Purchase"]["native_name"] == "''quoted"
    assert rows["Refund"]["native_name"] == "'-1"
    assert rows["SignUp"]["destination"] == "'@Ads"
    assert plan(text).changes == []


@pytest.mark.parametrize("separator", [",", ";"])
def test_no_spreadsheet_finds_a_formula_whatever_it_splits_at(ads: Destination, separator: str) -> None:
    names = ["x;=cmd|'/C calc'!A0;y", "x; -1", 'x;"=1"', 'a"b;@c', ";'=1", "a,=1;'b", "';=1", "x,+1"]
    events = [name for name in snapshot.current().events if name != "SignUp"][: len(names)]
    toggles.apply(ads, native_names=dict(zip(events, names, strict=True)), actor="test")
    # What older rules let in.
    Route.objects.create(destination=ads, event_name="SignUp", native_name=" =1;\t=2\n=3")
    Destination.objects.filter(pk=ads.pk).update(name='=Ads;"-1"')
    snapshot.forget()
    text = "".join(export_lines(snapshot.load(), separator=separator))
    for split_at in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=split_at):
            assert not [cell for cell in row if cell.strip().startswith(("=", "+", "-", "@"))], split_at
    assert plan(text) == Plan([], [])


def test_the_mark_for_spreadsheets_is_optional_and_read_back() -> None:
    assert next(export_lines(with_bom=True)) == "\ufeff" + next(export_lines())
    assert plan("".join(export_lines(with_bom=True))).changes == []


# --- No change ------------------------------------------------------------------------------------


def test_an_export_imports_to_no_change(ads: Destination, crm: Destination) -> None:
    toggles.apply(ads, on={"DemoBooked": True, "SignUp": False}, native_ids={"Purchase": "123"}, actor="test")
    toggles.apply(ads, native_names={"SignUp": "CompleteRegistration", "DemoBooked": "Demo"}, actor="test")
    before = snapshot.stored_version()
    text = exported()
    assert plan(text) == Plan([], [])
    assert import_csv(text, actor="test") == []
    assert snapshot.stored_version() == before
    assert exported() == text


def test_spreadsheet_habits_are_read(ads: Destination) -> None:
    text = exported().replace("true", "TRUE").replace("false", "No") + "\r\n,,,,,,,\r\n"
    assert plan(text).changes == []
    assert plan(exported().replace(",", ";").replace("\r\n", "\n")).changes == []
    backwards = "\n".join(",".join(reversed(line.split(","))) for line in exported().splitlines())
    assert plan(backwards).changes == []


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep={}\n", "sep={}\r\n", "\ufeffsep={}\r\n"])
def test_each_separator_is_read_with_its_line_or_without(ads: Destination, separator: str, first: str) -> None:
    text = first.format(separator) + "".join(export_lines(snapshot.load(), separator=separator))
    assert plan(text) == Plan([], [])
    number = 2 + bool(first)
    lines = text.splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace("true", "maybe")
    assert errors("".join(lines)) == [f'Line {number}: enabled must be true or false, not "maybe".']


def test_columns_stand_in_any_order_and_what_is_left_out_stays(ads: Destination) -> None:
    toggles.apply(ads, on={"SignUp": False}, native_names={"Purchase": "Paid"}, actor="test")
    toggles.apply(ads, native_ids={"Purchase": "123"}, actor="test")
    assert plan("destination,remark,event\nAds — EU,mine,Purchase\n") == Plan([], [], ["remark"])
    found = plan("enabled;event;destination\n;Purchase;Ads — EU\ntrue;SignUp;Ads — EU\n")
    assert (found.changes[0].on, found.changes[0].native_names) == ({"SignUp": True}, {})
    assert found.changes[0].lines["SignUp"] == 3
    assert plan("event,destination,native_id\nPurchase,Ads — EU,\n").changes[0].native_ids == {"Purchase": ""}
    assert errors("event,destination,event\n") == ["Line 1: the column event stands there twice."]


def test_blank_cells_and_missing_rows_mean_no_change(ads: Destination) -> None:
    def clear(row: dict[str, str]) -> None:
        row.update(enabled="", mode="", native_name="", stage="", platform="")

    assert plan(edited(clear)).changes == []
    assert plan(",".join(HEADER)).changes == []


@pytest.mark.parametrize(
    ("yes", "no"),
    [("WAHR", "FALSCH"), ("Vrai", "Faux"), ("VERDADERO", "FALSO"), ("vero", "falso"), ("WAAR", "ONWAAR")],
)
def test_true_and_false_are_read_as_spreadsheets_of_other_languages_write_them(
    ads: Destination, yes: str, no: str
) -> None:
    words = {"true": yes, "false": no}
    assert plan(edited(lambda row: row.update(enabled=words[row["enabled"]]))).changes == []
    (change,) = plan(edited(at("SignUp", "Ads — EU", enabled=no))).changes
    assert change.on == {"SignUp": False}


# --- Changes --------------------------------------------------------------------------------------


def test_switching_one_cell_makes_the_list_custom_and_moves_nothing_else(ads: Destination) -> None:
    text = edited(at("SignUp", "Ads — EU", enabled="false"))
    assert plan(text).sentences == ["Ads — EU: Recommended → Custom", "Ads — EU stops receiving SignUp"]
    [change] = import_csv(text, actor="tester", note="from finance")
    assert (change.actor, change.note) == ("tester", "from finance")
    ads.refresh_from_db()
    assert ads.event_mode == "custom"
    on = [row["event"] for row in table(exported()) if row["platform"] == "csv_ads" and row["enabled"] == "true"]
    assert on == ["Purchase"]


def test_names_and_ids(ads: Destination) -> None:
    toggles.apply(ads, native_ids={"Purchase": "123"}, actor="test")
    first = edited(at("Purchase", "Ads — EU", native_id="456", native_name="Bought"), only_changed=True)
    assert plan(first).sentences == [
        "Ads — EU: native name of Purchase: Purchase → Bought",
        "Ads — EU: native id of Purchase: 123 → 456",
    ]
    import_csv(first, actor="test")
    route = Route.objects.get(destination=ads, event_name="Purchase")
    assert (route.native_name, route.native_id) == ("Bought", "456")
    second = edited(at("Purchase", "Ads — EU", native_id="", native_name="Purchase"))
    assert plan(second).sentences[1] == "Ads — EU: native id of Purchase: 456 → none"
    import_csv(second, actor="test")
    route.refresh_from_db()
    assert (route.native_name, route.native_id) == ("", "")
    ads.refresh_from_db()
    assert ads.event_mode == "recommended"


def test_a_mode_alone(ads: Destination, crm: Destination) -> None:
    def change(row: dict[str, str]) -> None:
        if row["destination"] == "Ads — EU":
            row.update(mode="Everything", enabled="")

    text = edited(change)
    assert plan(text).sentences[0] == "Ads — EU: Recommended → Everything"
    import_csv(text, actor="test")
    ads.refresh_from_db()
    assert ads.event_mode == "everything"
    rows = {row["event"]: row["enabled"] for row in table(exported()) if row["platform"] == "csv_ads"}
    assert (rows["PageView"], rows["Refund"]) == ("true", "false")


def test_switches_that_contradict_a_new_mode_are_asked_about(ads: Destination, crm: Destination) -> None:
    def change(row: dict[str, str]) -> None:
        if row["destination"] == "Ads — EU":
            row["mode"] = "everything"

    with pytest.raises(CsvError) as caught:
        import_csv(edited(change), actor="test")
    assert "is off here, but not in the new mode everything of Ads — EU" in caught.value.errors[0]
    ads.refresh_from_db()
    assert ads.event_mode == "recommended"


def test_an_export_of_another_installation_makes_this_one_alike(ads: Destination, crm: Destination) -> None:
    there = exported()
    toggles.apply(ads, mode="everything", on={"SignUp": False}, actor="test")
    toggles.apply(crm, on={"Refund": False}, native_names={"SignUp": "signed_up"}, actor="test")
    here = exported()
    assert here != there
    import_csv(there, actor="test")
    assert exported() == there
    import_csv(here, actor="test")
    assert exported() == here


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ({"event": "signup"}, 'unknown event "signup", did you mean "SignUp"?'),
        ({"destination": "Nowhere"}, 'unknown destination "Nowhere".'),
        ({"platform": "csv_crm"}, 'platform is "csv_ads"'),
        ({"stage": "revenue"}, 'stage is "acquisition"'),
        ({"enabled": "maybe"}, "enabled must be true or false"),
        ({"mode": "all"}, "mode must be recommended, custom, everything"),
        ({"mode": "custom"}, "mode of Ads — EU is"),
        ({"native_id": "1E+05"}, '"1E+05" does not look like a conversion id. Copy it from the account.'),
        ({"native_name": "x" * 101}, "A native name has at most 100 characters"),
        ({"native_name": "a\0b"}, "A native name has at most 100 characters"),
        ({"native_name": "a\nb"}, "A native name has at most 100 characters"),
        ({"event": "Purchase", "stage": "revenue"}, "Purchase for Ads — EU stands in line"),
    ],
)
def test_errors_name_the_line_and_nothing_is_changed(ads: Destination, cells: dict[str, str], part: str) -> None:
    text = edited(at("SignUp", "Ads — EU", **cells))
    [sentence] = errors(text)
    assert sentence.startswith("Line ")
    assert part in sentence
    with pytest.raises(CsvError):
        import_csv(text, actor="test")
    assert not RoutingChange.objects.exists()


def test_the_line_is_the_one_of_the_file(ads: Destination) -> None:
    text = edited(at("SignUp", "Ads — EU", enabled="maybe"))
    number = next(n for n, line in enumerate(text.splitlines(), start=1) if "maybe" in line)
    assert errors(text) == [f'Line {number}: enabled must be true or false, not "maybe".']


def test_errors_stand_in_the_order_of_the_lines(ads: Destination) -> None:
    def change(row: dict[str, str]) -> None:
        at("SignUp", "Ads — EU", native_id="x")(row)
        at("Purchase", "Ads — EU", enabled="maybe")(row)

    numbers = [int(sentence.split()[1].strip(":")) for sentence in errors(edited(change))]
    assert len(numbers) == 2
    assert numbers == sorted(numbers)


def test_one_bad_line_keeps_the_good_ones_out(ads: Destination, crm: Destination) -> None:
    def change(row: dict[str, str]) -> None:
        at("SignUp", "CRM", enabled="false")(row)
        at("SignUp", "Ads — EU", native_id="x")(row)

    with pytest.raises(CsvError):
        import_csv(edited(change), actor="test")
    crm.refresh_from_db()
    assert crm.event_mode == "everything"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "Line 1: the header must be stage,event,"),
        (",".join(HEADER) + "\nacquisition,SignUp\n", "Line 2: has 2 cells"),
        (",".join(HEADER) + '\n"acquisition"x,', "Line 2: this is not CSV"),
        (",".join(HEADER) + '\n"' + "x" * 200_000, "this is not CSV"),
    ],
)
def test_what_is_not_our_table(text: str, part: str) -> None:
    [sentence] = errors(text)
    assert part in sentence


def test_the_list_of_errors_is_capped(ads: Destination) -> None:
    def change(row: dict[str, str]) -> None:
        row["enabled"] = "maybe"

    found = errors(edited(change))
    assert len(found) == 51
    assert found[-1] == f"… and {66 * 2 - 50} more."


def test_the_built_in_warehouse_cannot_be_switched(ads: Destination) -> None:
    assert "always gets every event" in errors(edited(at("SignUp", "Warehouse", enabled="false")))[0]


def test_money_going_back_to_an_ad_platform_wants_a_confirmation(ads: Destination) -> None:
    text = edited(at("Refund", "Ads — EU", enabled="true"))
    assert plan(text).confirmations == [
        "Ads — EU: Refund is meant for CRM and warehouse only; confirm that it is to go to Ads."
    ]
    with pytest.raises(CsvError):
        import_csv(text, actor="test")
    assert import_csv(text, actor="test", is_confirmed=True)


# --- Screen ---------------------------------------------------------------------------------------


def test_the_export_is_split_as_it_is_asked_for(ads: Destination) -> None:
    client = client_with(group="Marketer")
    assert 'name="separator"' in client.get(reverse("routing:export_choose")).content.decode()
    for asked, header in (("semicolon", ";".join(HEADER)), ("comma", ",".join(HEADER)), ("x", ",".join(HEADER))):
        answer = client.get(reverse("routing:export"), {"separator": asked})
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        assert text.splitlines()[0] == "\ufeff" + header


def test_an_import_does_what_was_shown_or_nothing(ads: Destination) -> None:
    client, page = client_with(group="Marketer"), reverse("routing:import")

    def change(row: dict[str, str]) -> None:
        row["mode"] = ""
        at("Refund", "Ads — EU", enabled="true")(row)

    text = edited(change)
    number = next(n for n, line in enumerate(text.splitlines(), start=1) if ",Refund,Ads" in line)
    shown = client.post(page, {"file": SimpleUploadedFile("m.csv", text.encode())})
    assert "Ads — EU: Refund is meant for CRM and warehouse only" in shown.content.decode()
    assert f'<span class="quiet nowrap">line {number}</span>' in shown.content.decode()
    assert "Something was changed" not in shown.content.decode()
    assert client.post(page, {"text": text, "confirmed": "1"}).status_code == 200, "it was not shown"
    assert not RoutingChange.objects.exists()
    seen = shown.context["seen"]
    toggles.apply(ads, on={"DemoBooked": True}, actor="test")
    for data in ({"seen": seen}, {}, {"confirmed": "1"}):
        again = client.post(page, {"text": text, **data})
        assert "Something was changed since you looked." in again.content.decode()
        assert "stops receiving <strong>DemoBooked</strong>" in again.content.decode()
    assert RoutingChange.objects.count() == 1
    done = client.post(page, {"text": text, "seen": again.context["seen"], "note": "spring clean"})
    assert done.status_code == 302
    assert RoutingChange.objects.latest("pk").note == "spring clean"


def test_an_import_goes_into_the_draft_while_switches_are_collected(ads: Destination) -> None:
    client, page = client_with(group="Marketer"), reverse("routing:import")
    user = User.objects.get(pk=client.session["_auth_user_id"])
    drafts.set_collecting(user, True)
    state = snapshot.current()
    drafts.collect_all(user, {ads.pk: drafts.Wanted(on={"DemoBooked": True})}, state)
    text = edited(at("SignUp", "Ads — EU", enabled="false", native_name="Joined"))
    shown = client.post(page, {"text": text})
    assert "It goes into your draft." in shown.content.decode()
    assert "stops receiving <strong>SignUp" in shown.content.decode()
    assert "<strong>DemoBooked" not in shown.content.decode(), "what the draft holds besides stays there"
    assert client.post(page, {"text": text, "seen": shown.context["seen"]}).status_code == 302
    assert not RoutingChange.objects.exists()
    wanted = drafts.view_of(user).wanted[ads.pk]
    assert (wanted.on, wanted.native_names) == ({"DemoBooked": True, "SignUp": False}, {"SignUp": "Joined"})


# --- Commands -------------------------------------------------------------------------------------


def test_the_commands(ads: Destination, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mappings.csv"
    call_command("export_mappings", output=file)
    assert file.read_bytes().decode() == exported()
    call_command("export_mappings")
    assert capsys.readouterr().out == exported()
    call_command("import_mappings", str(file))
    assert capsys.readouterr().out == "The file changes nothing.\n"

    file.write_text(edited(at("SignUp", "Ads — EU", enabled="false")), encoding="utf-8-sig")
    call_command("import_mappings", str(file), "--dry-run")
    assert capsys.readouterr().out.splitlines() == [
        "Ads — EU: Recommended → Custom",
        "Ads — EU stops receiving SignUp",
        "Nothing was changed.",
    ]
    assert not RoutingChange.objects.exists()
    call_command("import_mappings", str(file), "--note", "spring clean")
    assert capsys.readouterr().out.splitlines()[-1] == "1 destination changed."
    assert RoutingChange.objects.get().note == "spring clean"


def test_the_import_command_refuses_in_sentences(ads: Destination, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_mappings", str(tmp_path / "none.csv"))
    file = tmp_path / "mappings.csv"
    file.write_bytes("é".encode("latin-1"))
    with pytest.raises(CommandError, match="not UTF-8"):
        call_command("import_mappings", str(file))
    file.write_text(edited(at("Refund", "Ads — EU", enabled="true")), encoding="utf-8")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("import_mappings", str(file))
    call_command("import_mappings", str(file), "--confirm-warehouse-only")


@pytest.mark.django_db
def test_the_command_exports_one_destination(capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import CommandError, call_command

    from tests.factories import make_destination

    make_destination("meta", "Meta EU")
    make_destination("webhook", "Hook")
    call_command("export_mappings", "--destination", "Meta EU")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 66
    assert {row["destination"] for row in rows} == {"Meta EU"}
    with pytest.raises(CommandError, match="no destination 'Nope'"):
        call_command("export_mappings", "--destination", "Nope")
