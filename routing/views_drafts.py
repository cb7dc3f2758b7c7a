"""Drafts: the list, one with its difference, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from routing import draft_diff, drafts, publishing, snapshot, swaps, toasts, toggles
from routing.models import Draft, DraftChange, DraftState, RoutingChange
from routing.views import may
from trackstack_site.guard import key_of
from trackstack_site.moment_field import MomentField
from trackstack_site.wording import NameSelect

MORNING = "08:00"
SHOWN_DAYS = 30
MOST_SHOWN = 50


class NoteForm(forms.Form):
    name_here = "note_form"
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=400,
        widget=forms.Textarea({"rows": 2}),
        help_text=gettext_lazy("What it is for. It stands in the history."),
    )


class TimeForm(forms.Form):
    """Stands beside other ways to publish: a browser must not ask for it where another button is pressed."""

    name_here = "time_form"
    publish_at = MomentField(gettext_lazy("Publish at ({zone})"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"publish_at": _next_morning()}, **kwargs)
        if not self.is_bound:  # what was typed is not proposed anew
            self.fields["publish_at"].widget.attrs["data-tomorrow-at"] = MORNING

    def clean_publish_at(self) -> datetime:
        at: datetime | None = self.cleaned_data["publish_at"]
        if at is None:
            raise forms.ValidationError(_("Choose a time to come."))
        if at <= timezone.now():
            raise forms.ValidationError(_("The time has passed already. Choose one to come."))
        return at


class ReviewerForm(forms.Form):
    """As TimeForm: one of several ways."""

    name_here = "reviewer_form"
    reviewer = forms.ModelChoiceField(
        label=gettext_lazy("Colleague"),
        queryset=None,
        required=False,
        empty_label=gettext_lazy("Choose…"),
        widget=NameSelect(),
    )

    def __init__(self, *args: Any, author: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reviewer"].queryset = publishing.reviewers(author)  # type: ignore[attr-defined]

    def clean_reviewer(self) -> Any:
        if self.cleaned_data["reviewer"] is None:
            raise forms.ValidationError(_("Choose a colleague who may review drafts."))
        return self.cleaned_data["reviewer"]


class CommentForm(forms.Form):
    name_here = "comment_form"
    comment = forms.CharField(
        label=gettext_lazy("Comment"), required=False, max_length=400, widget=forms.Textarea({"rows": 2})
    )


# --- Looking ----------------------------------------------------------------------------------------------------


@may("routing.view_draft")
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    rows = Draft.objects.select_related("author", "reviewer", "publisher").annotate(count=Count("changes"))
    waiting = list(rows.filter(state__in=publishing.WAITING).order_by("-pk")[:MOST_SHOWN])
    since = timezone.now() - timedelta(days=SHOWN_DAYS)
    closed = rows.filter(state=DraftState.PUBLISHED, closed_at__gte=since).order_by("-closed_at")[:MOST_SHOWN]
    context = {
        "groups": [
            (_("Waiting for your review"), [one for one in waiting if _awaits(one, request.user)]),
            (_("Open"), [one for one in waiting if one.state in publishing.PUBLISHABLE]),
            (
                _("In review"),
                [one for one in waiting if one.state == DraftState.IN_REVIEW and not _awaits(one, request.user)],
            ),
            (_("Scheduled"), [one for one in waiting if one.state == DraftState.SCHEDULED]),
            (_("Published in the last %(days)d days") % {"days": SHOWN_DAYS}, list(closed)),
        ],
        "is_collecting": drafts.collects(request.user),
    }
    context["is_empty"] = not any(found for _group, found in context["groups"])
    return render(request, "routing/drafts.html", context)


def _awaits(draft: Draft, user: Any) -> bool:
    return draft.state == DraftState.IN_REVIEW and draft.reviewer_id == user.pk


@may("routing.view_draft")
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, pk)


def _page(request: HttpRequest, pk: int, unfit: forms.Form | None = None) -> HttpResponse:
    """unfit: a form of the page that was filled in and not taken, to be shown with what is wrong."""
    draft = get_object_or_404(Draft.objects.select_related("author", "reviewer", "publisher"), pk=pk)
    changes = list(draft.changes.all())
    is_waiting = draft.state in publishing.WAITING
    context: dict[str, Any] = {
        "draft": draft,
        "count": len(changes),
        "difference": draft_diff.difference(changes, snapshot.current()) if is_waiting else None,
        **_rights(draft, request.user),
        "note_form": NoteForm(initial={"note": request.POST.get("note", draft.note)}),
        **_made(request, draft),
    }
    if context["may_publish"]:
        context["time_form"] = TimeForm()
    if context["may_edit"]:
        context["reviewer_form"] = ReviewerForm(author=request.user)
    if context["may_decide"]:
        context["comment_form"] = CommentForm()
    if unfit is not None:
        context[unfit.name_here] = unfit  # type: ignore[attr-defined]
    return render(request, "routing/draft.html", context, status=422 if unfit is not None else 200)


def _made(request: HttpRequest, draft: Draft) -> dict[str, Any]:
    """What publishing it made: its page in the history, the last days to send; and a toast for who just did it."""
    if draft.version is None:
        return {}
    made = list(RoutingChange.objects.filter(version=draft.version).exclude(action=toggles.TEST).order_by("pk"))
    found: dict[str, Any] = {"first_made": made[0] if made else None}
    if request.user.has_perm("destinations.add_replay"):
        found["backfills"] = toasts.backfills_of(made)
    if made and request.GET.get("changed") == str(made[0].pk) and draft.publisher_id == request.user.pk:
        text = _("Published as version %(version)d.") % {"version": draft.version}
        found["toast"] = toasts.toast_of_all(made) | {"text": text, "leaves": True}
    return found


def _rights(draft: Draft, user: Any) -> dict[str, bool]:
    """What this user may do with the draft as it stands."""
    is_own, may_switch = draft.author_id == user.pk, user.has_perm(publishing.SWITCH)
    is_waiting = draft.state in publishing.WAITING
    return {
        "is_own": is_own,
        "may_edit": is_own and may_switch and draft.state == DraftState.OPEN,
        "may_publish": draft.state in publishing.PUBLISHABLE and publishing.may_publish(draft, user),
        "may_reopen": is_own and may_switch and is_waiting and draft.state != DraftState.OPEN,
        "may_decide": draft.state == DraftState.IN_REVIEW and not is_own and user.has_perm(publishing.REVIEW),
        "may_stop": draft.state == DraftState.SCHEDULED and may_switch,
        "may_discard": is_waiting and (is_own or (draft.author_id is None and user.has_perm(publishing.REVIEW))),
        "is_taking": is_own and draft.state == DraftState.OPEN and drafts.current(user) == draft,
    }


def _next_morning() -> datetime:
    """In UTC; times.js knows the reader's."""
    return datetime.combine(timezone.now() + timedelta(days=1), time.fromisoformat(MORNING), UTC)


