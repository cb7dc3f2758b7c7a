"""Telling people by mail what became of a draft, or that it waits for them.

What is to be told is noted with the change itself, so it outlives a crash and a dead mail server; beat sends it. The
same stands on the screens (`publishing.awaiting`), for those without an address.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from routing.models import Draft

log = logging.getLogger(__name__)

REVIEW, APPROVED, SENT_BACK, PUBLISHED, FAILED = "review", "approved", "sent_back", "published", "failed"
FIELDS = ("untold", "tell_at", "tell_tries")
MOST_A_RUN = 20
MOST_TRIES = 8
"""The waits double from 30 s: given up after some two hours."""

# Due again later, should this process die with the mail in hand.
CLAIM_SQL = """
UPDATE routing_draft SET tell_at = %(now)s + interval '30 s' * 2 ^ tell_tries, tell_tries = tell_tries + 1
WHERE id = (
    SELECT id FROM routing_draft WHERE untold <> '' AND tell_at <= %(now)s
    ORDER BY tell_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


def note(draft: Draft, what: str) -> None:
    """Have it told; the caller saves FIELDS. A later thing to tell takes the place of an earlier one."""
    draft.untold = what if settings.SENDS_MAIL else ""
    draft.tell_at, draft.tell_tries = timezone.now(), 0


def tell_due() -> int:
    """Send what is due; returns how many were tried. Any number of processes may: each is claimed by one."""
    for count in range(MOST_A_RUN):
        with connection.cursor() as cursor:
            cursor.execute(CLAIM_SQL, {"now": timezone.now()})
            row = cursor.fetchone()
        if row is None:
            return count
        _tell(Draft.objects.select_related("author", "reviewer", "publisher").get(pk=row[0]))
    return MOST_A_RUN


def _tell(draft: Draft) -> None:
    who = draft.reviewer if draft.untold == REVIEW else draft.author
    is_done = who is None or not who.is_active or not who.email or _mail(draft, who)
    if is_done or draft.tell_tries >= MOST_TRIES:
        # Unless there is something else to tell by now.
        Draft.objects.filter(pk=draft.pk, untold=draft.untold, tell_tries=draft.tell_tries).update(untold="")


def _mail(draft: Draft, who: Any) -> bool:
    said = sentence(draft)
    link = f"{settings.SITE_URL}{reverse('routing:draft', args=[draft.pk])}"
    more = draft.problem if draft.untold == FAILED else draft.comment if draft.untold != REVIEW else draft.note
    text = "\n\n".join(filter(None, [said, more, link]))
    try:
        send_mail(f"TrackStack: {said}", text, settings.DEFAULT_FROM_EMAIL, [who.email])
    except Exception as error:  # noqa: BLE001  (each mail server has its own)
        log.warning("A mail about a draft was not taken", extra={"draft": draft.pk, "error": type(error).__name__})
        return False
    return True


def sentence(draft: Draft) -> str:
    """One line, without what its author typed."""
    values = {
        "pk": draft.pk,
        "author": _name(draft.author),
        "reviewer": _name(draft.reviewer),
        "publisher": _name(draft.publisher),
    }
    sentences = {
        REVIEW: _("%(author)s asks you to review draft %(pk)s."),
        APPROVED: _("%(reviewer)s approved draft %(pk)s. You may publish it."),
        SENT_BACK: _("%(reviewer)s sent draft %(pk)s back."),
        PUBLISHED: _("Draft %(pk)s of %(author)s is published."),
        FAILED: _("Draft %(pk)s was not published when its time came."),
    }
    return sentences[draft.untold] % values


def _name(user: Any) -> str:
    return user.get_username() if user is not None else "–"
