"""The routing as JSON: out and in again, said before it is made, opened by tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from destinations.models import Destination
from routing import config, drafts, snapshot, toggles
from routing.api import make_token
from routing.models import ConfigToken, RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db
URL = "/api/config/"


def document() -> dict[str, Any]:
    snapshot.forget()
    return config.document()


def call(method: str = "get", body: Any = None, *, write: bool = True, query: str = "", **headers: str) -> Any:
    _, text = make_token("CI", may_write=write)
    values: dict[str, Any] = {"headers": {"Authorization": f"Bearer {text}", **headers}}
    if body is not None:
        values |= {"data": body if isinstance(body, bytes) else json.dumps(body), "content_type": "application/json"}
    return getattr(Client(), method)(URL + query, **values)


@pytest.fixture
def meta() -> Destination:
    return factories.make_destination("meta", name="Pixel")


def test_what_comes_out_goes_in_again_and_changes_nothing(meta: Destination) -> None:
    factories.make_destination("linkedin", name="LI")
    toggles.apply(meta, on={"FeatureUsed": True}, native_names={"Purchase": "Paid"})
    shown = document()
    assert shown["destinations"]["Pixel"]["mode"] == "custom"
    assert "FeatureUsed" in shown["destinations"]["Pixel"]["on"]
    assert shown["destinations"]["Pixel"]["native_names"] == {"Purchase": "Paid"}
    assert "on" not in shown["destinations"]["LI"]
    assert shown["destinations"]["LI"]["native_ids"]["SignUp"]
    assert config.apply(config.read(json.dumps(shown).encode())) == []
    assert document() == shown


def test_what_comes_out_goes_in_again_after_an_event_was_retired(meta: Destination) -> None:
    from events import taxonomy
    from events.models import CanonicalEvent

    twin = factories.make_destination("meta", name="Twin")
    toggles.apply(meta, native_names={"FeatureUsed": "Used"})
    taxonomy.retire(CanonicalEvent.objects.get(name="FeatureUsed"))
    shown = document()
    assert shown["destinations"]["Pixel"]["native_names"] == {"FeatureUsed": "Used"}
    assert call("put", shown).json()["changes"] == []
    state = snapshot.current()
    config.plan(config.copied(state.rules[meta.pk], state.rules[twin.pk], state).document, state)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("native_names", "n" * 101),
        ("native_names", "a\x00b"),
        ("native_names", "a\nb"),
        ("native_names", " =1+1"),
        ("native_ids", "1" * 201),
    ],
)
def test_what_no_column_holds_is_refused_by_its_path(part: str, value: str) -> None:
    factories.make_destination("google_ads", name="Ads")
    wanted = {"destinations": {"Ads": {part: {"Purchase": value}}}}
    answer = call("put", wanted)
    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["path"] == f"$.destinations['Ads'].{part}"


@pytest.mark.parametrize("version", ["²", "9" * 5000])
def test_nonsense_in_if_match_is_stale(version: str, meta: Destination) -> None:
    assert call("put", {"destinations": {}}, **{"If-Match": version}).status_code == 412


def test_a_document_is_made_so_and_the_second_time_changes_nothing(meta: Destination) -> None:
    one = {"mode": "custom", "on": ["SignUp", "FeatureUsed"], "native_names": {"SignUp": "Joined"}}
    wanted = {"destinations": {"Pixel": one}}
    answer = call("put", wanted, query="?dry_run=1", write=False)
    said = answer.json()["changes"]
    assert "Pixel: Recommended → Custom" in said
    assert "Pixel starts receiving FeatureUsed" in said
    assert "Pixel: native name of SignUp: default → Joined" in said
    assert document()["destinations"]["Pixel"]["mode"] == "recommended", "a dry run changes nothing"
    answer = call("put", wanted)
    assert answer.status_code == 200
    assert sorted(document()["destinations"]["Pixel"]["on"]) == ["FeatureUsed", "SignUp"]
    assert call("put", wanted).json()["changes"] == []
    assert RoutingChange.objects.latest("pk").actor == "token CI"
    gone = {"destinations": {"Pixel": {"native_names": {}}}}
    assert call("put", gone).json()["changes"] == ["Pixel: native name of SignUp: Joined → default"]


def test_all_or_nothing_with_every_error_by_its_path(meta: Destination) -> None:
    factories.make_destination("linkedin", name="LI")
    before = document()
    wanted = {
        "destinations": {
            "Pixel": {"mode": "custom", "on": ["SignUp"]},
            "LI": {"native_ids": {"SignUp": "not an id"}, "platform": "meta"},
            "Nope": {},
        }
    }
    answer = call("put", wanted)
    assert answer.status_code == 422
    paths = [error["path"] for error in answer.json()["errors"]]
    assert paths == ["$.destinations['LI'].platform", "$.destinations['LI'].native_ids", "$.destinations['Nope']"]
    assert document() == before


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{", "$"),
        (b"\xff", "$"),
        ({}, "$"),
        ({"destinations": {"Pixel": {"mode": 7}}}, "$.destinations[...].mode"),
        ({"destinations": {"Pixel": {"unknown": 1}}}, "$.destinations[...]"),
        ({"destinations": {"Pixel": {"mode": "sometimes"}}}, "$.destinations['Pixel'].mode"),
        ({"destinations": {"Pixel": {"mode": "everything", "on": []}}}, "$.destinations['Pixel'].on"),
        ({"destinations": {"Pixel": {"on": ["NoSuchEvent"]}}}, "$.destinations['Pixel'].on"),
    ],
)
def test_nonsense_is_refused_by_its_path(meta: Destination, body: Any, path: str) -> None:
    answer = call("put", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


def test_a_stale_document_is_refused(meta: Destination) -> None:
    read = call()
    assert read.headers["ETag"] == f'"{read.json()["version"]}"'
    toggles.apply(meta, on={"SignUp": False})
    wanted = {"destinations": {"Pixel": {"mode": "everything"}}}
    assert call("put", wanted, **{"If-Match": read.headers["ETag"]}).status_code == 412
    assert call("put", wanted, **{"If-Match": "nonsense"}).status_code == 412
    assert call("put", wanted, **{"If-Match": call().headers["ETag"]}).status_code == 200


def test_a_stale_dry_run_is_refused_as_well(meta: Destination) -> None:
    etag = call().headers["ETag"]
    toggles.apply(meta, on={"SignUp": False})
    wanted = {"destinations": {"Pixel": {"mode": "everything"}}}
    assert call("put", wanted, query="?dry_run=1", **{"If-Match": etag}).status_code == 412


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_a_document_of_an_older_version_changes_nothing(query: str, meta: Destination) -> None:
    shown = document()
    toggles.apply(meta, on={"SignUp": False})
    assert call("put", shown, query=query).status_code == 412
    assert call("put", {**shown, "destinations": document()["destinations"]}, query=query).json()["changes"] == []
    assert call("put", {"destinations": shown["destinations"]}, query=query).status_code == 200


@pytest.mark.parametrize("query", ["?dry_run", "?dry_run=", "?dry-run=1", "?dry-run", "?dry_run=True", "?dry_run=yes"])
def test_each_spelling_of_a_dry_run_is_one(query: str, meta: Destination) -> None:
    before = document()
    answer = call("put", {"destinations": {"Pixel": {"mode": "everything"}}}, query=query)
    assert answer.json()["dry_run"] is True
    assert document() == before


@pytest.mark.parametrize(
    ("query", "named"), [("?dryrun=1", "dryrun"), ("?dry_run=maybe", "maybe"), ("?confirm=1&dry=1", "'dry'")]
)
def test_a_misspelt_parameter_is_refused_and_nothing_is_written(query: str, named: str, meta: Destination) -> None:
    before = document()
    answer = call("put", {"destinations": {"Pixel": {"mode": "everything"}}}, query=query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert document() == before


def test_money_going_back_to_an_ad_platform_wants_a_confirmation(meta: Destination) -> None:
    wanted = {"destinations": {"Pixel": {"on": ["SignUp", "Refund"]}}}
    before = document()
    sentence = "Pixel: Refund is meant for CRM and warehouse only; confirm that it is to go to Meta."
    answer = call("put", wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "confirmation_needed")
    assert answer.json()["errors"] == [{"path": "$.destinations['Pixel'].on", "message": sentence}]
    assert "?confirm=1" in answer.json()["detail"]
    assert document() == before
    assert call("put", wanted, query="?dry_run=1").json()["confirmations"] == [sentence]
    assert call("put", wanted, query="?confirm=0").status_code == 422
    assert call("put", wanted, query="?confirm=1").status_code == 200
    assert call("put", wanted).json()["changes"] == [], "what is on already needs no confirmation"


def test_a_note_of_the_document_stands_in_the_history(meta: Destination) -> None:
    wanted = {"destinations": {"Pixel": {"mode": "everything"}}}
    assert call("put", wanted | {"note": "n" * 401}).json()["errors"][0]["path"] == "$.note"
    call("put", wanted | {"note": "for the launch"})
    assert RoutingChange.objects.latest("pk").note == "for the launch"
    call("put", {"destinations": {"Pixel": {"mode": "recommended"}}})
    assert RoutingChange.objects.latest("pk").note == "Configuration file"


def test_a_dry_run_says_what_it_would_have_meant(meta: Destination) -> None:
    factories.make_received("FeatureUsed", 80)
    wanted = {"destinations": {"Pixel": {"on": ["FeatureUsed"]}}}
    assert call("put", wanted, query="?dry_run").json()["impact"] == [
        "Over the last 7 days this would have meant up to 80 more deliveries.",
        "Pixel starts receiving FeatureUsed: 80 in 7 days",
    ]


def test_tokens(meta: Destination) -> None:
    assert Client().get(URL).status_code == 401
    assert Client().get(URL, headers={"Authorization": "Bearer tsc_nonsense_x"}).status_code == 401
    wanted = {"destinations": {"Pixel": {"mode": "everything"}}}
    answer = call("put", wanted, write=False)
    assert (answer.status_code, answer.json()["code"]) == (403, "token_reads_only")
    token, text = make_token("Old", may_write=True)
    assert text not in str(vars(token))
    ConfigToken.objects.filter(pk=token.pk).update(revoked_at="2026-01-01T00:00Z")
    assert Client().get(URL, headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_no_secret_is_in_the_document(meta: Destination) -> None:
    text = json.dumps(document())
    assert not any(value in text for value in meta.secrets.values())


def test_the_commands(meta: Destination, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("export_config")
    shown = json.loads(capsys.readouterr().out)
    shown["destinations"]["Pixel"] = {"mode": "everything"}
    path = tmp_path / "routing.json"
    path.write_text(json.dumps(shown))
    call_command("import_config", str(path), dry_run=True)
    assert "Pixel: Recommended → Everything" in capsys.readouterr().out
    call_command("import_config", str(path))
    call_command("import_config", str(path))
    assert capsys.readouterr().out.endswith("Nothing to change.\n")
    path.write_text('{"destinations": {"Nope": {}}}')
    with pytest.raises(CommandError, match="There is no destination 'Nope'"):
        call_command("import_config", str(path))


def test_the_command_asks_to_confirm_money_going_back_and_for_a_new_file(
    meta: Destination, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "routing.json"
    wanted: dict[str, Any] = {"destinations": {"Pixel": {"on": ["Refund"]}}}
    path.write_text(json.dumps(wanted))
    with pytest.raises(CommandError, match=r"Pixel: Refund is meant for[^\n]+\n[^\n]+--confirm"):
        call_command("import_config", str(path))
    assert not RoutingChange.objects.exists()
    call_command("import_config", str(path), dry_run=True)
    assert "confirm that it is to go to Meta." in capsys.readouterr().out
    call_command("import_config", str(path), confirm=True)
    assert document()["destinations"]["Pixel"]["on"] == ["Refund"]
    path.write_text(json.dumps({"version": 0, "destinations": {"Pixel": {"mode": "recommended"}}}))
    with pytest.raises(CommandError, match="export it anew"):
        call_command("import_config", str(path))


# --- Screens ---------------------------------------------------------------------------------------------
def test_a_token_is_shown_once_and_revoked() -> None:
    page = reverse("routing:config_tokens")
    assert Client().get(page).status_code == 302
    assert client_with(group="Marketer").get(page).status_code == 403
    client = client_with(group="Engineer")
    shown = client.post(reverse("routing:config_token_add"), {"name": "CI", "may_write": "on"}).content.decode()
    text = shown.split('id="new-token">')[1].split("<")[0]
    assert Client().get(URL, headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert text not in client.get(page).content.decode()
    client.post(reverse("routing:config_token_revoke", args=[ConfigToken.objects.get().pk]))
    assert Client().get(URL, headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_routes_are_copied_as_far_as_the_platform_knows_the_events(meta: Destination) -> None:
    toggles.apply(meta, on={"FeatureUsed": True, "SignUp": False}, native_names={"Purchase": "Paid"})
    twin = factories.make_destination("meta", name="Twin")
    client = client_with(group="Marketer")
    page = reverse("routing:copy")
    shown = client.get(page, {"source": meta.pk, "target": twin.pk}).content.decode()
    assert "Twin starts receiving <strong>FeatureUsed</strong>" in shown
    assert "Twin: native name of Purchase: default → Paid" in shown
    data = {"source": meta.pk, "target": twin.pk, "seen": snapshot.stored_version()}
    assert "Something was changed" in client.post(page, data | {"seen": "1"}).content.decode()
    assert client.post(page, data).status_code == 302
    assert RoutingChange.objects.latest("pk").note == "Copied from Pixel"
    state = snapshot.current()
    assert toggles.selected(state.rules[twin.pk], state.events) == toggles.selected(state.rules[meta.pk], state.events)
    assert "receives all of that already" in client.get(page, {"source": meta.pk, "target": twin.pk}).content.decode()
    assert "Choose another destination" in client.get(page, {"source": meta.pk, "target": meta.pk}).content.decode()
    assert client_with(group="Viewer").get(page).status_code == 403


def test_a_copy_leaves_out_money_going_back_to_an_ad_platform(meta: Destination) -> None:
    hubspot = factories.make_destination("hubspot", name="HubSpot")
    toggles.apply(hubspot, mode="everything")
    toggles.apply(meta, on={"Churned": True})
    client = client_with(group="Marketer")
    page, data = reverse("routing:copy"), {"source": hubspot.pk, "target": meta.pk}
    shown = client.get(page, data).content.decode()
    assert "Refund, Chargeback stay as they are: money going back is switched on one by one." in shown
    assert "starts receiving <strong>Refund</strong>" not in shown
    assert client.post(page, data | {"seen": snapshot.stored_version()}).status_code == 302
    state = snapshot.current()
    on = toggles.selected(state.rules[meta.pk], state.events)
    assert "FeatureUsed" in on
    assert {"Refund", "Chargeback", "Churned"} & on == {"Churned"}, "what is on there already stays on"
    shown = client.get(page, data).content.decode()
    assert "Nothing to change." in shown
    assert "Refund, Chargeback stay as they are" in shown


def test_a_copy_goes_into_the_draft_while_switches_are_collected(meta: Destination) -> None:
    twin = factories.make_destination("meta", name="Twin")
    toggles.apply(meta, on={"FeatureUsed": True, "SignUp": False}, native_names={"Purchase": "Paid"})
    client = client_with(group="Marketer")
    page, data = reverse("routing:copy"), {"source": meta.pk, "target": twin.pk}
    version = snapshot.stored_version()
    user = User.objects.get(pk=client.session["_auth_user_id"])
    drafts.set_collecting(user, True)
    assert "Something was changed" in client.post(page, data | {"seen": version}).content.decode(), (
        "what was to be in force at once does not go into a draft unsaid"
    )
    shown = client.get(page, data)
    assert "It goes into your draft." in shown.content.decode()
    assert "Put it in the draft" in shown.content.decode()
    assert client.post(page, data | {"seen": shown.context["seen"]}).status_code == 302
    assert snapshot.stored_version() == version
    state = drafts.view_of(user).state(snapshot.current())
    ours, theirs = state.rules[meta.pk], state.rules[twin.pk]
    assert toggles.selected(ours, state.events) == toggles.selected(theirs, state.events)
    assert theirs.native_name("Purchase") == "Paid"
    assert "receives all of that already" in client.get(page, data).content.decode()
