"""`manage.py platform_docs`: pages that cannot say something else than the code, and a check that they are current."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from destinations import platforms
from destinations.management.commands.platform_docs import differing
from destinations.platform_pages import age, overview, pages, size, table
from destinations.platforms._names import NAMES
from destinations.platforms.base import Platform
from destinations.sent_identity import identity

PAGES = pages()
each_platform = pytest.mark.parametrize(
    "platform", [platforms.get(key) for key in platforms.PLATFORMS], ids=lambda platform: platform.key
)


def section(platform: Platform, title: str) -> str:
    return PAGES[f"{platform.key}.md"].partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("\\|", "¦").split("|")] for line in lines[2:]]


def test_a_page_per_platform_and_one_for_all() -> None:
    assert PAGES.keys() == {f"{key}.md" for key in platforms.PLATFORMS} | {"README.md"}
    assert pages() == PAGES, "the same on every run"


@each_platform
def test_every_event_is_in_the_table(platform: Platform) -> None:
    found = rows(section(platform, "Events"))
    assert [event for event, _, _ in found] == [f"`{name}`" for name in NAMES]
    for name, (_, native, is_default) in zip(NAMES, found, strict=True):
        assert native == (f"`{platform.native_name(name)}`" if platform.native_name(name) else "none")
        assert is_default == ("yes" if name in platform.recommended else "")


@each_platform
def test_every_setting_says_where_it_is_found(platform: Platform) -> None:
    found = rows(section(platform, "Settings"))
    assert [line[1] for line in found] == [f"`{field.name}`" for field in platform.fields]
    for field, line in zip(platform.fields, found, strict=True):
        assert line[2:4] == ["yes" if field.required else "", "yes" if field.secret else ""]
        assert len(line[4]) > 1
        if field.secret and len(field.example) >= 12:
            assert field.example[:24] not in PAGES[f"{platform.key}.md"]


@each_platform
def test_the_comparison_has_one_full_line_per_platform(platform: Platform) -> None:
    (line,) = [line for line in rows(PAGES["README.md"]) if line[0] == f"[{platform.label}]({platform.key}.md)"]
    assert len(line) == 13
    assert all(line)
    assert line[-1] == str(len(platform.recommended))


@each_platform
def test_every_field_of_identity_is_in_one_list(platform: Platform) -> None:
    sent = identity(platform)
    together = [label for labels in sent.values() for label in labels]
    assert len(together) == len(set(together)) == (0 if platform.is_builtin else 14)


def test_identity_is_read_from_what_is_built() -> None:
    meta, clickhouse = identity(platforms.get("meta")), identity(platforms.get("clickhouse"))
    assert {"e-mail", "phone", "first name", "postal code", "country"} <= set(meta["hashed"])
    assert meta["plain"] == ["IP address", "user agent"]
    assert (clickhouse["hashed"], clickhouse["absent"]) == ([], [])
    assert "phone" in identity(platforms.get("linkedin"))["absent"]


def test_limits_versions_and_tables_are_told() -> None:
    linkedin, clickhouse = PAGES["linkedin.md"], PAGES["clickhouse.md"]
    assert "| Events in one request | 5,000 |" in linkedin
    assert "| Oldest event | 90 days |" in linkedin
    assert "| API version | 202609 (ends 2027-09-15) |" in linkedin
    assert "| `202511` | 2026-11-15 |" in linkedin
    assert "CREATE TABLE trackstack_events" in clickhouse
    assert "Test events need | Test event code" in PAGES["meta.md"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (8 * 1024**2, "8 MiB"), (10_000_000, "10 MB"), (512_000, "500 KiB"), (5_000, "5 kB"), (7, "7 bytes")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [(None, ""), (timedelta(days=1), "1 day"), (timedelta(days=90), "90 days"), (timedelta(hours=72), "3 days"),
     (timedelta(hours=1), "1 hour"), (timedelta(hours=25), "25 hours"), (timedelta(seconds=90), "90 seconds")],
)  # fmt: skip
def test_ages(span: timedelta | None, text: str) -> None:
    assert age(span) == text


def test_cells_stay_cells() -> None:
    assert table(("a",), [("x|y\n<b> `<c>`",)]).splitlines()[2] == "| x\\|y &lt;b> `<c>` |"


def test_an_overview_of_nothing_is_a_head() -> None:
    assert rows(overview([])) == []


# --- The command --------------------------------------------------------------------------------------
def check(directory: Path) -> None:
    call_command("platform_docs", check=True, output=directory)


def test_written_pages_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "docs" / "platforms"
    call_command("platform_docs", output=directory)
    assert {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()} == PAGES
    check(directory)
    assert f"{len(PAGES)} pages are up to date." in capsys.readouterr().out
    call_command("platform_docs", output=directory)
    assert f"0 of {len(PAGES)} pages changed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["meta.md", "README.md"])
def test_a_page_that_was_changed_or_lost_fails_the_check(tmp_path: Path, name: str) -> None:
    call_command("platform_docs", output=tmp_path)
    (tmp_path / name).write_text(PAGES[name] + "One more word.\n", encoding="utf-8")
    with pytest.raises(CommandError, match=name) as caught:
        check(tmp_path)
    assert caught.value.returncode == 1
    (tmp_path / name).unlink()
    assert differing(tmp_path, PAGES) == [name]
    call_command("platform_docs", output=tmp_path)
    check(tmp_path)


def test_the_check_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        check(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_page_of_a_platform_that_is_gone_goes_too(tmp_path: Path) -> None:
    call_command("platform_docs", output=tmp_path)
    (tmp_path / "orkut.md").write_text("# Orkut\n", encoding="utf-8")
    with pytest.raises(CommandError, match="orkut"):
        check(tmp_path)
    call_command("platform_docs", output=tmp_path)
    assert not (tmp_path / "orkut.md").exists()
