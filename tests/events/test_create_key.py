"""`manage.py create_key`."""

from __future__ import annotations

import io

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from events import keys
from events.models import ApiKey, Source

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> list[str]:
    out = io.StringIO()
    call_command("create_key", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_key_is_alone_on_the_last_line_and_only_its_digest_is_stored() -> None:
    *words, text = create("--source", "Backend", "--label", "CI", "--expires", "30")
    assert keys.split_key(text)
    assert words[0] == "Source Backend was created."
    row = ApiKey.objects.get()
    assert (row.source.name, row.label) == ("Backend", "CI")
    assert row.expires_at is not None
    assert keys.matches(text, row.digest, settings.API_KEY_PEPPERS)
    assert text not in str(ApiKey.objects.values())


def test_an_existing_source_is_used() -> None:
    Source.objects.create(name="Backend")
    assert "existed already" in create("--source", "Backend")[0]
    assert Source.objects.count() == 1


@pytest.mark.parametrize("arguments", [("--source", " "), ("--source", "a" * 65), ("--source", "a", "--expires", "0")])
def test_what_cannot_be_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        create(*arguments)
