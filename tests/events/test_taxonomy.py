"""The shipped taxonomy is the agreed one to the letter; sync and registration never undo what a team did."""

from __future__ import annotations

import hashlib

import pytest
from django.core.management import call_command

from events.models import CanonicalEvent, SeenName, Stage
from events.taxonomy import TaxonomyError, register, restore, retire, shipped, stages, sync_taxonomy
from routing import snapshot

NAMES = {
    "awareness": """
        PageView ContentView HighIntentPageView AdLandingPageView CompanyIdentified ReturningVisitor
    """,
    "interest": """
        FeatureUsed LeadCaptured DemoIntent DemoBooked ChatStarted PricingInteraction
        DocsInteraction IntegrationViewed
    """,
    "acquisition": """
        SignUp SSOLogin EmailVerified WorkspaceCreated InviteSent StartTrial TrialActivated
    """,
    "activation": """
        FirstAction ApiKeyCreated ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted
        CreditConsumed SalesQualifiedLead OpportunityCreated PipelineQualified MeetingHeld
    """,
    "revenue": """
        AddPaymentInfo CheckoutStarted Purchase SubscriptionStarted PlanUpgrade SubscriptionRenew
        ExpansionRevenue TopUpPurchased Refund Chargeback Churned Reactivated
    """,
    "product": """
        ApiDocsViewed ApiPlaygroundUsed FirstSuccessfulApiCall EndpointTested EmailFinderUsed
        EmailValidationUsed MobileFinderUsed CompanyEnriched ProfileEnriched BulkJobStarted
        BulkJobCompleted CreditsPurchased CreditsLow CreditsExhausted TeamMemberInvited
        SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked WebhookCreated
        WebhookDelivered WebhookFailed
    """,
}
# Of name|stage|position|description|routing_class, one event per line.
CHECKSUM = "603b7cad86fb3aea63f0ffc8f69d52bea99043d4e752696e3a74c4041e9be299"


def test_the_66_names_their_stages_and_their_order() -> None:
    assert [(row.stage, row.position, row.name) for row in shipped()] == [
        (stage, position, name)
        for stage, names in NAMES.items()
        for position, name in enumerate(names.split(), start=1)
    ]
    assert len(shipped()) == 66


def test_descriptions_and_classes_are_the_agreed_ones() -> None:
    lines = "\n".join(
        "|".join((row.name, row.stage, str(row.position), row.description, row.routing_class)) for row in shipped()
    )
    assert hashlib.sha256(lines.encode()).hexdigest() == CHECKSUM
    assert {row.name for row in shipped() if row.routing_class == "warehouse_only"} == {
        "Refund",
        "Chargeback",
        "Churned",
    }
    assert {row.stage for row in shipped() if row.routing_class == "product"} == {"product"}


def test_stages() -> None:
    assert [(row.key, row.label, row.position, row.purpose) for row in stages()] == [
        ("awareness", "Awareness", 1, "Traffic, content, and company identification"),
        ("interest", "Interest", 2, "Intent signals before signup"),
        ("acquisition", "Acquisition", 3, "Account and trial creation"),
        ("activation", "Activation", 4, "Product usage and sales pipeline"),
        ("revenue", "Revenue", 5, "Billing, expansion, and churn"),
        ("product", "Product", 6, "Product-specific extensions (API tools, integrations)"),
    ]


def test_every_event_says_when_to_fire_and_what_to_avoid() -> None:
    for row in shipped():
        assert 10 <= len(row.when_to_fire) <= 150, row.name
        assert 10 <= len(row.avoid) <= 150, row.name
    agreed = {row.name: (row.when_to_fire, row.avoid) for row in shipped()}
    assert agreed["Purchase"] == ("Paid conversion confirmed", "Client + server without dedup")


# --- Sync -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_migration_has_loaded_everything() -> None:
    assert list(CanonicalEvent.objects.values_list("name", flat=True)) == [row.name for row in shipped()]
    assert Stage.objects.count() == 6


