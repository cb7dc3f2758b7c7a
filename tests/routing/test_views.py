"""Configure → Events over HTTP: who may, what a click does, what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from destinations import platforms
from destinations.models import Destination, LedgerEntry, LedgerState
from destinations.platforms.base import Kind, NativeId, Platform
from events.models import CanonicalEvent
from routing import snapshot, toggles
from routing.models import Route, RoutingChange, RoutingVersion
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

MATRIX = "/admin/configure/events/"
HTMX = {"HTTP_HX_REQUEST": "true"}


class Ads(Platform):
    key = "ads_of_test"
    label = "Ads"
    kind = Kind.ADS
    events = {"SignUp": "CompleteRegistration", "Purchase": "Purchase", "PlanUpgrade": "Purchase", "Refund": None}
    events |= {"StartTrial": "StartTrial", "WorkspaceCreated": "WorkspaceCreated"}
    recommended = frozenset({"SignUp", "Purchase"})
    native_id = NativeId(label="Conversion id", pattern=r"[0-9]{3,6}", help="Copy it from the account.", required=False)


class Crm(Platform):
    key = "crm_of_test"
    label = "CRM"
    kind = Kind.CRM
    takes_custom_events = True


FAKES: dict[str, Platform] = {fake.key: fake() for fake in (Ads, Crm)}


@pytest.fixture(autouse=True)
def _fake_platforms(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    # Static files straight from the source folders, whatever the environment says.
    settings.WHITENOISE_AUTOREFRESH = True
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    real = platforms.get
    monkeypatch.setattr(platforms, "get", lambda key: FAKES.get(key) or real(key))
    snapshot.forget()


@pytest.fixture
def ads() -> Destination:
    made = Destination.objects.create(name="Ads EU", platform_key="ads_of_test")
    snapshot.bump()
    return made


def client_of(group: str | None) -> Client:
    user = User.objects.create_user(group or "nobody", password="x", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def marketer() -> Client:
    return client_of("Marketer")


def is_on(destination: Destination, event: str) -> bool:
    state = snapshot.load()
    return event in toggles.selected(state.rules[destination.pk], state.events)


def post(client: Client, path: str, /, *, htmx: bool = False, **data: str) -> Any:
    return client.post(MATRIX + path, data, **(HTMX if htmx else {}))  # type: ignore[arg-type]


# --- Who may ------------------------------------------------------------------------------------------


def pages(destination: Destination) -> list[tuple[str, str, str]]:
    """Method, path, and the first group of Viewer < Marketer that may."""
    return [
        ("get", "", "Viewer"),
        ("get", "export.csv", "Viewer"),
        ("get", "export/", "Viewer"),
        ("post", "toggle/", "Marketer"),
        ("get", f"change/?set={destination.pk}:=everything", "Marketer"),
        ("post", "change/", "Marketer"),
        ("get", f"range/?set={destination.pk}:SignUp:0", "Marketer"),
        ("post", "range/", "Marketer"),
        ("post", "undo/", "Marketer"),
        ("get", f"modes/{destination.pk}/", "Marketer"),
        ("get", f"{destination.pk}/SignUp/", "Marketer"),
        ("post", f"{destination.pk}/SignUp/", "Marketer"),
        ("get", "import/", "Marketer"),
        ("post", "import/", "Marketer"),
    ]


def test_strangers_are_sent_to_log_in(client: Client, ads: Destination) -> None:
    for method, path, _ in pages(ads):
        answer = getattr(client, method)(MATRIX + path)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, reverse("admin:login")), path


def test_without_the_permission_403(ads: Destination) -> None:
    nobody, viewer = client_of(None), client_of("Viewer")
    for method, path, group in pages(ads):
        assert getattr(nobody, method)(MATRIX + path).status_code == 403, path
        expected = 200 if group == "Viewer" else 403
        assert getattr(viewer, method)(MATRIX + path).status_code == expected, path


def test_changes_need_post_and_a_csrf_token(ads: Destination) -> None:
    client = client_of("Marketer")
    assert client.get(MATRIX + "toggle/").status_code == 405
    assert client.get(MATRIX + "undo/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="Marketer"))
    assert strict.post(MATRIX + "toggle/", {"set": f"{ads.pk}:StartTrial:1"}).status_code == 403


# --- The page -------------------------------------------------------------------------------------------


def test_the_page_shows_every_event_and_destination(marketer: Client, ads: Destination) -> None:
    text = marketer.get(MATRIX).content.decode()
    assert text.count('role="switch"') == 66 + 1, "one for each event, and whether they are collected in a draft"
    assert "Ads EU" in text
    assert "CompleteRegistration" in text
    assert text.count("<i>always</i>") == 66
    assert "<script>" not in text
    assert "style=" not in text
    assert " onclick" not in text


def test_viewers_see_it_without_handles(ads: Destination) -> None:
    text = client_of("Viewer").get(MATRIX).content.decode()
    assert text.count('role="switch"') == text.count("disabled></button>") - 1 - 6  # column and stage switches too
    assert f'href="{ads.pk}/SignUp/"' not in text
    assert "Import CSV" not in text


def test_counts_are_of_the_last_seven_days(marketer: Client, ads: Destination) -> None:
    from django.utils import timezone

    today = timezone.now().date()
    for age, count in ((0, 1000), (6, 234), (7, 50_000)):
        LedgerEntry.objects.create(
            day=today - timezone.timedelta(days=age),
            destination=ads,
            event_name="SignUp",
            state=LedgerState.DELIVERED,
            count=count,
        )
    assert "<b>1.2k</b>" in marketer.get(MATRIX).content.decode()


# --- Switching --------------------------------------------------------------------------------------------


def test_a_switch_without_javascript_comes_back_to_the_page(marketer: Client, ads: Destination) -> None:
    answer = post(marketer, "toggle/", set=f"{ads.pk}:StartTrial:1")
    entry = RoutingChange.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{MATRIX}?changed={entry.pk}")
    assert is_on(ads, "StartTrial")
    assert is_on(ads, "SignUp"), "nothing else moved"
    page = marketer.get(answer["Location"]).content.decode()
    assert "Ads EU starts receiving StartTrial." in page
    assert f'name="change" value="{entry.pk}"' in page


def test_a_switch_with_htmx_answers_the_changed_pieces(marketer: Client, ads: Destination) -> None:
    text = post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:StartTrial:1").content.decode()
    assert "<html" not in text
    assert f"td:has(>#b{ads.pk}-StartTrial)" in text
    assert f"td:has(>#s{ads.pk}-acquisition)" in text
    assert f"innerHTML:#d{ads.pk}" in text
    assert "Custom" in text
    assert f'value="{ads.pk}:StartTrial:0"' in text
    assert f"#b{ads.pk}-SignUp" not in text, "what did not change is not sent"
    assert len(text) < 6000


def test_fan_in_of_the_others_is_swapped_too(marketer: Client, ads: Destination) -> None:
    text = post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:PlanUpgrade:1").content.decode()
    assert f"td:has(>#b{ads.pk}-Purchase)" in text
    assert 'class="is-fan">Purchase</a>' in text


def test_switching_twice_is_harmless(marketer: Client, ads: Destination) -> None:
    for _ in range(2):
        answer = post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:StartTrial:1")
    assert "<p>Already on.</p>" in answer.content.decode()
    assert RoutingChange.objects.count() == 1


@pytest.mark.parametrize("what", ["", "9999:SignUp:1", "x", "{ads}:NoSuch:1", "{warehouse}:SignUp:0"])
def test_what_is_no_switch_is_400(marketer: Client, ads: Destination, what: str) -> None:
    warehouse = Destination.objects.exclude(pk=ads.pk).get()
    answer = post(marketer, "toggle/", set=what.format(ads=ads.pk, warehouse=warehouse.pk))
    assert answer.status_code == 400
    assert not RoutingChange.objects.exists()


def test_money_going_back_to_an_ad_platform_is_asked_first(marketer: Client, ads: Destination) -> None:
    asked = {"set": f"{ads.pk}:Refund:1"}
    plain = post(marketer, "toggle/", **asked)
    dialog = post(marketer, "toggle/", htmx=True, **asked)
    for answer in (plain, dialog):
        assert "Money going back" in answer.content.decode()
    assert "<html" in plain.content.decode()
    assert "<html" not in dialog.content.decode()
    assert dialog["HX-Retarget"] == "#dialog-body"
    assert not is_on(ads, "Refund")
    post(marketer, "change/", **asked, seen=str(snapshot.stored_version()))
    assert is_on(ads, "Refund")


def test_money_going_back_to_a_crm_is_not(marketer: Client) -> None:
    crm = Destination.objects.create(name="CRM", platform_key="crm_of_test", event_mode="custom")
    snapshot.bump()
    assert post(marketer, "toggle/", set=f"{crm.pk}:Refund:1").status_code == 302
    assert is_on(crm, "Refund")


# --- Many at once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["@acquisition:1", "*:1", "=everything"])
def test_stage_column_and_reset_show_the_diff_first(marketer: Client, ads: Destination, what: str) -> None:
    way = marketer.get(MATRIX + "change/", {"set": f"{ads.pk}:{what}"})
    text = way.content.decode()
    assert "Ads EU starts receiving <strong>StartTrial</strong>" in text
    assert ("Refund" in text) == (what == "*:1"), "everything leaves money going back out; the column switch asks"
    assert not RoutingChange.objects.exists()
    post(marketer, "change/", set=f"{ads.pk}:{what}", seen=str(snapshot.stored_version()))
    assert is_on(ads, "StartTrial")
    assert RoutingChange.objects.count() == 1


def test_reset_to_recommended_shows_what_it_takes_away(marketer: Client, ads: Destination) -> None:
    toggles.apply(ads, on={"StartTrial": True, "SignUp": False}, actor="test")
    text = marketer.get(MATRIX + "change/", {"set": f"{ads.pk}:=recommended"}, **HTMX).content.decode()
    assert "<html" not in text
    assert "Ads EU starts receiving <strong>SignUp</strong>" in text
    assert "Ads EU stops receiving <strong>StartTrial</strong>" in text
    assert "The mode becomes <strong>Recommended</strong>" in text
    modes = marketer.get(f"{MATRIX}modes/{ads.pk}/").content.decode()
    assert "+1" in modes
    assert "−1" in modes


def test_a_diff_that_is_not_true_any_more_is_shown_again(marketer: Client, ads: Destination) -> None:
    seen = str(snapshot.stored_version())
    toggles.apply(ads, on={"StartTrial": True}, actor="somebody else")
    answer = post(marketer, "change/", set=f"{ads.pk}:=everything", seen=seen)
    assert "Something was changed since you looked" in answer.content.decode()
    assert Destination.objects.get(pk=ads.pk).event_mode == "custom"


def test_undo_takes_the_last_change_back_with_its_mode(marketer: Client, ads: Destination) -> None:
    post(marketer, "toggle/", set=f"{ads.pk}:StartTrial:1")
    entry = RoutingChange.objects.get()
    answer = post(marketer, "undo/", htmx=True, change=str(entry.pk))
    assert f"td:has(>#b{ads.pk}-StartTrial)" in answer.content.decode()
    assert not is_on(ads, "StartTrial")
    assert Destination.objects.get(pk=ads.pk).event_mode == "recommended"


def test_the_toast_of_several_switches_names_them(marketer: Client, ads: Destination) -> None:
    events, seen = "StartTrial,PlanUpgrade,WorkspaceCreated", str(snapshot.stored_version())
    answer = post(marketer, "range/", htmx=True, set=f"{ads.pk}:{events}:1", seen=seen)
    text = answer.content.decode()
    assert "<p>Ads EU starts receiving WorkspaceCreated, StartTrial and PlanUpgrade.</p>" in text
    answer = post(marketer, "change/", htmx=True, set=f"{ads.pk}:*:0", seen=str(snapshot.stored_version()))
    assert "<p>Ads EU stops receiving SignUp, WorkspaceCreated, StartTrial and 2 more.</p>" in answer.content.decode()


def test_one_undo_takes_a_whole_import_back_as_a_new_version(marketer: Client, ads: Destination) -> None:
    crm = Destination.objects.create(name="CRM", platform_key="crm_of_test", event_mode="everything")
    snapshot.bump()
    header = "stage,event,destination,platform,enabled,native_name,native_id,mode"
    text = f"{header}\n,SignUp,Ads EU,,false,CompleteRegistration,,\n,SignUp,CRM,,false,SignUp,,\n"
    landed = post(marketer, "import/", text=text, seen=str(snapshot.stored_version()))
    entries = list(RoutingChange.objects.order_by("pk"))
    assert len({entry.version for entry in entries}) == 1, "an import is one version"
    page = marketer.get(landed["Location"]).content.decode()
    assert "4 changes made: Ads EU and CRM." in page
    assert f'name="change" value="{entries[0].pk}"' in page

    answer = post(marketer, "undo/", htmx=True, change=str(entries[1].pk))
    undone = RoutingChange.objects.filter(note="Undo")
    html = answer.content.decode()
    assert all(f"innerHTML:#d{one.pk}" in html for one in (ads, crm)), "both columns are shown as they are"
    assert f'name="change" value="{undone.earliest("pk").pk}"' in html
    assert is_on(ads, "SignUp")
    assert {(row.version, row.destination_name) for row in undone} == {
        (entries[0].version + 1, "Ads EU"),
        (entries[0].version + 1, "CRM"),
    }

    post(marketer, "import/", text=text, seen=str(snapshot.stored_version()))
    again = RoutingChange.objects.filter(note="CSV import").latest("pk")
    toggles.apply(crm, on={"Purchase": False})
    answer = post(marketer, "undo/", htmx=True, change=str(again.pk))
    assert "CRM was changed again since" in answer.content.decode()
    assert not is_on(ads, "SignUp"), "all of it or nothing"


def test_where_the_last_days_of_an_import_can_be_sent(ads: Destination) -> None:
    other = Destination.objects.create(name="Other", platform_key="ads_of_test")
    snapshot.bump()
    engineer = client_with(group="Engineer")
    header = "stage,event,destination,platform,enabled,native_name,native_id,mode"
    rows = "".join(f",StartTrial,{one.name},,true,StartTrial,,\n" for one in (ads, other))
    landed = post(engineer, "import/", text=f"{header}\n{rows}", seen=str(snapshot.stored_version()))
    page = engineer.get(landed["Location"]).content.decode()
    entry = RoutingChange.objects.earliest("pk")
    link = reverse("routing:history_entry", args=[entry.pk])
    assert f'href="{link}#backfill"' in page
    shown = engineer.get(link).content.decode().partition('id="backfill"')[2]
    assert f"destination={ads.pk}&amp;" in shown
    assert f"destination={other.pk}&amp;" in shown


def test_what_weighs_most_leads_and_what_is_quiet_is_folded(marketer: Client, ads: Destination) -> None:
    crm = Destination.objects.create(name="CRM", platform_key="crm_of_test", event_mode="custom")
    snapshot.bump()
    for event, count in (("PageView", 3), ("Purchase", 57), ("SignUp", 9)):
        factories.make_received(event, count)
    text = marketer.get(MATRIX + "change/", {"set": f"{crm.pk}:*:1"}, **HTMX).content.decode()
    order = [text.index(part) for part in ("up to 69 more", "57 in 7 days", "9 in 7 days", "3 in 7 days", "<details")]
    assert order == sorted(order)
    assert "63 without traffic in 7 days" in text


def test_custom_stays_custom_and_the_dialog_says_so(marketer: Client, ads: Destination) -> None:
    for on in "10":
        post(marketer, "toggle/", set=f"{ads.pk}:StartTrial:{on}")
    assert Destination.objects.get(pk=ads.pk).event_mode == "custom"
    assert "It stays Custom until you reset it" in marketer.get(f"{MATRIX}modes/{ads.pk}/").content.decode()
    shown = marketer.get(MATRIX + "change/", {"set": f"{ads.pk}:=recommended"}).content.decode()
    assert "No event is switched on or off by it. From then on the mode decides" in shown


def test_undo_is_refused_once_something_else_was_changed(marketer: Client, ads: Destination) -> None:
    post(marketer, "toggle/", set=f"{ads.pk}:StartTrial:1")
    entry = RoutingChange.objects.get()
    post(marketer, "toggle/", set=f"{ads.pk}:SignUp:0")
    answer = post(marketer, "undo/", htmx=True, change=str(entry.pk))
    assert "was changed again since" in answer.content.decode()
    assert is_on(ads, "StartTrial")


def test_undo_takes_a_mapping_back_too(marketer: Client, ads: Destination) -> None:
    post(marketer, f"{ads.pk}/SignUp/", native_name="Registered", native_id="1234")
    post(marketer, "undo/", change=str(RoutingChange.objects.get().pk))
    route = Route.objects.get(event_name="SignUp")
    assert (route.native_name, route.native_id) == ("", "")


def test_a_stage_switched_on_leaves_money_going_back_off(marketer: Client, ads: Destination) -> None:
    shown = post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:@revenue:1").content.decode()
    assert "Refund, Chargeback, Churned stay as they are" in shown
    post(marketer, "change/", set=f"{ads.pk}:@revenue:1", seen=str(snapshot.stored_version()))
    assert is_on(ads, "Reactivated")
    assert not is_on(ads, "Refund")


# --- Mapping ------------------------------------------------------------------------------------------------


def test_native_name_and_id_are_saved_and_emptied(marketer: Client, ads: Destination) -> None:
    path = f"{ads.pk}/SignUp/"
    assert "CompleteRegistration" in marketer.get(MATRIX + path).content.decode()
    answer = post(marketer, path, htmx=True, native_name="Registered", native_id="1234")
    assert "Registered" in answer.content.decode()
    route = Route.objects.get(event_name="SignUp")
    assert (route.native_name, route.native_id) == ("Registered", "1234")
    assert post(marketer, path, native_name="", native_id="").status_code == 302
    assert snapshot.load().rules[ads.pk].native_name("SignUp") == "CompleteRegistration"


@pytest.mark.parametrize("path", ["{pk}/SignUp/", "export/", "modes/{pk}/", "change/?set={pk}:@revenue:1"])
def test_a_dialog_that_is_opened_as_a_page_is_one(marketer: Client, ads: Destination, path: str) -> None:
    address = MATRIX + path.format(pk=ads.pk)
    page = marketer.get(address).content.decode()
    main = page[page.index("<main") : page.index("</main>")]
    assert main.count("<h1>") == 1
    assert 'aria-current="page"' in main, "the way to it"
    assert "dialog-title" not in main, "one title"
    assert "#dialog-body" not in main, "no dialog over a page that is the same form"
    assert "data-dialog" not in main
    dialog = marketer.get(address, **HTMX).content.decode()  # type: ignore[arg-type]
    assert 'id="dialog-title"' in dialog
    assert "<h1" not in dialog


def test_a_mapping_overwrites_only_what_its_reader_changed(marketer: Client, ads: Destination) -> None:
    toggles.apply(ads, native_names={"SignUp": "Joined"}, native_ids={"SignUp": "1234"})
    path = f"{ads.pk}/SignUp/"
    page = marketer.get(MATRIX + path).content.decode()
    assert all(f'name="initial-{field}"' in page for field in ("native_name", "native_id"))
    shown = {"initial-native_name": "Joined", "initial-native_id": "1234"}
    toggles.apply(ads, native_ids={"SignUp": "5678"})

    post(marketer, path, native_name="Registered", native_id="1234", **shown)
    route = Route.objects.get(destination=ads, event_name="SignUp")
    assert (route.native_name, route.native_id) == ("Registered", "5678"), "a colleague's id stays"

    answer = post(marketer, path, htmx=True, native_name="Subscribed", native_id="5678", **shown)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "Somebody made it “Registered” meanwhile" in html
    assert 'name="initial-native_name" value="Registered"' in html
    assert 'name="native_name" value="Subscribed"' in html
    shown = {"initial-native_name": "Registered", "initial-native_id": "5678"}
    post(marketer, path, native_name="Subscribed", native_id="5678", **shown)
    route.refresh_from_db()
    assert route.native_name == "Subscribed"


def test_a_native_id_of_the_wrong_shape_is_said_at_the_field(marketer: Client, ads: Destination) -> None:
    answer = post(marketer, f"{ads.pk}/SignUp/", htmx=True, native_name="Registered", native_id="AW-12")
    assert answer.status_code == 422
    assert answer.context["form"].errors["native_id"][0].startswith("This is no Conversion")
    assert not Route.objects.exists()


def test_mapping_of_what_is_not_there_is_404(marketer: Client, ads: Destination) -> None:
    warehouse = Destination.objects.exclude(pk=ads.pk).get()
    for path in ("9999/SignUp/", f"{ads.pk}/NoSuch/", f"{warehouse.pk}/SignUp/", "modes/9999/"):
        assert marketer.get(MATRIX + path).status_code == 404


# --- CSV ------------------------------------------------------------------------------------------------------


def exported(client: Client, **query: Any) -> str:
    answer = client.get(MATRIX + "export.csv", query)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_export_edit_import(marketer: Client, ads: Destination) -> None:
    text = exported(marketer)
    assert text.startswith("\ufeffstage,event,")
    line = next(line for line in text.splitlines() if ",StartTrial,Ads EU," in line)
    changed = text.replace(line, line.replace(",false,", ",true,"))
    shown = marketer.post(MATRIX + "import/", {"file": SimpleUploadedFile("m.csv", changed.encode())})
    assert "Ads EU starts receiving <strong>StartTrial</strong>" in shown.content.decode()
    assert not RoutingChange.objects.exists(), "shown, not done"
    assert post(marketer, "import/", text=shown.context["text"], seen=shown.context["seen"]).status_code == 302
    assert is_on(ads, "StartTrial")


def test_one_destination_or_what_the_filter_shows_is_exported(marketer: Client, ads: Destination) -> None:
    crm = Destination.objects.create(name="CRM", platform_key="crm_of_test", event_mode="everything")
    snapshot.bump()
    one = exported(marketer, destination=ads.pk).splitlines()[1:]
    assert len(one) == CanonicalEvent.objects.count()
    assert all(",Ads EU," in line for line in one)

    # "registration" is what SignUp is called at Ads: the whole row is shown, so the whole row is exported.
    named = exported(marketer, q="signup registration").splitlines()[1:]
    assert {line.split(",")[1] for line in named} == {"SignUp"}
    assert {line.split(",")[2] for line in named} == {"Ads EU", "CRM", "Warehouse"}

    toggles.apply(crm, on={"PageView": False})
    changed = exported(marketer, show="changed", destination=crm.pk).splitlines()[1:]
    assert [line.split(",")[1:5] for line in changed] == [["PageView", "CRM", "crm_of_test", "false"]]
    assert marketer.get(MATRIX + "export.csv", {"destination": "999"}).status_code == 404
    assert marketer.get(MATRIX + "export.csv", {"destination": "x"}).status_code == 404


def test_the_choice_says_how_much_the_filter_shows(marketer: Client, ads: Destination) -> None:
    assert "A row for each of" in marketer.get(MATRIX + "export/").content.decode()
    told = marketer.get(MATRIX + "export/", {"q": "SignUp", "show": "on"}, **HTMX).content.decode()  # type: ignore[arg-type]
    assert "The filter shows 1 of" in told
    assert 'value="SignUp"' in told
    assert '<option value="on" selected>' in told


def test_a_broken_file_names_its_lines(marketer: Client, ads: Destination) -> None:
    broken = exported(marketer).replace("StartTrial,Ads EU", "StartTrail,Ads EU")
    answer = marketer.post(MATRIX + "import/", {"file": SimpleUploadedFile("m.csv", broken.encode())})
    assert answer.status_code == 422
    assert "did you mean &quot;StartTrial&quot;" in answer.content.decode()
    binary = marketer.post(MATRIX + "import/", {"file": SimpleUploadedFile("m.csv", b"\xff\xfe\x00")})
    assert "not UTF-8" in binary.content.decode()


# --- What is shown ----------------------------------------------------------------------------------------------


def test_a_viewer_is_not_told_of_switches(ads: Destination) -> None:
    sentence = "A switch is in force at once."
    assert sentence not in client_of("Viewer").get(MATRIX).content.decode()
    assert sentence in client_of("Marketer").get(MATRIX).content.decode()


def test_what_died_marks_its_cell_on_the_page_and_in_a_swap(marketer: Client, ads: Destination) -> None:
    for state, count in ((LedgerState.DELIVERED, 114), (LedgerState.DEAD, 6)):
        LedgerEntry.objects.create(
            day=timezone.now().date(), destination=ads, event_name="Purchase", state=state, count=count
        )
    mark = '<b class="is-failing">114</b>'
    assert marketer.get(MATRIX).content.decode().count(mark) == 1
    assert mark in post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:PlanUpgrade:1").content.decode()


@pytest.mark.parametrize(
    ("what", "shown", "total"), [("*:1", "6", 66), ("=everything", "6", 66), ("@revenue:1", "1", 12)]
)
def test_a_question_about_more_than_the_filter_shows_says_so(
    marketer: Client, ads: Destination, what: str, shown: str, total: int
) -> None:
    asked = {"set": f"{ads.pk}:{what}", "shown": shown}
    sentence = f"all {total} events, not only the {shown} that the filter shows"
    assert sentence in marketer.get(MATRIX + "change/", asked).content.decode()
    for other in (str(total), "", "x"):
        assert "not only the" not in marketer.get(MATRIX + "change/", asked | {"shown": other}).content.decode()


def test_one_switch_is_not_asked_about_the_filter(marketer: Client, ads: Destination) -> None:
    asked = {"set": f"{ads.pk}:Refund:1", "shown": "0"}
    assert "not only the" not in marketer.get(MATRIX + "change/", asked).content.decode()


def test_placeholders_are_shown_as_they_are_set(marketer: Client, ads: Destination) -> None:
    Destination.objects.create(name="HubSpot", platform_key="hubspot", settings={"portal_id": "4711"})
    snapshot.bump()
    text = marketer.get(MATRIX).content.decode()
    assert ">pe4711_sign_up</a>" in text
    assert "{portal_id}" not in text


# --- Budgets ----------------------------------------------------------------------------------------------------


@pytest.fixture
def fifteen(ads: Destination) -> None:
    for number in range(13):
        key = "ads_of_test" if number % 2 else "crm_of_test"
        Destination.objects.create(name=f"Destination {number}", platform_key=key, event_mode="everything")
    assert Destination.objects.count() == 15
    snapshot.bump()
    snapshot._bumped.versions = set()  # as after a commit: the snapshot is kept from here on
    snapshot.current()


def test_budget_of_the_page(
    marketer: Client, fifteen: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    marketer.get(MATRIX)
    with django_assert_max_num_queries(8):  # one of them: the drafts that wait, beside the menu
        answer = marketer.get(MATRIX)
    assert len(answer.content) < 300_000


def test_budget_of_a_switch(
    marketer: Client,
    ads: Destination,
    fifteen: None,
    django_assert_num_queries: DjangoAssertNumQueries,
    django_capture_on_commit_callbacks: Any,
) -> None:
    snapshot.forget()
    snapshot.current()
    with django_capture_on_commit_callbacks(execute=True):
        post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:StartTrial:1")
    # Who asks: 3. The change: 4, and the two that begin and end its transaction. What the answer shows: 1.
    with django_assert_num_queries(8 + 2):
        post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:StartTrial:0")


def test_a_switch_on_rules_that_are_no_longer_in_force_is_decided_anew(marketer: Client, ads: Destination) -> None:
    """Another process made the event one that needs a confirmation; this one has not looked since."""
    snapshot.current()
    CanonicalEvent.objects.filter(name="StartTrial").update(routing_class="warehouse_only")
    RoutingVersion.objects.update(version=F("version") + 1)
    answer = post(marketer, "toggle/", htmx=True, set=f"{ads.pk}:StartTrial:1")
    assert answer["HX-Retarget"] == "#dialog-body"
    assert not Route.objects.filter(event_name="StartTrial", is_on=True).exists()
