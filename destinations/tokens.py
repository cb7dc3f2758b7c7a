"""Access tokens of destinations: fetched ahead of their end, once for all workers, kept encrypted.

Who needs a token asks `ready`. One worker fetches (a lease in the table, no transaction open while the request is under
way); the others go on with the old token as long as it holds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from django.db import connection, transaction

from destinations import outgoing
from destinations.models import AccessToken, Destination
from destinations.platforms.base import ACCESS_TOKEN, Outcome, Response, Result, Token

AHEAD = timedelta(minutes=5)
"""A token is renewed this long before its end, or in the last tenth of a short life."""
FETCH_LEASE = timedelta(seconds=45)
YOUNG = timedelta(seconds=60)
"""A token that is refused this soon after it was fetched is not refused for its age."""


class NotReady(msgspec.Struct, frozen=True):
    """No token just now: `outcome` is what that means for the deliveries."""

    outcome: Outcome


def ready(destination: Destination, *, timeout: float | None = None) -> dict[str, str] | NotReady:
    """What `build` finds in its configuration beside the fields; empty for a platform or account without OAuth.

    timeout: seconds that a person waits for it; None: as long as a delivery does.
    """
    oauth = destination.platform.oauth
    now = datetime.now(UTC)
    if oauth is None or oauth.request(destination.config, now) is None:
        return {}
    held = AccessToken.objects.filter(pk=destination.pk).first()
    if held is not None and held.values and (held.renew_at is None or held.renew_at > now):
        return held.values
    if not _lease(destination.pk):
        # Somebody is fetching. An old token may still do; without one the rows wait a moment.
        if held is not None and held.values and (held.expires_at is None or held.expires_at > now):
            return held.values
        return NotReady(Outcome(result=Result.RETRY, detail="A new access token is being fetched.", after=2.0))
    return _fetch(destination, now, timeout)


def _lease(destination_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO destinations_accesstoken AS held (destination_id, values, fetching_until)"
            " VALUES (%s, '', statement_timestamp() + %s) ON CONFLICT (destination_id) DO UPDATE"
            " SET fetching_until = excluded.fetching_until"
            " WHERE held.fetching_until IS NULL OR held.fetching_until < statement_timestamp() RETURNING 1",
            [destination_id, FETCH_LEASE],
        )
        return cursor.fetchone() is not None


def _fetch(destination: Destination, now: datetime, timeout: float | None) -> dict[str, str] | NotReady:
    destination.refresh_from_db()  # the refresh token may have been rotated since
    oauth = destination.platform.oauth
    request = oauth.request(destination.config, now) if oauth else None
    if oauth is None or request is None:
        return {}
    answer, _ = outgoing.send(destination, request, timeout=timeout)
    if not isinstance(answer, Response):
        token: Token | Outcome = Outcome(result=Result.RETRY, detail=f"No access token: {answer.sentence}")
    else:
        try:
            token = oauth.read(answer)
        except Exception as error:  # noqa: BLE001  (an answer nobody foresaw is no reason to lose rows)
            token = Outcome(result=Result.RETRY, detail=f"The token answer could not be read ({type(error).__name__}).")
    if isinstance(token, Outcome):
        AccessToken.objects.filter(pk=destination.pk).update(fetching_until=None)
        return NotReady(token)
    return _keep(destination, token, now)


def _keep(destination: Destination, token: Token, now: datetime) -> dict[str, str]:
    values = {ACCESS_TOKEN: token.access_token} | {f"oauth.{name}": value for name, value in token.extra.items()}
    expires_at = renew_at = None
    if token.expires_in:
        expires_at = now + timedelta(seconds=token.expires_in)
        renew_at = expires_at - min(AHEAD, timedelta(seconds=token.expires_in / 10))
    with transaction.atomic():
        if token.refresh_token:
            row = Destination.objects.select_for_update().get(pk=destination.pk)
            if row.secrets.get("refresh_token") not in ("", None, token.refresh_token):
                row.secrets = {**row.secrets, "refresh_token": token.refresh_token}
                row.save(update_fields=["secrets"])
        AccessToken.objects.update_or_create(
            destination_id=destination.pk,
            defaults={
                "values": values, "fetched_at": now, "expires_at": expires_at, "renew_at": renew_at,
                "fetching_until": None,
            },
        )  # fmt: skip
    return values


def refused(destination: Destination, values: dict[str, str]) -> bool:
    """The platform refused this token as expired: forget it. False when a fresh one would not help, for it was one."""
    held = AccessToken.objects.filter(pk=destination.pk).first()
    if held is None or not values:
        return False
    if held.values.get(ACCESS_TOKEN) != values.get(ACCESS_TOKEN):
        return True  # a newer one is there already
    if held.fetched_at is not None and datetime.now(UTC) - held.fetched_at < YOUNG:
        return False
    held.delete()
    return True


def forget(destination_id: int) -> None:
    """The credentials changed: what was fetched with the old ones is void."""
    AccessToken.objects.filter(pk=destination_id).delete()
