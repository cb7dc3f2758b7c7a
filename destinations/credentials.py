"""Platform secrets at rest: Fernet with a ring of keys (the first encrypts, all decrypt), so keys can be rotated."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(values: dict[str, str]) -> str:
    return _ring(tuple(settings.CREDENTIALS_KEYS)).encrypt(json.dumps(values).encode()).decode()


def decrypt(token: str) -> dict[str, str]:
    """Raises ImproperlyConfigured when no key of the ring opens the token (a key was dropped too early)."""
    try:
        result: dict[str, str] = json.loads(_ring(tuple(settings.CREDENTIALS_KEYS)).decrypt(token.encode()))
    except InvalidToken:
        raise ImproperlyConfigured(
            "Stored credentials cannot be read with CREDENTIALS_KEYS: put the key they were written with back, last."
        ) from None
    return result


class EncryptedJSONField(models.TextField):
    """A dict of secret strings, encrypted in its column. Not searchable, on purpose."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> dict[str, str]:
        return decrypt(value) if value else {}

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, dict) else (decrypt(value) if value else {})

    def get_prep_value(self, value: Any) -> str:
        return encrypt(value) if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj))
