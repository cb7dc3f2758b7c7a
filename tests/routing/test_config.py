"""The routing as JSON: out and in again, said before it is made, opened by tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from destinations.models import Destination
from routing import config, snapshot, toggles
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
    config.plan(config.copied(state.rules[meta.pk], state.rules[twin.pk], state), state)


@pytest.mark.parametrize(
    ("part", "value"),
    [("native_names", "n" * 101), ("native_names", "a\x00b"), ("native_ids", "1" * 201)],
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
    state = snapshot.current()
    assert toggles.selected(state.rules[twin.pk], state.events) == toggles.selected(state.rules[meta.pk], state.events)
    assert "receives all of that already" in client.get(page, {"source": meta.pk, "target": twin.pk}).content.decode()
    assert "Choose another destination" in client.get(page, {"source": meta.pk, "target": meta.pk}).content.decode()
    assert client_with(group="Viewer").get(page).status_code == 403
