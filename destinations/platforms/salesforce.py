"""Salesforce Sales Cloud REST API: people, their Tasks, and event records.

Source: developer.salesforce.com, REST API Developer Guide ("Using sObject Collections", "Insert or Update (Upsert) a
Record Using an External ID", headers), Object Reference (Lead, Contact, Task), Platform Events Developer Guide;
help.salesforce.com, "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 Refresh Token Flow for Renewed Sessions".

The native name says what an event becomes: `Task:<subject>` (a completed Task on the person's time line),
`Lead+Task:<subject>` and `Contact+Task:<subject>` (the person is written first), or `TrackStack_Event__c:<name>` (a
record of a custom object, for what is too much for a time line). Any other custom object or platform event may stand
there too. `platformParams.salesforce` is laid over the Task or event record, its `Lead` and `Contact` over the person.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from django.utils.translation import gettext_lazy as _
from oauthlib.oauth2 import BackendApplicationClient

from destinations.platforms import _reading, base
from destinations.platforms import _salesforce_answers as answers
from destinations.platforms import _salesforce_records as records
from destinations.platforms import _salesforce_requests as requests
from destinations.platforms._names import NAMES
from destinations.platforms._salesforce_records import EVENT_OBJECT, Choice
from destinations.platforms._salesforce_requests import VERSION
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip, Token

BATCH = 200

TASKS = {
    "Task": """
        HighIntentPageView=Viewed high-intent page; DemoIntent=Clicked book demo; ChatStarted=Chat started;
        PricingInteraction=Pricing interaction; WorkspaceCreated=Workspace created; TrialActivated=Trial activated;
        FirstAction=First product action; MeetingHeld=Meeting held; CheckoutStarted=Checkout started;
        FirstSuccessfulApiCall=First successful API call; CreditsLow=Credits low; CreditsExhausted=Credits exhausted
    """,
    "Lead+Task": """
        LeadCaptured=Lead form submitted; DemoBooked=Demo booked; SignUp=Signed up; StartTrial=Trial started;
        SalesQualifiedLead=Sales qualified lead
    """,
    "Contact+Task": """
        OpportunityCreated=Opportunity created; PipelineQualified=Pipeline qualified; Purchase=Purchase;
        SubscriptionStarted=Subscription started; PlanUpgrade=Plan upgraded; SubscriptionRenew=Subscription renewed;
        ExpansionRevenue=Expansion revenue; TopUpPurchased=Top-up purchased; Refund=Refund issued;
        Chargeback=Chargeback; Churned=Subscription cancelled; Reactivated=Reactivated;
        CreditsPurchased=Credits purchased
    """,
}
EVENTS: Mapping[str, str] = {name: f"{EVENT_OBJECT}:{name}" for name in NAMES} | {
    event.strip(): f"{kind}:{subject.strip()}"
    for kind, rows in TASKS.items()
    for event, _, subject in (row.partition("=") for row in rows.split(";"))
}

_INSTANCE = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?")
# Parallel requests for one refresh token stumble over each other; the next one finds it free.
_PASSING_TOKEN_ERRORS = ("already being processed", "expired authorization code", "login rate exceeded")


class Login(base.OAuth):
    """Client credentials, or the refresh flow when a refresh token is configured; both at the org's own My Domain,
    which the first demands and the second takes. Salesforce tells no life time: a token holds until it is refused."""

    def request(self, config: Config, now: datetime) -> Request | None:
        client_id, secret = config.get("client_id", ""), config.get("client_secret", "")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        client = BackendApplicationClient(client_id)
        if refresh_token := config.get("refresh_token"):
            body = client.prepare_refresh_body(refresh_token=refresh_token, client_id=client_id, client_secret=secret)
        else:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
            body = client.prepare_request_body()
        url = config.get("instance_url", "").rstrip("/") + "/services/oauth2/token"
        return Request(method="POST", url=url, headers=headers, body=body.encode(), items=())

    def read(self, response: Response) -> Token | Outcome:
        answer = _reading.fields_of(response)
        token, instance = answer.get("access_token"), answer.get("instance_url")
        if 200 <= response.status < 300 and isinstance(token, str) and token:
            extra = {"instance_url": instance} if isinstance(instance, str) and _INSTANCE.fullmatch(instance) else {}
            renewed = answer.get("refresh_token")  # only where rotation is on
            return Token(
                access_token=token, refresh_token=renewed if isinstance(renewed, str) else "", extra=extra
            )  # fmt: skip
        code, message = answers.first_error(answer)
        is_passing = base.is_transient(response.status) or 200 <= response.status < 300
        if is_passing or any(sign in message for sign in _PASSING_TOKEN_ERRORS):
            detail = answers.told(code or str(response.status), message, "")
            return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))
        advice = "Check My Domain, consumer key and secret; client credentials need a run-as user on the app."
        return Outcome(result=Result.CONFIG, detail=answers.told(code or str(response.status), message, advice))


class Salesforce(base.Platform):
    key = "salesforce"
    label = "Salesforce"
    also_known_as = ("sfdc",)
    kind = base.Kind.CRM
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = BATCH
    docs_url = (
        "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections.html"
    )
    version = base.Version(
        default=VERSION,
        # "Retired": since Summer '25, and from Summer '28. The month is the vendor's, the day is not.
        sunsets={f"{number}.0": date(2025, 6, 1) for number in range(21, 31)}
        | {f"{number}.0": date(2028, 6, 1) for number in range(31, 41)},
        source="https://developer.salesforce.com/docs/platform/api-rest/guide/api-rest-eol.html",
    )
    oauth = Login()
    plain_identity = frozenset(
        {"email", "phone", "first_name", "last_name", "city", "state", "zip", "country", "external_id", "anonymous_id",
         "client_ip", "user_agent", "company_name", "company_domain", "account_name", "sales_owner"}
    )  # fmt: skip
    fields = (
        Field(name="instance_url", label=_("My Domain URL"), required=True, example="https://example.my.salesforce.com",
              pattern=r"https://[a-z0-9][a-z0-9-]*(--[a-z0-9]+)?(\.(sandbox|develop|scratch))?\.my\.salesforce\.com",
              help=_("Setup → My Domain → Current My Domain URL, with https://")),
        Field(name="client_id", label=_("Consumer key"), secret=True, required=True, pattern=r"3MVG[A-Za-z0-9._]{20,}",
              example="3MVG9example.consumer_key_that_opens_only_the_sandbox",
              help=_("Setup → External Client App Manager → your app → Settings → OAuth Settings")),
        Field(name="client_secret", label=_("Consumer secret"), secret=True, required=True,
              pattern=r"[A-F0-9]{32,64}|.{16,}", example="0123456789ABCDEF0123456789ABCDEF",
              help=_("Beside the consumer key. Switch the client credentials flow on and name a run-as user")),
        Field(name="refresh_token", label=_("Refresh token"), is_advanced=True, secret=True, pattern=r"\S{20,}",
              help=_("Only for an app that was authorised by a person; empty: client credentials")),
        Field(name="external_id_field", label=_("External ID field"), required=True, example="TrackStack_Id__c",
              pattern=r"[A-Za-z]\w*(__c)?",
              help=_("Object Manager → Lead and Contact → a text field of one name on both, External ID and Unique")),
        Field(name="object", label=_("People are"), required=True, example="Lead",
              choices=(("Lead", _("Leads")), ("Contact", _("Contacts"))),
              help=_("Whom Tasks belong to whose event writes no person (Task:…)")),
        Field(name="event_target", label=_("Volume events become"), required=True, example="custom_object",
              choices=(("custom_object", _("Records of TrackStack_Event__c")),
                       ("platform_event", _("Platform events TrackStack_Event__e")), ("task", _("Tasks"))),
              help=_("Both objects have Event_Id__c (of the custom object: External ID, unique), Event_Name__c, "
                     "Occurred_At__c, Email__c, Value__c, Currency__c, Payload__c (long text)")),
        Field(name="task_id_field", label=_("Task ID field"), default=records.TASK_ID, pattern=r"[A-Za-z]\w*(__c)?",
              help=_("Object Manager → Activity → a text field, External ID and Unique: an event sent twice is then "
                     "one Task. Enter none to do without")),
        Field(name="person_key", label=_("People are known by"), default="email",
              help=_("Value of the External ID field"),
              choices=(("email", _("SHA-256 of the e-mail address, else the user id")),
                       ("external_id", _("The user id, else SHA-256 of the e-mail address")))),
        Field(name="duplicates", label=_("Duplicate rules"), default="respect",
              help=_("For rules that alert; what they block stays blocked"),
              choices=(("respect", _("Refuse the person")), ("allow", _("Save them nevertheless")))),
        Field(name="assignment_rules", label=_("Lead assignment rules"), default="on",
              help=_("Salesforce applies them to every lead that is written, so an update may change its owner"),
              choices=(("on", _("Apply")), ("new", _("Apply to new leads only, with one more request")),
                       ("off", _("Never")))),
        Field(name="address_format", label=_("Countries and states"), default="text",
              choices=(("text", _("As text")), ("codes", _("As ISO codes"))),
              help=_("Codes for orgs with state and country picklists")),
        Field(name="api_version", label=_("API version"), default=VERSION, pattern=r"\d{2}\.0", help=_("Such as 66.0")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        return self.events.get(event) or f"{EVENT_OBJECT}:{event}"

    # --- Building ---------------------------------------------------------------------------------
    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        """Runs of items of one object. Items stay in order, so a run ends where the object changes, and where an id
        comes again: twice in one request, Salesforce refuses both."""
        built = Built(requests=[], skipped=[])
        choice, now_ms = Choice.of(config), int(now.timestamp() * 1000)
        run, seen = requests.Run("", config, choice), set[str]()
        for item in items:
            plan = records.plan(item.native_name or self.native_name(item.event), choice.target)
            part = requests.part(item, plan, choice, now_ms)
            if isinstance(part, Skip):
                built.skipped.append(part)
                continue
            if plan and (plan.sobject != run.sobject or len(run.items) == BATCH or item.event_id in seen):
                run.close(built.requests)
                run, seen = requests.Run(plan.sobject, config, choice), set()
            seen.add(item.event_id)
            run.add(item, *part)
        run.close(built.requests)
        return built

    # --- Asking ---------------------------------------------------------------------------------------
    def check(self, config: Config, now: datetime) -> Request | None:
        """What the API version offers, which needs a session and no more. Source: "Resources by Version"."""
        instance = config.get("oauth.instance_url") or config.get("instance_url", "").rstrip("/")
        url = f"{instance}/services/data/v{config.get('api_version') or VERSION}"
        headers = {"Authorization": f"Bearer {config.get(base.ACCESS_TOKEN, '')}"}
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and "sobjects" in _reading.fields_of(response):
            org = config.get("instance_url", "").removeprefix("https://").rstrip("/")
            return _reading.good(f"{org} answers.")
        return _reading.refused(self, response)

    # --- Reading ------------------------------------------------------------------------------------
    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """200 with a result per record, in order; anything else is about the whole request."""
        tail = request.url.rpartition("/")[2]
        key_field = tail if request.method == "PATCH" and tail != "sobjects" else ""
        rows = response.json()
        sent = requests.sent(request)
        count = len(request.items) if sent is None else len(sent)
        if not (200 <= response.status < 300 and isinstance(rows, list) and len(rows) == count):
            return [answers.of_request(response, request.items, key_field)] * len(request.items)
        if sent is None:
            return [answers.of_record(row, key_field, is_tolerant=False) for row in rows]
        found = [answers.of_record(row, key_field, is_tolerant=not key_field) for row in rows]
        return requests.shared(request.items, sent, found)
