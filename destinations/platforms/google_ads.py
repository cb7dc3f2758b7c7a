"""Google Ads conversions, by the Data Manager API or, for accounts that may still use it, the Google Ads API.

Sources: developers.google.com/data-manager/api/devguides/events/send-events, …/concepts/formatting, …/limits and
google/ads/datamanager/v1/event.proto; developers.google.com/google-ads/api/docs/conversions/upload-offline and
google/ads/googleads/v25/services/conversion_upload_service.proto (2026-09).

Google knows no event names here: an event is the conversion action it is sent to, so every event that is on needs an
action's id. The event map says which category to give that action when it is made.

Since 2026-06-15 the Google Ads API takes uploads only from who used them before ("Data Manager API: the path forward
for conversions", Ads Developer Blog, 2026-05-15), so the Data Manager API is the default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _google_ads_answers as answers
from destinations.platforms import _google_ads_asking as asking
from destinations.platforms import _reading, base
from destinations.platforms._bigquery_example import SERVICE_ACCOUNT
from destinations.platforms._google_ads_auth import GoogleAuth
from destinations.platforms._google_ads_events import (
    EVENTS,
    GOOGLE_ADS,
    MAX_AGE,
    Settings,
    conversion,
    digits,
    event,
    settings_of,
)
from destinations.platforms._google_auth import problem_of_account
from destinations.platforms._names import words
from destinations.platforms.base import (
    ACCESS_TOKEN,
    TEST,
    Built,
    Config,
    Field,
    IdChoice,
    Item,
    NativeId,
    Outcome,
    Request,
    Response,
    Skip,
)

DATA_MANAGER = "data_manager"
INGEST = "https://datamanager.googleapis.com/v1/events:ingest"
UPLOAD = "https://googleads.googleapis.com"
VERSION = "v25"
MOST_DESTINATIONS = 10
MOST_BYTES = 8 * 1024 * 1024  # ours: the vendor documents none

OAUTH_FIELDS = words("oauth_client_id oauth_client_secret refresh_token")
_CHOICES = (("unspecified", _("Not said")), ("granted", _("Granted")), ("denied", _("Denied")))
_ID = r"\d{3}-?\d{3}-?\d{4}"
_encode = msgspec.json.Encoder().encode


class GoogleAds(base.Platform):
    key = "google_ads"
    label = "Google Ads"
    also_known_as = ("adwords", "gads")
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True  # any event can have a conversion action of its own
    recommended = frozenset(words("""
        LeadCaptured DemoBooked SignUp StartTrial FirstAction Purchase PlanUpgrade SubscriptionRenew
    """))  # fmt: skip
    batch_limit = 2000
    max_age = MAX_AGE
    requests_per_minute = 300  # of a Google Cloud project: Data Manager API, "Limits and quotas"
    native_id = NativeId(
        label=_("Conversion action"),
        pattern=r"(customers/\d{10}/conversionActions/)?\d{5,20}",
        help=_("Goals → Conversions → the action → ctId= in the page's address; its source must be Import from clicks"),
        example="7012345678",
    )
    docs_url = "https://developers.google.com/data-manager/api/devguides/events/send-events"
    version = base.Version(
        default=VERSION,
        sunsets={"v20": date(2026, 6, 10), "v21": date(2026, 8, 5), "v22": date(2026, 10, 7)},
        source="https://developers.google.com/google-ads/api/docs/sunset-dates",
    )
    test_mode = base.TestMode(how=_("Google checks the event, answers, and records nothing."))
    plain_identity = frozenset(words("zip country"))  # AddressInfo: "region_code", "postal_code" are not hashed
    oauth = GoogleAuth()
    fields = (
        Field(name="api", label=_("API"), default=DATA_MANAGER,
              choices=((DATA_MANAGER, _("Data Manager API")),
                       (GOOGLE_ADS, _("Google Ads API, for accounts that uploaded before June 2026"))),
              help=_("Google takes conversions from new accounts by the Data Manager API only")),
        Field(name="customer_id", label=_("Google Ads customer ID"), required=True, pattern=_ID, example="123-456-7890",
              help=_("Google Ads, top right; of the account that owns the conversion actions")),
        Field(name="login_customer_id", label=_("Manager ID"), pattern=_ID, example="111-222-3333",
              help=_("Of the manager account, when you have access through one")),
        Field(name="oauth_client_id", label=_("OAuth client ID"), way=_("An OAuth client"),
              pattern=r"\d+-[a-z0-9]+\.apps\.googleusercontent\.com",
              example="123456789012-anexampleclient.apps.googleusercontent.com",
              help=_("Google Cloud console → APIs & Services → Credentials → OAuth 2.0 client IDs")),
        Field(name="oauth_client_secret", label=_("OAuth client secret"), way=_("An OAuth client"),
              secret=True, pattern=r"\S{16,128}",
              example="GOCSPX-an-example-client-secret", help=_("Beside the client ID")),
        Field(name="refresh_token", label=_("Refresh token"), way=_("An OAuth client"), secret=True,
              pattern=r"1//\S{20,512}", example="1//an-example-token-that-opens-only-the-sandbox",
              help=_("Made with this client and the scope …/auth/datamanager (Google Ads API: …/auth/adwords, "
                     "which lists the conversion actions too)")),
        Field(name="service_account_json", label=_("Service account key"), way=_("A service account"),
              secret=True, multiline=True,
              pattern=r"\s*\{[\s\S]+\}\s*", example=SERVICE_ACCOUNT,
              help=_("Instead of the three above, the whole JSON file: IAM → Service accounts → Keys → Add key; "
                     "add its address as a user of the Google Ads account")),
        Field(name="developer_token", label=_("Developer token"), is_advanced=True,
              secret=True, pattern=r"[A-Za-z0-9_-]{22}",
              help=_("Google Ads API only, and no longer needed since September 2026: "
                     "API Center of the manager account")),
        Field(name="api_version", label=_("Google Ads API version"), pattern=r"v\d{2}", default=VERSION,
              help=_("Such as v25; the Data Manager API is v1")),
        Field(name="ad_user_data_default", label=_("Consent to ad user data"), default="unspecified", choices=_CHOICES,
              help=_("For events that say nothing of marketing consent")),
        Field(name="ad_personalization_default", label=_("Consent to ad personalization"), default="unspecified",
              choices=_CHOICES, help=_("For events that say nothing of marketing consent; Data Manager API only")),
        Field(name="default_event_source", label=_("Event source"), default="WEB",
              choices=(("WEB", _("Web")), ("APP", _("App")), ("IN_STORE", _("In store")), ("PHONE", _("Phone")),
                       ("OTHER", _("Other"))),
              help=_("Of events that came without a page; Data Manager API only")),
        Field(name="ip_addresses", label=_("IP addresses"), default="known",
              choices=(("known", _("When the country is known and allows it")),
                       ("unknown", _("Also without a country")), ("never", _("Never"))),
              help=_("Google wants none of people in the EEA, the UK and Switzerland; Data Manager API only")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        account = config.get("service_account_json", "")
        if account:
            if "service_account_json" not in found and (sentence := problem_of_account(account)):
                found["service_account_json"] = sentence
        elif config.get("customer_id"):
            missing = [field for field in self.fields if field.name in OAUTH_FIELDS and not config.get(field.name)]
            said = gettext("%(field)s is required, unless there is a service account key.")
            found |= {one.name: said % {"field": one.label} for one in missing}
        return found

    def sunset(self, config: Config) -> date | None:
        return super().sunset(config) if config.get("api") == GOOGLE_ADS else None

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = settings_of(config, now)
        make = conversion if settings.uses_upload else event
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            made = make(item, settings)
            if isinstance(made, Skip):
                skipped.append(made)
            else:
                parts.append((item, _encode(made)))
        headers = {"Authorization": f"Bearer {config.get(ACCESS_TOKEN, '')}", "Content-Type": "application/json"}
        send = _uploads if settings.uses_upload else _ingests
        return Built(skipped=skipped, requests=list(send(parts, config, settings, headers)))

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        return answers.parse(request, response)

    def check(self, config: Config, now: datetime) -> Request | None:
        return asking.account(config, VERSION)

    def read_check(self, response: Response, config: Config) -> Outcome:
        return asking.read(self, response, config)

    def list_ids(self, config: Config, now: datetime, page: str = "") -> Request | None:
        """By the Google Ads API, whichever events are sent with: its scope is needed as well (see `help`)."""
        return asking.search(config, VERSION, asking.ACTIONS, page)

    def read_ids(self, response: Response, config: Config) -> list[IdChoice]:
        return asking.choices(response)

    def next_page(self, response: Response) -> str:
        return _reading.text(_reading.fields_of(response).get("nextPageToken"), 4096)


# --- Requests -------------------------------------------------------------------------------------
def _ingests(
    parts: list[tuple[Item, bytes]], config: Config, settings: Settings, headers: dict[str, str]
) -> Iterator[Request]:
    """events:ingest. One destination needs no reference; of several, each event names its own."""
    account = {"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": settings.customer_id}}
    if login := digits(config.get("login_customer_id", "")):
        account["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": login}
    end = b'],"encoding":"HEX","validateOnly":true}' if config.get(TEST) else b'],"encoding":"HEX"}'
    for run in _runs(parts):
        actions = list(dict.fromkeys(_action_id(item) for item, _ in run))
        if len(actions) == 1:
            destinations: list[dict[str, Any]] = [account | {"productDestinationId": actions[0]}]
            events = [part for _, part in run]
        else:
            destinations = [{"reference": one} | account | {"productDestinationId": one} for one in actions]
            events = [b'{"destinationReferences":[%b],%b' % (_encode(_action_id(item)), part[1:])
                      for item, part in run]  # fmt: skip
        body = b'{"destinations":%b,"events":[%b' % (_encode(destinations), b",".join(events))
        yield Request(method="POST", url=INGEST, headers=headers, body=body + end,
                      items=tuple(item for item, _ in run))  # fmt: skip


def _runs(parts: list[tuple[Item, bytes]]) -> Iterator[list[tuple[Item, bytes]]]:
    """Runs for one request each: of at most 2000 events and ten conversion actions."""
    for run in base.chunks(parts, GoogleAds.batch_limit, MOST_BYTES):
        start, seen = 0, set[str]()
        for index, (item, _part) in enumerate(run):
            if len(seen) == MOST_DESTINATIONS and _action_id(item) not in seen:
                yield run[start:index]
                start, seen = index, set()
            seen.add(_action_id(item))
        yield run[start:]


def _uploads(
    parts: list[tuple[Item, bytes]], config: Config, settings: Settings, headers: dict[str, str]
) -> list[Request]:
    """uploadClickConversions. Without `partialFailure` one bad row would refuse the others, so it is mandatory."""
    if login := digits(config.get("login_customer_id", "")):
        headers["login-customer-id"] = login
    if config.get("developer_token"):
        headers["developer-token"] = config["developer_token"]
    url = f"{UPLOAD}/{config.get('api_version') or VERSION}/customers/{settings.customer_id}:uploadClickConversions"
    end = b'],"partialFailure":true,"validateOnly":true}' if config.get(TEST) else b'],"partialFailure":true}'
    runs = base.chunks(parts, GoogleAds.batch_limit, MOST_BYTES)
    return base.posts(runs, url, headers, b'{"conversions":[', end)


def _action_id(item: Item) -> str:
    return item.native_id.rpartition("/")[2]
