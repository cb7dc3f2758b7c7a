"""Google Analytics 4's Measurement Protocol: `POST /mp/collect`, and the validation server `POST /debug/mp/collect`.

Sources: developers.google.com/analytics/devguides/collection/protocol/ga4/{reference,validating-events},
…/collection/ga4/uid-data, and the validator of github.com/googleanalytics/ga-dev-tools.

As the vendor's, `collect` answers 204 to whatever it gets, also with a wrong secret. What was wrong is to be seen by
what is not under `/_accepted`, and in the messages of the validation server, which takes nothing.

Conventions of this double: a secret that contains `expired`, `revoked` or `forbidden` is a wrong one, and so is a
measurement id that begins with G-404; the validation server says so. Only purchases are recognised when they come
again, by their transaction id.
"""

from __future__ import annotations

import re
import time
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

PATHS = ("/mp/collect", "/debug/mp/collect")
MOST_BYTES = 130_000
MOST_EVENTS = 25
MOST_PARAMS = 25
MOST_ITEMS = 200
HOURS = 72
SKEW = 60
LONGEST = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
PREFIXES = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED = frozenset(
    """
    ad_activeview ad_click ad_exposure ad_impression ad_query adunit_exposure app_clear_data app_install app_update
    app_remove error first_open first_visit in_app_purchase notification_dismiss notification_foreground
    notification_open notification_receive os_update screen_view session_start user_engagement
    """.split()  # noqa: SIM905
)
RESERVED_PROPERTIES = ("first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id",
                       "first_open_after_install")  # fmt: skip
CURRENCY = checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code")


def fine(value: Any) -> str | None:
    return None


ROOT: dict[str, Check] = {
    "client_id": checks.plain,
    "app_instance_id": checks.matching(r"[0-9A-Fa-f]{32}", "32 hexadecimal digits"),
    "user_id": lambda value: checks.short_text(256)(value) or checks.plain(value),
    "timestamp_micros": fine,
    "user_properties": fine,
    "user_data": fine,
    "consent": fine,
    "user_location": checks.not_empty,
    "ip_override": checks.ip_address(4, 6),
    "device": checks.not_empty,
    "user_agent": checks.text,
    "validation_behavior": checks.one_of("RELAXED", "ENFORCE_RECOMMENDATIONS"),
    "non_personalized_ads": checks.boolean,
    "events": fine,
}
EVENT: dict[str, Check] = {"name": checks.text, "params": fine, "timestamp_micros": fine}
CONSENT: dict[str, Check] = dict.fromkeys(("ad_user_data", "ad_personalization"), checks.one_of("GRANTED", "DENIED"))
USER_DATA: dict[str, Check] = {
    **dict.fromkeys(("sha256_email_address", "sha256_phone_number"), checks.one_or_list(checks.sha256)),
    "address": lambda value: None if isinstance(value, list | dict) and value else "must be a list of addresses",
}
LOWER = checks.matching(r"[^\d.,;!?@#]+", "without digits and symbols")
ADDRESS: dict[str, Check] = {
    **dict.fromkeys(("sha256_first_name", "sha256_last_name", "sha256_street"), checks.sha256),
    **dict.fromkeys(
        ("city", "region"), lambda value: LOWER(value) or (None if value == value.lower() else "must be in lower case")
    ),
    "postal_code": checks.plain,
    "country": checks.matching(r"[A-Z]{2}", "an ISO 3166 country code of two capitals"),
}
ITEM_TEXTS = """
    item_id item_name affiliation coupon item_brand item_category item_category2 item_category3 item_category4
    item_category5 item_list_id item_list_name item_variant location_id creative_name creative_slot promotion_id
    promotion_name
""".split()  # noqa: SIM905