# --- Doing ------------------------------------------------------------------------------------------------------


@may("routing.view_route", "routing.toggle_route")
@require_POST
def collecting(request: HttpRequest) -> HttpResponse:
    """The switch of this user: into a draft, or at once."""
    is_on = request.POST.get("on") == "1"
    drafts.set_collecting(request.user, is_on)
    draft = drafts.current(request.user)
    if is_on:
        messages.info(request, _("What you switch is collected in a draft now. Publish it when you are ready."))
    elif draft is not None and draft.changes.exists():
        messages.info(request, _("Switches are in force at once again. Your draft is kept under Drafts."))
    else:
        messages.info(request, _("Switches are in force at once again."))
    return redirect("routing:drafts" if request.POST.get("from") == "drafts" else "routing:matrix")


@may("routing.view_route", "routing.toggle_route")
@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Take back what this user collected last, when it still is the last."""
    return swaps.take_back(request, _revision(request))


@may("routing.view_draft", "routing.view_route")
@require_http_methods(["GET", "POST"])
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: asks. POST: discards."""
    if request.method == "POST":
        return _answer(request, pk, lambda: _discard(request, pk))
    draft = get_object_or_404(Draft, pk=pk)
    if not _rights(draft, request.user)["may_discard"]:
        raise Http404
    return render(request, "routing/draft_discard.html", {"draft": draft, "count": draft.changes.count()})


def _discard(request: HttpRequest, pk: int) -> str:
    publishing.discard(pk, request.user, revision=_revision(request))
    return _("Draft %(pk)d is discarded. Nothing was changed.") % {"pk": pk}


@may("routing.view_draft", "routing.view_route")
@require_POST
def act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    """One of ACTS. Who may is checked where it is done; what cannot be done is told on the draft's page."""
    done = ACTS.get(act)
    if done is None:
        raise Http404
    return _answer(request, pk, lambda: done(request, pk))