@pytest.mark.django_db
def test_a_second_sync_changes_nothing() -> None:
    before = snapshot.stored_version()
    assert sync_taxonomy() == ([], [], [])
    assert snapshot.stored_version() == before


@pytest.mark.django_db
def test_sync_creates_what_is_missing_and_updates_what_is_stale() -> None:
    CanonicalEvent.objects.filter(name="SignUp").delete()
    CanonicalEvent.objects.filter(name="Purchase").update(description="old", stage_id="product")
    Stage.objects.filter(key="interest").update(label="old")
    before = snapshot.stored_version()
    result = sync_taxonomy()
    assert result == (["SignUp"], ["stage:interest", "Purchase"], [])
    purchase = CanonicalEvent.objects.get(name="Purchase")
    assert (purchase.stage_id, purchase.description) == ("revenue", "Initial paid conversion")
    assert snapshot.stored_version() == before + 1


@pytest.mark.django_db
def test_sync_keeps_what_the_team_edited() -> None:
    CanonicalEvent.objects.filter(name="Purchase").update(
        description="Ours", avoid="stale", edited_fields=["description"]
    )
    result = sync_taxonomy()
    assert (result.updated, result.kept) == (["Purchase"], ["Purchase"])
    purchase = CanonicalEvent.objects.get(name="Purchase")
    assert purchase.description == "Ours"
    assert purchase.avoid == "Client + server without dedup"
    assert sync_taxonomy() == ([], [], ["Purchase"])


@pytest.mark.django_db
def test_sync_keeps_extensions_and_retirements() -> None:
    event = register("WebinarAttended", "interest", "Seen live")
    CanonicalEvent.objects.filter(name="Churned").delete()
    CanonicalEvent.objects.create(name="Churned", stage_id="product", is_extension=True, description="Ours")
    retire(CanonicalEvent.objects.get(name="SignUp"))
    assert sync_taxonomy() == ([], [], ["Churned"])
    event.refresh_from_db()
    assert event.description == "Seen live"
    assert CanonicalEvent.objects.get(name="SignUp").retired_at is not None


@pytest.mark.django_db
def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sync_taxonomy")
    assert "66 events in 6 stages are up to date." in capsys.readouterr().out
    CanonicalEvent.objects.filter(name="SignUp").delete()
    call_command("sync_taxonomy")
    assert capsys.readouterr().out.splitlines() == ["SignUp: created", "1 created, 0 updated, 0 kept."]


# --- Extension events -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_registering_takes_the_name_off_the_list_of_unregistered_ones() -> None:
    SeenName.objects.create(
        name="WebinarAttended", count=3, first_seen_at="2026-01-01T00:00Z", last_seen_at="2026-01-01T00:00Z"
    )
    before = snapshot.stored_version()
    event = register(" WebinarAttended ", "interest")
    assert event.is_extension
    assert not SeenName.objects.exists()
    assert snapshot.stored_version() == before + 1
    assert "WebinarAttended" in snapshot.load().events


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "stage", "part"),
    [
        ("webinar attended", "interest", "PascalCase"),
        ("signup", "interest", 'Did you mean "SignUp"?'),
        ("SignUp", "interest", "registered already"),
        ("SignUp\nX", "interest", "PascalCase"),
        ("WebinarAttended", "nowhere", 'no stage "nowhere"'),
    ],
)
def test_registering_refuses(name: str, stage: str, part: str) -> None:
    before = snapshot.stored_version()
    with pytest.raises(TaxonomyError, match=None) as caught:
        register(name, stage)
    assert part in str(caught.value)
    assert snapshot.stored_version() == before


@pytest.mark.django_db
def test_retire_and_restore_are_idempotent_and_raise_the_version_once() -> None:
    event = CanonicalEvent.objects.get(name="SignUp")
    before = snapshot.stored_version()
    assert retire(event)
    assert event.retired_at is not None
    assert not retire(event)
    assert "SignUp" in snapshot.load().retired
    with pytest.raises(TaxonomyError) as caught:
        register("SignUp", "interest")
    assert "restore it instead" in str(caught.value)
    assert restore(event)
    assert not restore(event)
    assert snapshot.stored_version() == before + 2
