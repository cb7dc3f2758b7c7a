"""The life of a draft after collecting: review, publishing at once or at a time, discarding.

Each act locks the draft, checks that it may be done in that state, and does it in one transaction. `revision` is what
its person saw; acting on an older one is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from destinations.models import Destination
from routing import draft_diff, drafts, snapshot, telling, toggles
from routing.models import Draft, DraftChange, DraftField, DraftState
from trackstack_site.wording import in_english

log = logging.getLogger(__name__)

MOST_A_RUN = 20
REVIEW = "routing.review_draft"
SWITCH = "routing.toggle_route"
MAP = "routing.change_route"
WAITING = (DraftState.OPEN, DraftState.IN_REVIEW, DraftState.APPROVED, DraftState.SCHEDULED)
PUBLISHABLE = (DraftState.OPEN, DraftState.APPROVED)


class DraftError(ValueError):
    """What was asked cannot be done with this draft now; the message is for the person who asked."""


class ConflictError(DraftError):
    """Somebody changed the same things since they were collected: they are to be confirmed or dropped first."""


def _locked(pk: int, states: Iterable[DraftState]) -> Draft:
    """Raises DraftError when the draft is in none of the states."""
    draft = Draft.objects.select_for_update().filter(pk=pk).first()
    if draft is None:
        raise DraftError(_("There is no such draft."))
    if draft.state not in set(states):
        word = DraftState(draft.state).label
        raise DraftError(_("Draft %(pk)d is “%(state)s” by now.") % {"pk": pk, "state": word})
    return draft


def _as_seen(draft: Draft, revision: int | None) -> None:
    if revision is not None and draft.revision != revision:
        raise DraftError(_("The draft was changed since you looked. Look at it again."))


def _own(draft: Draft, user: Any) -> None:
    if draft.author_id != user.pk:
        raise PermissionDenied


# --- Editing ---------------------------------------------------------------------------------------------------


def set_note(pk: int, user: Any, note: str) -> Draft:
    with transaction.atomic():
        draft = _locked(pk, WAITING)
        _own(draft, user)
        draft.note = note
        draft.save(update_fields=["note"])
    return draft


def remove(pk: int, user: Any, changes: Iterable[int]) -> int:
    """Take changes out; returns how many were in it."""
    with transaction.atomic():
        draft = _locked(pk, [DraftState.OPEN])
        _own(draft, user)
        removed = drafts.remove(draft, changes)
        _edited(draft)
    return removed


def keep(pk: int, user: Any, changes: Iterable[int]) -> int:
    """Stand by changes that somebody overtook; returns how many there were."""
    with transaction.atomic():
        draft = _locked(pk, [DraftState.OPEN])
        _own(draft, user)
        state = snapshot.current()
        rows = list(draft.changes.filter(pk__in=list(changes), destination__in=state.rules))
        drafts.keep_all(draft, rows, draft_diff.in_force(rows, state), state.version)
        _edited(draft)
    return len(rows)


def _edited(draft: Draft) -> None:
    draft.revision += 1
    draft.problem = ""
    draft.save(update_fields=["revision", "problem"])


def reopen(pk: int, user: Any) -> Draft:
    """Its author goes on editing: an approval is void, and further switches go into this one."""
    with transaction.atomic():
        draft = _locked(pk, WAITING)
        _own(draft, user)
        draft.state, draft.approved_at, draft.publish_at = DraftState.OPEN, None, None
        draft.collects_since, draft.untold = timezone.now(), ""
        draft.save(update_fields=["state", "approved_at", "publish_at", "collects_since", "untold"])
    return draft


def discard(pk: int, user: Any, *, revision: int | None = None) -> Draft:
    """Its author does; a reviewer may when the author is gone."""
    with transaction.atomic():
        draft = _locked(pk, WAITING)
        if draft.author_id is not None or not user.has_perm(REVIEW):
            _own(draft, user)
        _as_seen(draft, revision)
        draft.state, draft.closed_at, draft.publish_at = DraftState.DISCARDED, timezone.now(), None
        draft.untold = ""  # nobody has anything to do with it any more
        draft.save(update_fields=["state", "closed_at", "publish_at", "untold"])
    return draft


# --- Review -----------------------------------------------------------------------------------------------------


def reviewers(author: Any) -> QuerySet[Any]:
    """Colleagues who may be asked."""
    return get_user_model()._default_manager.with_perm(REVIEW).exclude(pk=author.pk).order_by("username")  # type: ignore[attr-defined,no-any-return]


def ask_review(pk: int, user: Any, reviewer: Any, *, revision: int | None = None) -> Draft:
    with transaction.atomic():
        draft = _locked(pk, [DraftState.OPEN])
        _own(draft, user)
        _as_seen(draft, revision)
        if reviewer.pk == user.pk or not reviewer.has_perm(REVIEW):
            raise DraftError(_("Choose a colleague who may review drafts."))
        _filled(draft)
        draft.state, draft.reviewer, draft.comment, draft.problem = DraftState.IN_REVIEW, reviewer, "", ""
        telling.note(draft, telling.REVIEW)
        draft.save(update_fields=["state", "reviewer", "comment", "problem", *telling.FIELDS])
    return draft


def awaiting(user: Any) -> int:
    """How many drafts wait for this user: to be reviewed, to be published after the approval, or to be mended."""
    theirs = Q(author=user.pk) & (
        Q(state=DraftState.APPROVED) | (Q(state=DraftState.OPEN) & ~Q(comment="", problem=""))
    )
    return Draft.objects.filter(theirs | Q(reviewer=user.pk, state=DraftState.IN_REVIEW)).count()


def decide(pk: int, user: Any, *, is_approved: bool, comment: str = "", revision: int | None = None) -> Draft:
    """Approve, or send back with a comment. Anybody may who has the permission, but the author."""
    with transaction.atomic():
        draft = _locked(pk, [DraftState.IN_REVIEW])
        if not user.has_perm(REVIEW) or draft.author_id == user.pk:
            raise PermissionDenied
        _as_seen(draft, revision)
        if not is_approved and not comment:
            raise DraftError(_("Say in the comment what should be different."))
        draft.state = DraftState.APPROVED if is_approved else DraftState.OPEN
        draft.approved_at = timezone.now() if is_approved else None
        draft.reviewer, draft.comment = user, comment
        telling.note(draft, telling.APPROVED if is_approved else telling.SENT_BACK)
        draft.save(update_fields=["state", "approved_at", "reviewer", "comment", *telling.FIELDS])
    return draft


# --- Publishing -------------------------------------------------------------------------------------------------


def may_publish(draft: Draft, user: Any) -> bool:
    """The author; once approved, the reviewer as well."""
    is_theirs = user.pk == draft.author_id or (draft.approved_at is not None and user.pk == draft.reviewer_id)
    return is_theirs and bool(user.has_perm(SWITCH))


def publish(pk: int, user: Any, *, revision: int | None = None) -> Draft:
    """Put everything in force, as one version of the history. All or nothing.

    Raises ConflictError, DraftError, toggles.ToggleError.
    """
    with transaction.atomic():
        draft = _locked(pk, PUBLISHABLE)
        if not may_publish(draft, user):
            raise PermissionDenied
        _as_seen(draft, revision)
        _publish(draft, user)
    return draft


def schedule(pk: int, user: Any, at: datetime, *, revision: int | None = None) -> Draft:
    """Have it published at a time to come."""
    with transaction.atomic():
        draft = _locked(pk, PUBLISHABLE)
        if not may_publish(draft, user):
            raise PermissionDenied
        _as_seen(draft, revision)
        if at <= timezone.now():
            raise DraftError(_("The time has passed already. Choose one to come."))
        _filled(draft)
        _check_may_map(draft, user)
        _check_conflicts(draft)
        draft.state, draft.publish_at, draft.publisher, draft.problem = DraftState.SCHEDULED, at, user, ""
        draft.save(update_fields=["state", "publish_at", "publisher", "problem"])
    return draft


def unschedule(pk: int, user: Any) -> Draft:
    """Anybody who may switch may stop it: its author may be on leave."""
    with transaction.atomic():
        draft = _locked(pk, [DraftState.SCHEDULED])
        if not user.has_perm(SWITCH):
            raise PermissionDenied
        draft.state = DraftState.APPROVED if draft.approved_at else DraftState.OPEN
        draft.publish_at = None
        draft.save(update_fields=["state", "publish_at"])
    return draft


def publish_due() -> int:
    """Publish what is due, one transaction each; returns how many were. Any number of processes may call it."""
    due = Draft.objects.filter(state=DraftState.SCHEDULED, publish_at__lte=timezone.now()).order_by("publish_at")
    count = 0
    for pk in due.values_list("pk", flat=True)[:MOST_A_RUN]:
        try:
            count += _publish_due(pk)
        except DatabaseError:
            # It stays due: the next turn tries it again, and the others do not wait for it.
            log.exception("A draft could not be published", extra={"draft": pk})
    return count


def _publish_due(pk: int) -> bool:
    with in_english(), transaction.atomic():  # what went wrong is kept
        rows = Draft.objects.select_for_update(skip_locked=True, of=("self",)).select_related("publisher")
        draft = rows.filter(pk=pk, state=DraftState.SCHEDULED, publish_at__lte=timezone.now()).first()
        if draft is None:
            return False
        try:
            with transaction.atomic():
                user = draft.publisher
                if user is None or not user.is_active or not user.has_perm(SWITCH):
                    raise DraftError(_("Who scheduled it may no longer change the routing."))
                _publish(draft, user)
        except (DraftError, toggles.ToggleError, PermissionDenied) as error:
            draft.state, draft.approved_at, draft.publish_at, draft.version = DraftState.OPEN, None, None, None
            draft.problem = str(error) or _("Who scheduled it may no longer change all of it.")
            telling.note(draft, telling.FAILED)
            draft.save(update_fields=["state", "approved_at", "publish_at", "problem", *telling.FIELDS])
            return False
    return True


def _publish(draft: Draft, user: Any) -> None:
    _filled(draft)
    _check_may_map(draft, user)
    changes = list(draft.changes.all())
    wanted = drafts.wanted_of(changes)
    # Locked together and in order: what is compared is what is changed, and no two can wait for each other.
    rows = Destination.objects.present().select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk")
    destinations = list(rows)
    _check_conflicts(draft, changes)
    with in_english():
        note = draft.note or _("Draft %(pk)d") % {"pk": draft.pk}
    group = toggles.Group()
    sentences: list[str] = []
    for destination in destinations:
        one = wanted[destination.pk]
        entry = toggles.apply(
            destination,
            mode=one.mode,
            on=one.on,
            native_names=one.native_names,
            native_ids=one.native_ids,
            user=user,
            note=note,
            group=group,
        )
        sentences += entry.sentences if entry is not None else []
    # Who presses the button sees it; who is not there is told.
    if draft.state == DraftState.SCHEDULED or user.pk != draft.author_id:
        telling.note(draft, telling.PUBLISHED)
    draft.state, draft.version, draft.sentences = DraftState.PUBLISHED, group.version, sentences
    draft.closed_at, draft.publisher, draft.problem = timezone.now(), user, ""
    draft.save(update_fields=["state", "version", "sentences", "closed_at", "publisher", "problem", *telling.FIELDS])


def _filled(draft: Draft) -> None:
    if not draft.changes.exists():
        raise DraftError(_("The draft is empty: there is nothing to publish."))


def _check_may_map(draft: Draft, user: Any) -> None:
    natives = (DraftField.NATIVE_NAME, DraftField.NATIVE_ID)
    if draft.changes.filter(field__in=natives).exists() and not user.has_perm(MAP):
        raise PermissionDenied


def _check_conflicts(draft: Draft, changes: list[DraftChange] | None = None) -> None:
    state = snapshot.current()
    found = draft_diff.difference(changes or list(draft.changes.all()), state).conflicts
    if found:
        which = " ".join(f"{line.text}: {line.conflict}" for line in found[:5])
        raise ConflictError(_("Others changed the same since. Keep or drop each: %(which)s") % {"which": which})
