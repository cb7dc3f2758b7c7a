"""Setting up: shapes while typing, the connection, the ids of events, and the steps to the first live event."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from destinations import changes, checking, golive, platforms
from destinations.models import Destination, EventMode, Hold, LedgerEntry
from destinations.platforms.base import IdChoice
from routing import toggles
from routing.models import DraftChange, Route, RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def steps(destination: Destination) -> dict[str, golive.Step]:
    destination.refresh_from_db()
    return {step.key: step for step in golive.steps(destination)}


def test_a_shape_is_looked_at_while_typing() -> None:
    client = client_with(group="Engineer")
    page = reverse("destinations:look_at_field", args=["meta", "pixel_id"])

    def said(value: str) -> str:
        return client.post(page, {"field_pixel_id": value}).content.decode()

    assert "Looks right" in said("1234567890123456")
    assert "does not look right" in said("pixel")
    assert "It looks like “1234567890123456”." in said("pixel")
    assert said("").strip() == "", "emptiness is said on saving"
    assert "hx-post" in client.get(reverse("destinations:create", args=["meta"])).content.decode()
    assert client.post(reverse("destinations:look_at_field", args=["meta", "nonsense"])).status_code == 404
    assert client_with(group="Viewer").post(page, {"field_pixel_id": "1"}).status_code == 403


@pytest.mark.parametrize("name", ["native_id", "id_of_SignUp"])
def test_the_shape_of_an_id_is_looked_at_while_typing(name: str) -> None:
    page = reverse("destinations:look_at_id", args=["google_ads"])
    mapper = client_with("routing.change_route")

    def said(value: str) -> str:
        return mapper.post(page, {name: value}).content.decode()

    assert "This is no Conversion action: Goals →" in said("abc")
    assert "It looks like “7012345678”." in said("abc")
    assert "Looks right." in said(" 7012345678 ")
    assert said("").strip() == ""
    assert mapper.post(reverse("destinations:look_at_id", args=["meta"]), {name: "1"}).status_code == 404
    assert client_with(group="Viewer").post(page, {name: "1"}).status_code == 403


def test_ids_are_watched_where_they_are_entered_and_show_no_example_as_value() -> None:
    google = factories.make_destination("google_ads", name="Ads")
    client, look = client_with(group="Engineer"), reverse("destinations:look_at_id", args=["google_ads"])
    for page in (
        reverse("destinations:ids", args=[google.pk]),
        reverse("routing:mapping", args=[google.pk, "SignUp"]),
    ):
        html = client.get(page).content.decode()
        assert f'hx-post="{look}"' in html
        assert 'placeholder="not set"' in html
        assert f'placeholder="{google.platform.native_id.example}"' not in html  # type: ignore[union-attr]


def test_a_setting_with_a_default_is_not_offered_unset() -> None:
    client = client_with(group="Engineer")
    assert "Not set" not in client.get(reverse("destinations:create", args=["linkedin"])).content.decode()
    older = factories.make_destination("linkedin", settings={"names": ""})
    html = client.get(reverse("destinations:edit", args=[older.pk])).content.decode()
    assert '<option value="" selected>Not set</option>' in html, "saving it changes nothing that nobody touched"


def test_the_gallery_is_by_kind_and_tells_what_is_here() -> None:
    factories.make_destination("meta")
    html = client_with(group="Engineer").get(reverse("destinations:add")).content.decode()
    for platform in platforms.every():
        address = reverse("destinations:create", args=[platform.key])
        assert (f'href="{address}"' in html) is not platform.is_builtin, platform.key
    assert html.index("Ads ") < html.index("CRM ") < html.index("Webhook ")
    assert "1 account here" in html


def test_the_way_to_the_first_live_event(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    client = client_with(group="Engineer")
    linkedin = factories.make_destination("linkedin", event_mode=EventMode.CUSTOM)
    page = reverse("destinations:edit", args=[linkedin.pk])
    Route.objects.filter(destination=linkedin).delete()
    toggles.apply(linkedin, mode="custom")
    found = steps(linkedin)
    assert {key: step.is_done for key, step in found.items() if key != "on"} == dict.fromkeys(
        ("credentials", "events", "test", "live"), False
    )
    assert found["on"].is_done
    assert "Go live" in client.get(page).content.decode()

    verdict = checking.Verdict(False, "The token has expired: make a new one.", 30)
    monkeypatch.setattr(checking, "check", lambda _: verdict)
    answer = client.post(reverse("destinations:check", args=[linkedin.pk]), headers=HTMX).content.decode()
    assert "The token has expired" in answer
    assert not steps(linkedin)["credentials"].is_done
    verdict = checking.Verdict(True, "LinkedIn answers.", 30)
    client.post(reverse("destinations:check", args=[linkedin.pk]))
    assert steps(linkedin)["credentials"].is_done

    toggles.apply(linkedin, on={"SignUp": True, "Purchase": True})
    assert steps(linkedin)["events"].sentence.startswith("2 events are on. 2 of them lack their")
    example = platforms.get("linkedin").native_id.example  # type: ignore[union-attr]
    toggles.apply(linkedin, native_ids={"SignUp": example})
    assert steps(linkedin)["events"].is_done, "one is enough to begin with"
    assert "Purchase" in steps(linkedin)["events"].sentence

    entry = RoutingChange.objects.create(
        version=1, actor="ada", action=toggles.TEST, destination_pk=linkedin.pk, note="Refused (400 in 3 ms)."
    )
    assert not steps(linkedin)["test"].is_done
    RoutingChange.objects.filter(pk=entry.pk).update(note="Taken (201 in 3 ms).")
    assert steps(linkedin)["test"].is_done

    assert "every 15s" in client.get(reverse("destinations:progress", args=[linkedin.pk])).content.decode()
    today = timezone.now().date()
    first = LedgerEntry.objects.create(day=today, destination=linkedin, event_name="SignUp", state="delivered", count=1)
    assert steps(linkedin)["live"].is_done
    over = client.get(reverse("destinations:progress", args=[linkedin.pk])).content.decode()
    assert "It is live" in over
    assert "every 15s" not in over
    html = client.get(page).content.decode()
    assert "Go live" not in html
    assert "It is live" in html
    assert f"Live since {today.isoformat()}; SignUp was among the first events." in html
    LedgerEntry.objects.filter(pk=first.pk).update(day=today - golive.SAID_FOR)
    assert 'id="golive"' not in client.get(page).content.decode(), "said for some days, not for ever"


def test_a_new_destination_is_set_up_before_it_is_on() -> None:
    client = client_with(group="Engineer")
    create = reverse("destinations:create", args=["meta"])
    config = {f"field_{name}": value for name, value in platforms.get("meta").example_config().items()}
    answer = client.post(create, {"name": "Later", "source_choice": "all", "start": "later", **config}, follow=True)
    later = Destination.objects.get(name="Later")
    assert not later.is_enabled
    html = answer.content.decode()
    assert "Later is created, and off until you switch it on." in html
    assert not steps(later)["on"].is_done
    assert ">Switch on</button>" in html
    assert RoutingChange.objects.latest("pk").sentences == [
        "Later is created for Meta in Recommended mode, switched off"
    ]
    client.post(reverse("destinations:switch", args=[later.pk]), {"on": "1"})
    assert steps(later)["on"].is_done

    client.post(create, {"name": "Now", "source_choice": "all", "start": "now", **config})
    assert Destination.objects.get(name="Now").is_enabled
    client.post(create, {"name": "Unsaid", "source_choice": "all", **config})
    assert not Destination.objects.get(name="Unsaid").is_enabled
    page = reverse("destinations:edit", args=[later.pk])
    assert 'name="start"' not in client.get(page).content.decode(), "asked once"


def test_a_held_destination_does_not_count_as_on() -> None:
    paused = factories.make_destination("meta", hold=Hold.PAUSED)
    assert not steps(paused)["on"].is_done
    html = client_with(group="Marketer").get(reverse("destinations:edit", args=[paused.pk])).content.decode()
    card = html[html.index('id="golive"') :]
    assert f'action="{reverse("destinations:resume", args=[paused.pk])}"' in card[: card.index("</section>")]


def test_the_way_is_said_to_be_over_while_a_step_was_left_out() -> None:
    meta = factories.make_destination("meta")
    today = timezone.now().date()
    LedgerEntry.objects.create(day=today, destination=meta, event_name="SignUp", state="delivered", count=1)
    assert not steps(meta)["test"].is_done
    html = client_with(group="Engineer").get(reverse("destinations:edit", args=[meta.pk])).content.decode()
    assert "It is live" in html
    assert "of 5 done" not in html
    assert "The steps, 2 left out" in html


def test_what_is_live_says_that_its_last_check_failed() -> None:
    meta = factories.make_destination("meta")
    today = timezone.now().date()
    LedgerEntry.objects.create(day=today, destination=meta, event_name="SignUp", state="delivered", count=1)
    page, client = reverse("destinations:edit", args=[meta.pk]), client_with(group="Engineer")
    said = "The last check of the connection failed:"
    assert said not in client.get(page).content.decode()
    changes.note_check(meta, False, "The token has expired.")
    html = client.get(page).content.decode()
    assert html.index("It is live") < html.index(said) < html.index("The token has expired.") < html.index("The steps")


def test_steps_that_did_not_move_are_not_swapped() -> None:
    client, meta = client_with(group="Engineer"), factories.make_destination("meta", is_enabled=False)
    card = client.get(reverse("destinations:edit", args=[meta.pk])).content.decode()
    asked = re.findall(r'hx-get="([^"]+/progress/[?]seen=\w+)"', card)[0]
    assert client.get(asked, headers=HTMX).status_code == 204
    for name in ("check", "events", "on"):
        assert f'id="golive-{name}"' in card, "the focus is found again by it"
    changes.switch(meta, True, user=None)
    assert client.get(asked, headers=HTMX).status_code == 200


def test_an_open_page_tells_what_others_changed_meanwhile() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    ada, ben = client_with(group="Engineer"), client_with(group="Engineer")
    page = ben.get(reverse("destinations:edit", args=[meta.pk])).content.decode()
    asked = re.findall(r'hx-get="([^"]+/meanwhile/[?]seen=\d+)"', page)[0]
    assert ben.get(asked, headers=HTMX).status_code == 204
    toggles.apply(meta, on={"SignUp": False})
    assert ben.get(asked, headers=HTMX).status_code == 204, "a switched event is not on this page"
    ada.post(reverse("destinations:switch", args=[meta.pk]), {"on": "0"})
    assert ada.get(asked, headers=HTMX).status_code == 204, "who did it knows"
    answer = ben.get(asked, headers=HTMX)
    html = answer.content.decode()
    assert "Pixel was changed by" in html
    assert "Pixel is switched off." in html
    assert answer["HX-Trigger"] == "trackstack:switched"
    asked = re.findall(r'hx-get="([^"]+/meanwhile/[?]seen=\d+)"', html)[0]
    assert ben.get(asked, headers=HTMX).status_code == 204, "told once, and it stays"
    assert client_with().get(asked).status_code == 403


@pytest.mark.parametrize(
    ("word", "key"),
    [("facebook", "meta"), ("instagram", "meta"), ("twitter", "x"), ("bing", "microsoft"), ("adwords", "google_ads")],
)
def test_the_gallery_knows_other_names(word: str, key: str) -> None:
    html = client_with(group="Engineer").get(reverse("destinations:add")).content.decode()
    words = re.findall(rf'href="{reverse("destinations:create", args=[key])}" data-find="([^"]*)"', html)[0]
    assert word in words


def test_new_settings_want_a_new_check() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    changes.note_check(meta, True, "It answers.")
    meta.refresh_from_db()
    config = {**meta.config, "pixel_id": "9999999999999"}
    changes.update(meta, name="Pixel", config=config, is_sandbox=True, sources=None, user=None)
    meta.refresh_from_db()
    assert meta.is_check_good is None
    stale = Destination.objects.get(pk=meta.pk)
    stale.settings = {**stale.settings, "pixel_id": "1"}
    assert changes.note_check(stale, True, "Of what was there before.").is_check_good is None


def test_ids_are_entered_for_all_events_at_once() -> None:
    linkedin = factories.make_destination("linkedin")
    client, page = client_with(group="Engineer"), reverse("destinations:ids", args=[linkedin.pk])
    html = client.get(page).content.decode()
    assert html.count('list="id-choices"') == len(linkedin.platform.recommended)
    example = linkedin.platform.native_id.example  # type: ignore[union-attr]
    version = RoutingChange.objects.count()
    answer = client.post(page, {"id_of_SignUp": "not an id", "id_of_Purchase": example})
    assert answer.status_code == 200
    assert "This is no" in answer.content.decode()
    assert RoutingChange.objects.count() == version, "all or nothing"

    kept = {f"id_of_{name}": example for name in linkedin.platform.recommended}
    answer = client.post(page, kept | {"id_of_SignUp": ""}, follow=True)
    assert answer.redirect_chain[0][0] == reverse("destinations:edit", args=[linkedin.pk]), "the next step is there"
    assert "1 entry is saved." in answer.content.decode()
    assert RoutingChange.objects.count() == version + 1, "one change, however many ids"
    assert not Route.objects.filter(destination=linkedin, event_name="SignUp").exclude(native_id="").exists()
    viewer = client_with(group="Viewer")
    assert viewer.get(page).status_code == 200
    assert viewer.post(page, kept).status_code == 403
    meta = factories.make_destination("meta")
    assert client.get(reverse("destinations:ids", args=[meta.pk])).status_code == 404


def test_ids_are_for_those_who_may_map() -> None:
    linkedin = factories.make_destination("linkedin", event_mode=EventMode.RECOMMENDED)
    page = reverse("destinations:ids", args=[linkedin.pk])
    switcher = client_with("destinations.view_destination", "routing.view_route", "routing.toggle_route")
    assert switcher.post(page, {"id_of_SignUp": "987654"}).status_code == 403
    assert "Save" not in switcher.get(page).content.decode()
    mapper = client_with("destinations.view_destination", "routing.view_route", "routing.change_route")
    assert mapper.get(page).status_code == 200
    assert mapper.post(page, {"id_of_SignUp": "987654"}).status_code == 302


def test_saving_ids_keeps_what_a_colleague_entered_meanwhile() -> None:
    linkedin = factories.make_destination("linkedin", event_mode=EventMode.RECOMMENDED)
    client, page = client_with(group="Engineer"), reverse("destinations:ids", args=[linkedin.pk])
    shown = client.get(page).context["form"]
    sent = {field.html_name: field.value() for field in shown}
    sent |= {field.html_initial_name: field.value() for field in shown}
    colleague = {"SignUp": "555555"}
    toggles.apply(linkedin, native_ids=colleague)
    other = next(name for name in linkedin.platform.recommended if name != "SignUp")
    assert client.post(page, sent | {f"id_of_{other}": "777777"}).status_code == 302
    stored = dict(Route.objects.filter(destination=linkedin).values_list("event_name", "native_id"))
    assert (stored["SignUp"], stored[other]) == ("555555", "777777")


def test_ids_go_into_the_draft_of_who_collects() -> None:
    linkedin = factories.make_destination("linkedin", event_mode=EventMode.RECOMMENDED)
    client, page = client_with(group="Engineer"), reverse("destinations:ids", args=[linkedin.pk])
    client.post(reverse("routing:collecting"), {"on": "1"})
    before = Route.objects.get(destination=linkedin, event_name="SignUp").native_id
    client.post(page, {"id_of_SignUp": "987654"})
    assert Route.objects.get(destination=linkedin, event_name="SignUp").native_id == before, "not in force yet"
    change = DraftChange.objects.get(event_name="SignUp")
    assert (change.field, change.wanted) == ("native_id", "987654")
    assert "987654" in client.get(page).content.decode(), "as in the draft"


def test_ids_are_picked_from_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    linkedin = factories.make_destination("linkedin")
    client, page = client_with(group="Engineer"), reverse("destinations:id_choices", args=[linkedin.pk])
    listing: checking.Listing | None = checking.Listing([IdChoice("104012", "Sign-up <EU>")], "")
    monkeypatch.setattr(checking, "native_ids", lambda _: listing)
    html = client.post(page).content.decode()
    assert '<option value="104012">Sign-up &lt;EU&gt;</option>' in html
    listing = checking.Listing([], "The token has expired.")
    assert "The token has expired." in client.post(page).content.decode()
    listing = None
    assert "does not list them" in client.post(page).content.decode()
    assert client_with(group="Viewer").post(page).status_code == 403


def test_the_built_in_warehouse_needs_no_setting_up() -> None:
    warehouse = Destination.objects.get(platform_key="warehouse")
    assert golive.steps(warehouse) == []
    client = client_with(group="Engineer")
    for name in ("check", "id_choices"):
        assert client.post(reverse(f"destinations:{name}", args=[warehouse.pk])).status_code == 404
