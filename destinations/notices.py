"""Sending notices: e-mail, Slack-compatible hooks, signed webhooks. Claimed one by one, tried for some hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.utils import timezone

from destinations import http, masking
from destinations.alert_models import AlertChannel, AlertNotice, ChannelKind, NoticeState
from destinations.platforms.base import Request, Response
from destinations.signing import keys_of, signature

LEASE_SECONDS = 60
MOST_TRIES = 10
MOST_A_RUN = 50

CLAIM_SQL = """
UPDATE destinations_alertnotice SET due_at = statement_timestamp() + make_interval(secs => %s), tries = tries + 1
WHERE id = (
    SELECT id FROM destinations_alertnotice WHERE state = 'waiting' AND due_at <= statement_timestamp()
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id
"""


def send_due() -> int:
    """Send what is due; returns how many were tried. Any number of processes may: a notice is claimed by one."""
    for count in range(MOST_A_RUN):
        with connection.cursor() as cursor:
            cursor.execute(CLAIM_SQL, [LEASE_SECONDS])
            row = cursor.fetchone()
        if row is None:
            return count
        notice = AlertNotice.objects.select_related("channel").filter(pk=row[0]).first()
        if notice is None:  # its channel was removed meanwhile
            continue
        if notice.channel.is_enabled:
            send(notice)
        else:
            said = "The channel was switched off."
            AlertNotice.objects.filter(pk=notice.pk).update(state=NoticeState.FAILED, detail=said)
    return MOST_A_RUN


def send(notice: AlertNotice) -> bool:
    """Send one now and note what came of it."""
    problem = _send(notice)
    notice.detail = problem[:300]
    if not problem:
        notice.state, notice.sent_at = NoticeState.SENT, timezone.now()
    elif notice.tries >= MOST_TRIES:
        notice.state = NoticeState.FAILED
    else:
        notice.due_at = timezone.now() + timedelta(seconds=15 * 2**notice.tries)
    notice.save(update_fields=["state", "sent_at", "detail", "due_at"])
    return not problem


def _send(notice: AlertNotice) -> str:
    """Empty, or why it could not be sent, without the channel's secrets."""
    channel = notice.channel
    if channel.kind == ChannelKind.EMAIL:
        return _mail(channel, notice)
    request = slack(channel, notice) if channel.kind == ChannelKind.SLACK else webhook(channel, notice)
    answer, _ = http.send(request)
    if isinstance(answer, Response):
        if 200 <= answer.status < 300:
            return ""
        said = masking.masked(answer.body, channel.values.values(), cap=120)
        return f"The hook answered {answer.status}: {said}"
    return masking.without_secrets(answer.sentence, channel.values.values())


def _mail(channel: AlertChannel, notice: AlertNotice) -> str:
    addresses = [one.strip() for one in channel.values.get("to", "").split(",") if one.strip()]
    try:
        send_mail(notice.subject, notice.text, settings.DEFAULT_FROM_EMAIL, addresses)
    except Exception as error:  # noqa: BLE001  (each mail server has its own)
        return f"The mail server did not take it ({type(error).__name__})."
    return ""


def slack(channel: AlertChannel, notice: AlertNotice) -> Request:
    """Source: docs.slack.dev, "Sending messages using incoming webhooks"; Mattermost and others take the same.

    What a platform said must not call the whole channel or make links: "Formatting message text", Escaping.
    """
    text = notice.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _post(channel.values.get("url", ""), {"text": text}, {})


def webhook(channel: AlertChannel, notice: AlertNotice) -> Request:
    """Source: Standard Webhooks specification 1.0.0. The id is the same on each try."""
    now = datetime.now(UTC)
    body = {
        "type": "alert" if notice.incident_id else "alert.test",
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "data": {"subject": notice.subject, "text": notice.text, "incident": notice.incident_id},
    }
    message_id, at = f"alert-{notice.pk}", str(int(now.timestamp()))
    encoded = msgspec.json.encode(body)
    signed = f"{message_id}.{at}.".encode() + encoded
    signatures = " ".join(signature(key, signed) for key in keys_of(channel.values.get("secret", "")))
    headers = {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": signatures}
    return _post(channel.values.get("url", ""), encoded, headers)


def _post(url: str, body: Any, headers: dict[str, str]) -> Request:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Request(
        method="POST", url=url, headers={"Content-Type": "application/json"} | headers, body=encoded, items=()
    )
