"""Files on local disk: whole or not at all, and never outside their folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from destinations import files
from destinations.http import NoAnswer
from destinations.platforms.base import Request, Response


def put(url: str, body: bytes = b"PAR1") -> Response | NoAnswer:
    return files.write(Request(method="STORE", url=url, headers={}, body=body, items=()))[0]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, settings: Any) -> Path:
    settings.FILES_ROOT = tmp_path / "files"
    return tmp_path / "files"


def test_a_file_is_written_and_replaced(root: Path) -> None:
    for body in (b"first", b"second"):
        assert put("file:///trackstack/date=2026-11-25/a%20b.parquet", body) == Response(status=201)
        assert (root / "trackstack/date=2026-11-25/a b.parquet").read_bytes() == body
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a b.parquet"], "no half of one is left"


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "%2e%2e/outside", "", "/", "."])
def test_no_path_leads_out(root: Path, path: str) -> None:
    answer = put(f"file:///{path}")
    assert isinstance(answer, NoAnswer)
    assert answer.is_refused_here
    assert not (root.parent / "outside").exists()


def test_a_link_out_of_the_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    assert isinstance(put("file:///link/outside"), NoAnswer)


def test_a_disk_that_refuses_is_a_sentence(root: Path) -> None:
    root.write_text("a file where the folder should be")
    answer = put("file:///a/b")
    assert isinstance(answer, NoAnswer)
    assert not answer.is_refused_here
    assert "could not be written" in answer.sentence
