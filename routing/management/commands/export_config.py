"""`manage.py export_config`: the routing in force as one JSON document (`routing.config`), for a file in git."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from routing import config


class Command(BaseCommand):
    help = "Print the routing as JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(config.document(), ensure_ascii=False, indent=2))
