"""The registry: one explicit line per platform, loaded when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from destinations.platforms.base import Platform

PLATFORMS: dict[str, str] = {
    "meta": "destinations.platforms.meta.Meta",
    "linkedin": "destinations.platforms.linkedin.LinkedIn",
    "webhook": "destinations.platforms.webhook.Webhook",
    "warehouse": "destinations.platforms.warehouse.Warehouse",
}


@cache
def get(key: str) -> Platform:
    """The adapter of a platform. Raises KeyError with the known keys when there is none."""
    try:
        module, _, name = PLATFORMS[key].rpartition(".")
    except KeyError:
        raise KeyError(f"unknown platform {key!r}; known: {', '.join(PLATFORMS)}") from None
    platform: Platform = getattr(import_module(module), name)()
    return platform


def every() -> list[Platform]:
    return [get(key) for key in PLATFORMS]