def number(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number else "must be a number"


ITEM: dict[str, Check] = {
    **dict.fromkeys(ITEM_TEXTS, checks.short_text(100)),
    **dict.fromkeys(("discount", "index", "price"), number),
    "currency": CURRENCY,
    "quantity": checks.integer,
}
CODES = {"missing": "VALUE_REQUIRED", "invalid": "VALUE_INVALID", "unknown": "NAME_INVALID"}


class Ga4(Vendor):
    dedup_seconds: ClassVar[float] = float("inf")

    def answer(self, request: Request, now: float) -> Answer:
        if request.path not in PATHS:
            raise Refused(Answer(404, b"<!DOCTYPE html><title>Error 404 (Not Found)</title>"))
        if request.method != "POST":
            raise Refused(Answer(405, b"<!DOCTYPE html><title>Error 405 (Method Not Allowed)</title>"))
        if len(request.body) >= MOST_BYTES:
            raise Refused(Answer(413, b"<!DOCTYPE html><title>Error 413 (Request Entity Too Large)</title>"))
        if request.path == "/mp/collect":
            return Answer(204)
        messages = [
            {
                "fieldPath": re.sub(r"/(\d+)", r"[\1]", fault.path).strip("/").replace("/", "."),
                "description": fault.text,
                "validationCode": CODES.get(fault.kind, fault.kind),
            }
            for fault in faults_of(request, now)
        ]
        return Answer.of(200, {"validationMessages": messages})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Stream and transaction id of the purchases; () for other events, and where nothing was taken."""
        if request.path != "/mp/collect" or faults_of(request, time.time()):
            return []
        stream = request.parameters.get("measurement_id") or request.parameters.get("firebase_app_id", "")
        purchases = [one for one in read_json(request.body)["events"] if one["name"] == "purchase"]
        return [(stream, one["params"]["transaction_id"]) for one in purchases if "transaction_id" in one["params"]]

    def error(self, status: int) -> Answer:
        return Answer(status, f"<!DOCTYPE html><title>Error {status}</title>".encode(), {"Content-Type": "text/html"})


def faults_of(request: Request, now: float) -> list[Fault]:
    """Everything that would keep an event out of the reports."""
    faults = _look_at_stream(request)
    try:
        root = read_json(request.body)
    except NotJson as error:
        return [*faults, Fault("/", f"The body is not JSON: {error}")]
    faults += checks.look_over(root, ROOT, ["events"])
    if not isinstance(root, dict) or any(fault.path in ("/", "/events") for fault in faults):
        return faults
    is_app = "firebase_app_id" in request.parameters
    wanted, other = ("app_instance_id", "client_id") if is_app else ("client_id", "app_instance_id")
    if wanted not in root:
        faults.append(Fault(f"/{wanted}", f"{wanted} is required", "missing"))
    if other in root:
        faults.append(Fault(f"/{other}", f"{other} does not go with this kind of stream"))
    faults += _look_at_time(root, "", now)
    if "consent" in root:
        faults += checks.look_over(root["consent"], CONSENT, path="/consent")
    if "user_data" in root:
        faults += _look_at_user(root["user_data"])
    faults += _look_at_properties(root.get("user_properties", {}))
    events = root["events"]
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        return [*faults, Fault("/events", f"must have 1 to {MOST_EVENTS} events", "EXCEEDED_MAX_ENTITIES")]
    return faults + [fault for i, one in enumerate(events) for fault in _look_at_event(one, f"/events/{i}", now)]


def _look_at_stream(request: Request) -> list[Fault]:
    given = request.parameters
    secret, web, app = (given.get(name, "") for name in ("api_secret", "measurement_id", "firebase_app_id"))
    faults = []
    if not re.fullmatch(r"[A-Za-z0-9_-]{10,64}", secret) or re.search("expired|revoked|forbidden", secret):
        faults.append(Fault("/api_secret", "The API secret is not that of the stream."))
    if bool(web) == bool(app):
        faults.append(Fault("/measurement_id", "One of measurement_id and firebase_app_id is required", "missing"))
    if web and (not re.fullmatch(r"G-[A-Z0-9]{4,14}", web) or web.startswith("G-404")):
        faults.append(Fault("/measurement_id", "There is no such stream."))
    # As they are: an encoded colon is not understood.
    if app and f"firebase_app_id={app}" not in request.query:
        faults.append(Fault("/firebase_app_id", "There is no such stream."))
    if surplus := given.keys() - {"api_secret", "measurement_id", "firebase_app_id"}:
        faults.append(Fault("/", f"Unknown parameter {min(surplus)}", "unknown"))
    return faults


def _look_at_time(one: dict[str, Any], path: str, now: float) -> list[Fault]:
    if "timestamp_micros" not in one:
        return []
    value, where = one["timestamp_micros"], f"{path}/timestamp_micros"
    if fault := checks.integer(value):
        return [Fault(where, fault)]
    if not now - HOURS * 3600 - SKEW <= value / 1e6 <= now + SKEW:
        return [Fault(where, "must be in microseconds, of the last 72 hours", "VALUE_OUT_OF_BOUNDS")]
    return []


def _look_at_user(user: Any) -> list[Fault]:
    faults = checks.look_over(user, USER_DATA, path="/user_data")
    if faults:
        return faults
    addresses = user.get("address", [])
    for number_, one in enumerate(addresses if isinstance(addresses, list) else [addresses]):
        faults += checks.look_over(one, ADDRESS, path=f"/user_data/address/{number_}")
    return faults


def _look_at_properties(properties: Any) -> list[Fault]:
    if not isinstance(properties, dict) or len(properties) > MOST_PARAMS:
        return [Fault("/user_properties", f"must be an object of at most {MOST_PARAMS}", "EXCEEDED_MAX_ENTITIES")]
    faults = []
    for name, given in properties.items():
        path = f"/user_properties/{name}"
        faults += _look_at_name(name, 24, path, RESERVED_PROPERTIES)
        if not isinstance(given, dict) or given.keys() - {"value", "timestamp_micros"} or "value" not in given:
            faults.append(Fault(path, "must be an object with a value"))
        elif not isinstance(given["value"], str | int | float) or len(str(given["value"])) > 36:
            faults.append(Fault(f"{path}/value", "must be plain and of at most 36 characters"))
    return faults


def _look_at_name(name: str, longest: int, path: str, reserved: Any = ()) -> list[Fault]:
    if name in reserved or name.startswith(PREFIXES):
        return [Fault(path, f"{name} is reserved", "NAME_RESERVED")]
    if len(name) > longest or not NAME.fullmatch(name):
        return [Fault(path, f"{name} must be of at most {longest} letters, digits and _", "NAME_INVALID")]
    return []


def _look_at_event(one: Any, path: str, now: float) -> list[Fault]:
    faults = checks.look_over(one, EVENT, ["name"], path=path)
    if faults:
        return faults
    faults += _look_at_name(one["name"], 40, f"{path}/name", RESERVED) + _look_at_time(one, path, now)
    params = one.get("params", {})
    path += "/params"
    if not isinstance(params, dict):
        return [*faults, Fault(path, "must be an object")]
    if len(params) > MOST_PARAMS:
        faults.append(Fault(path, f"must not have more than {MOST_PARAMS}", "EXCEEDED_MAX_ENTITIES"))
    for name, value in params.items():
        faults += _look_at_name(name, 40, f"{path}/{name}")
        if name != "items" and (fault := _value_fault(name, value)):
            faults.append(Fault(f"{path}/{name}", fault))
    if ("value" in params) != ("currency" in params):
        faults.append(Fault(f"{path}/currency", "value and currency go together", "missing"))
    for name, check in (("currency", CURRENCY), ("value", number), ("engagement_time_msec", checks.integer)):
        if name in params and (fault := check(params[name])):
            faults.append(Fault(f"{path}/{name}", fault))
    if one["name"] in ("purchase", "refund") and "transaction_id" not in params:
        faults.append(Fault(f"{path}/transaction_id", "is required", "missing"))
    return faults + _look_at_items(params.get("items", []), f"{path}/items")


def _value_fault(name: str, value: Any) -> str | None:
    if not isinstance(value, str | int | float):
        return "must be a plain value"
    if isinstance(value, str):
        longest = LONGEST.get(name, 100)
        if len(value) > longest:
            return f"must not be longer than {longest} characters"
        if checks.EMAIL.search(value):
            return "must not name a person"
    return None


def _look_at_items(items: Any, path: str) -> list[Fault]:
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        return [Fault(path, f"must be a list of at most {MOST_ITEMS}", "EXCEEDED_MAX_ENTITIES")]
    faults = []
    for number_, one in enumerate(items):
        where = f"{path}/{number_}"
        wrong = checks.look_over(one, ITEM, path=where, free=checks.not_empty)
        if not wrong and not {"item_id", "item_name"} & one.keys():
            wrong = [Fault(where, "needs item_id or item_name", "missing")]
        faults += wrong
    return faults