def _answer(request: HttpRequest, pk: int, done: Callable[[], str | HttpResponse]) -> HttpResponse:
    """done: returns what is said on the draft's page, or another answer."""
    get_object_or_404(Draft, pk=pk)
    try:
        said = done()
        if isinstance(said, HttpResponse):
            return said
        messages.success(request, said)
    except UnfitError as error:
        return _page(request, pk, error.form)
    except (publishing.DraftError, toggles.ToggleError) as error:
        messages.error(request, str(error))
    return redirect("routing:draft", pk)


class UnfitError(Exception):
    """What was filled in is not taken; the form says why, beside the field."""

    def __init__(self, form: forms.Form) -> None:
        super().__init__()
        self.form = form


def _checked(form: forms.Form) -> dict[str, Any]:
    """Raises UnfitError."""
    if not form.is_valid():
        raise UnfitError(form)
    return form.cleaned_data


def _revision(request: HttpRequest) -> int:
    return key_of(request.POST.get("revision", "")) or 0


def _keep_note(request: HttpRequest, pk: int) -> None:
    """The note stands in the same form as the buttons: whoever presses one means it, too."""
    if "note" in request.POST and Draft.objects.filter(pk=pk, author=request.user).exists():
        publishing.set_note(pk, request.user, _checked(NoteForm(request.POST))["note"])


def _note(request: HttpRequest, pk: int) -> str:
    publishing.set_note(pk, request.user, _checked(NoteForm(request.POST))["note"])
    return _("The note is saved.")


def _publish(request: HttpRequest, pk: int) -> str | HttpResponse:
    _keep_note(request, pk)
    draft = publishing.publish(pk, request.user, revision=_revision(request))
    if draft.version is None:
        return _("Published. It changed nothing: all was already so.")
    made = RoutingChange.objects.filter(version=draft.version, user=request.user.pk).earliest("pk")
    return redirect(f"{reverse('routing:draft', args=[pk])}?changed={made.pk}")


def _schedule(request: HttpRequest, pk: int) -> str:
    at = _checked(TimeForm(request.POST))["publish_at"]
    _keep_note(request, pk)
    publishing.schedule(pk, request.user, at, revision=_revision(request))
    return _("It will be published at %(time)s UTC.") % {"time": f"{at:%Y-%m-%d %H:%M}"}


def _review(request: HttpRequest, pk: int) -> str:
    reviewer = _checked(ReviewerForm(request.POST, author=request.user))["reviewer"]
    _keep_note(request, pk)
    publishing.ask_review(pk, request.user, reviewer, revision=_revision(request))
    return _("%(reviewer)s finds it under Drafts.") % {"reviewer": reviewer.get_username()}


def _approve(request: HttpRequest, pk: int) -> str:
    comment = _checked(CommentForm(request.POST))["comment"]
    publishing.decide(pk, request.user, is_approved=True, comment=comment, revision=_revision(request))
    return _("Approved. Its author or you may publish it.")


def _send_back(request: HttpRequest, pk: int) -> str:
    comment = _checked(CommentForm(request.POST))["comment"]
    publishing.decide(pk, request.user, is_approved=False, comment=comment, revision=_revision(request))
    return _("Sent back to its author.")


def _reopen(request: HttpRequest, pk: int) -> str:
    publishing.reopen(pk, request.user)
    return _("The draft is open, and takes what you switch.")


def _unschedule(request: HttpRequest, pk: int) -> str:
    publishing.unschedule(pk, request.user)
    return _("It is not published by itself any more.")


def _picked(request: HttpRequest, pk: int) -> list[int]:
    """One change, or all of a destination."""
    if destination := key_of(request.POST.get("destination", "")):
        return list(DraftChange.objects.filter(draft=pk, destination=destination).values_list("pk", flat=True))
    change = key_of(request.POST.get("change", ""))
    return [change] if change is not None else []


def _remove(request: HttpRequest, pk: int) -> str:
    removed = publishing.remove(pk, request.user, _picked(request, pk))
    return _("%(count)d taken out of the draft.") % {"count": removed}


def _keep(request: HttpRequest, pk: int) -> str:
    publishing.keep(pk, request.user, _picked(request, pk))
    return _("It stays in the draft as you want it.")


ACTS: dict[str, Callable[[HttpRequest, int], str | HttpResponse]] = {
    "note": _note,
    "publish": _publish,
    "schedule": _schedule,
    "review": _review,
    "approve": _approve,
    "send-back": _send_back,
    "reopen": _reopen,
    "unschedule": _unschedule,
    "remove": _remove,
    "keep": _keep,
}
