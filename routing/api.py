"""`/api/config/`: the routing as JSON, for programs with a token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events import keys
from events.api.problems import Problem
from routing import config, snapshot, toggles
from routing.models import ConfigToken
from trackstack_site.guard import key_of
from trackstack_site.wording import in_english

SCHEME = "tsc_"
MAX_BYTES = 2 * 1024 * 1024


def make_token(name: str, *, may_write: bool, user: Any = None) -> tuple[ConfigToken, str]:
    """A new token and its whole text, which is not stored: show it now or never."""
    made = keys.make_key()
    text = SCHEME + made.text.removeprefix("tsk_")
    row = ConfigToken.objects.create(
        name=name,
        prefix=made.prefix,
        digest=keys.digest(text, settings.API_KEY_PEPPERS[0]),
        may_write=may_write,
        created_by=user,
    )
    return row, text


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[None, ConfigToken]:
        """Raises Problem 401."""
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        parts = text.strip().removeprefix(SCHEME).partition("_") if scheme.lower() == "bearer" else ("", "", "")
        row = ConfigToken.objects.filter(prefix=parts[0][:16], revoked_at=None).first() if parts[0] else None
        if row is None or not keys.matches(text.strip(), row.digest, settings.API_KEY_PEPPERS):
            raise Problem(401, "token_unknown", "Send a configuration token as Authorization: Bearer tsc_….")
        at = timezone.now()
        ConfigToken.objects.filter(
            Q(last_used_at=None) | Q(last_used_at__lt=at - timedelta(minutes=1)), pk=row.pk
        ).update(last_used_at=at)
        return None, row

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="TrackStack configuration"'


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = TokenAuthentication
    name = "configToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class RawJson(BaseParser):
    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> bytes:
        raw: bytes = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Problem(413, "body_too_large", f"The document is larger than {MAX_BYTES} bytes.")
        return raw


DESTINATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "platform": {"type": "string"},
        "mode": {"type": "string", "enum": ["recommended", "custom", "everything"]},
        "on": {"type": "array", "items": {"type": "string"}},
        "native_names": {"type": "object", "additionalProperties": {"type": "string"}},
        "native_ids": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
DOCUMENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "version": {
            "type": "integer",
            "description": "What the document was written for. A document of another version that would change"
            " something is refused with 412; leave it out of a file that is to be in force whatever was done since.",
        },
        "note": {"type": "string", "maxLength": config.LONGEST_NOTE, "description": "Kept in the history."},
        "destinations": {"type": "object", "additionalProperties": DESTINATION},
    },
    "required": ["destinations"],
}
CHANGED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "version": {"type": "integer"},
        "dry_run": {"type": "boolean"},
        "changes": {"type": "array", "items": {"type": "string"}},
        "impact": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of a dry run: what it would have meant over the last days.",
        },
        "confirmations": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of a dry run: what is refused without `confirm`.",
        },
    },
}
TRUE, FALSE = ("", "1", "true", "yes"), ("0", "false", "no")


class ConfigView(APIView):
    """GET: the routing in force. PUT: make it so, all or nothing; the same document again changes nothing."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [AllowAny]
    parser_classes = [RawJson]
    renderer_classes = [JSONRenderer]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Programs read the answers: they are in English, whatever a request says it accepts."""
        with in_english():
            return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        operation_id="config_read",
        summary="The routing",
        tags=["Configuration"],
        responses={200: OpenApiResponse(DOCUMENT)},
    )
    def get(self, request: Request) -> Response:
        found = config.document()
        return Response(found, headers={"ETag": f'"{found["version"]}"'})

    @extend_schema(
        operation_id="config_write",
        summary="Make the routing so",
        tags=["Configuration"],
        request={"application/json": DOCUMENT},
        parameters=[
            OpenApiParameter("dry_run", bool, description="Only answer what would change. Also as `dry-run`."),
            OpenApiParameter(
                "confirm",
                bool,
                description="Yes, send refunds, chargebacks or churn to ad and analytics platforms where the document"
                " says so. Without it, a document that switches them on there is refused with 422,"
                " `confirmation_needed`.",
            ),
            OpenApiParameter("If-Match", str, "header", description="The ETag that the document was written for."),
        ],
        responses={200: OpenApiResponse(CHANGED)},
    )
    def put(self, request: Request) -> Response:
        token: ConfigToken = request.auth
        is_dry, is_confirmed = self._asked(request)
        if not (token.may_write or is_dry):
            raise Problem(403, "token_reads_only", "This token may only read; make one that may write.")
        seen = self._seen(request)
        try:
            wanted = config.read(request.data or b"")
            if is_dry:
                return Response(self._planned(wanted, seen))
            made = config.apply(wanted, seen=seen, is_confirmed=is_confirmed, actor=f"token {token.name}")
        except config.ConfirmationError as error:
            errors = [{"path": path, "message": sentence} for path, sentence in error.errors]
            detail = f"{errors[0]['message']} If it is, send it with ?confirm=1."
            raise Problem(422, "confirmation_needed", detail, errors=errors) from None
        except config.ConfigError as error:
            errors = [{"path": path, "message": sentence} for path, sentence in error.errors]
            raise Problem(422, "not_applicable", errors[0]["message"], errors=errors) from None
        except toggles.StaleError:
            raise Problem(412, "stale", "The routing was changed since that version; read it again.") from None
        except toggles.ToggleError as error:
            raise Problem(422, "not_applicable", str(error)) from None
        version = made[-1].version if made else snapshot.current().version
        said = [sentence for change in made for sentence in change.sentences]
        return Response({"version": version, "dry_run": False, "changes": said}, headers={"ETag": f'"{version}"'})

    @staticmethod
    def _planned(wanted: config.Document, seen: int | None) -> dict[str, Any]:
        """The answer of a dry run."""
        state = snapshot.current()
        changes = config.plan_for(wanted, state, seen)
        return {
            "version": state.version,
            "dry_run": True,
            "changes": [sentence for change in changes for sentence in change.sentences],
            "impact": config.effect(changes),
            "confirmations": [sentence for change in changes for sentence in change.confirmations],
        }

    @staticmethod
    def _asked(request: Request) -> tuple[bool, bool]:
        """Whether it is a dry run, and whether it is confirmed.

        What is misspelt is refused: it may have meant dry. Raises Problem 400.
        """
        found = {"dry_run": False, "confirm": False}
        for given, values in request.query_params.lists():
            name = given.replace("-", "_")
            if name not in found:
                names = ", ".join(found)
                raise Problem(400, "unknown_parameter", f"There is no parameter {given[:40]!r}. There are: {names}.")
            for value in values:
                if value.lower() not in TRUE + FALSE:
                    detail = f"{given} is true or false, not {value[:40]!r}. Nothing was changed."
                    raise Problem(400, "unknown_value", detail)
                found[name] |= value.lower() in TRUE
        return found["dry_run"], found["confirm"]

    @staticmethod
    def _seen(request: Request) -> int | None:
        text = request.META.get("HTTP_IF_MATCH", "").strip().removeprefix("W/").strip('"')
        if not text or text == "*":
            return None
        version = key_of(text)
        if version is None:
            raise Problem(412, "stale", f"If-Match is no version of the routing: {text[:40]!r}.")
        return version
