"""Django's PostgreSQL backend over the embedded engine: the first connection starts it. Nothing else differs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        settings.EMBEDDED.acquire_postgres_once()
        return super().get_new_connection(conn_params)
