"""The table that the warehouse doubles have: TrackStack's columns, written down by hand, and checks of their values."""

from __future__ import annotations

import json
import re
from typing import Any

from destinations.sandbox.base import NotJson, read_json

TEXT = re.findall(
    r"\w+",
    """
    email phone first_name last_name city state zip country external_id anonymous_id currency transaction_id
    order_id plan previous_plan subscription_id refund_id lead_id company_id company_name company_domain
    account_name crm_id opportunity_id opportunity_stage pipeline_stage sales_owner page_url page_title referrer
    content_type content_id content_name content_category feature demo_type action_type payment_method
    lead_event_source client_ip user_agent
    """,
)
JSON_TEXT = ("content_ids", "click_ids", "consent", "properties")
REQUIRED = ("event_id", "event", "occurred_at")
COLUMNS = {*REQUIRED, *TEXT, *JSON_TEXT, "value", "num_items"}

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
SPACED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?")


def lines_of(body: bytes) -> list[Any]:
    """The values of NDJSON, one a line. Raises NotJson."""
    found = [read_json(line) for line in body.split(b"\n") if line.strip()]
    if not found:
        raise NotJson("there is no row")
    return found


def wrong_value(name: str, value: Any, times: re.Pattern[str]) -> str | None:
    """What is wrong with the value of a column, or None. A null is none but in the three columns every row needs."""
    if value is None:
        return f"{name} must not be null" if name in REQUIRED else None
    if name == "value":
        is_right = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_right else "value must be a number"
    if name == "num_items":
        is_right = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        return None if is_right else "num_items must be an integer"
    if not isinstance(value, str):
        return f"{name} must be a string"
    if name == "occurred_at":
        return None if times.fullmatch(value) else f"occurred_at is no time: {value!r}"
    if name in JSON_TEXT:
        try:
            json.loads(value)
        except ValueError:
            return f"{name} is no JSON"
    return None


def wrong_row(row: dict[str, Any], times: re.Pattern[str]) -> str | None:
    """The first fault among the columns the table has, or None."""
    for name in REQUIRED:
        if name not in row:
            return f"{name} is missing"
    return next((fault for name in row if name in COLUMNS and (fault := wrong_value(name, row[name], times))), None)
