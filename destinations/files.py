"""Files on local disk as a destination: a request to `file:///<path>` is a file below FILES_ROOT, written whole."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from django.conf import settings

from destinations.http import NoAnswer
from destinations.platforms.base import Request, Response

SCHEME = "file://"
CHECK = "CHECK"
"""Method of a request that asks whether a folder can be written, and leaves nothing behind."""


def write(request: Request) -> tuple[Response | NoAnswer, int]:
    """Write the body, replacing what a try before it may have written; readers see the old file or the new one, never
    half of it. Never raises.
    """
    started = time.monotonic()
    answer: Response | NoAnswer
    try:
        root = Path(settings.FILES_ROOT).resolve()
        path = (root / unquote(urlsplit(request.url).path).lstrip("/")).resolve()
        if not path.is_relative_to(root) or path == root:
            return NoAnswer("The path leads out of the folder for files (FILES_ROOT).", is_refused_here=True), 0
        if request.method == CHECK:
            return _checked(path), round((time.monotonic() - started) * 1000)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with part.open("wb") as file:
                file.write(request.body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        answer = Response(status=201)
    except OSError as error:
        answer = NoAnswer(f"The file could not be written: {error.strerror or type(error).__name__}.")
    return answer, round((time.monotonic() - started) * 1000)


def _checked(folder: Path) -> Response | NoAnswer:
    """Write a file where the folder is, or where it would be made, and take it away again."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    part = folder / f".check.{uuid4().hex}.part"
    try:
        part.write_bytes(b"")
        part.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return NoAnswer(f"The folder for files cannot be written (FILES_ROOT): {reason}.", is_refused_here=True)
    return Response(status=200)
