"""Load the shipped taxonomy, so that a new installation routes from the first request on."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from events.taxonomy import sync_taxonomy


def load(apps: Any, schema_editor: Any) -> None:
    sync_taxonomy(apps)


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
