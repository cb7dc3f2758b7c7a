"""The registry: one explicit line per platform, loaded when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from destinations.platforms.base import Platform

PLATFORMS: dict[str, str] = {
    "meta": "destinations.platforms.meta.Meta",
    "google_ads": "destinations.platforms.google_ads.GoogleAds",
    "linkedin": "destinations.platforms.linkedin.LinkedIn",
    "tiktok": "destinations.platforms.tiktok.TikTok",
    "reddit": "destinations.platforms.reddit.Reddit",
    "x": "destinations.platforms.x.X",
    "microsoft": "destinations.platforms.microsoft.Microsoft",
    "quora": "destinations.platforms.quora.Quora",
    "pinterest": "destinations.platforms.pinterest.Pinterest",
    "snapchat": "destinations.platforms.snapchat.Snapchat",
    "ga4": "destinations.platforms.ga4.Ga4",
    "hubspot": "destinations.platforms.hubspot.HubSpot",
    "salesforce": "destinations.platforms.salesforce.Salesforce",
    "customerio": "destinations.platforms.customerio.CustomerIo",
    "clickhouse": "destinations.platforms.clickhouse.ClickHouse",
    "bigquery": "destinations.platforms.bigquery.BigQuery",
    "tinybird": "destinations.platforms.tinybird.Tinybird",
    "files": "destinations.platforms.files.Files",
    "webhook": "destinations.platforms.webhook.Webhook",
    "warehouse": "destinations.platforms.warehouse.Warehouse",
}


ENTRY_POINTS = "trackstack.platforms"
"""An installed package adds platforms under this group: `mykey = "my_package.module:MyPlatform"`."""


@cache
def installed() -> dict[str, str]:
    """Platforms from outside the tree, key → `module:Class`. A key of ours cannot be taken over."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS) if point.name not in PLATFORMS}


def known_keys() -> list[str]:
    return [*PLATFORMS, *installed()]


@cache
def get(key: str) -> Platform:
    """The adapter of a platform. Raises KeyError with the known keys when there is none."""
    path = PLATFORMS.get(key) or installed().get(key, "").replace(":", ".")
    if not path:
        raise KeyError(f"unknown platform {key!r}; known: {', '.join(known_keys())}")
    module, _, name = path.rpartition(".")
    platform: Platform = getattr(import_module(module), name)()
    return platform


def every() -> list[Platform]:
    return [get(key) for key in known_keys()]
