"""System checks: a misconfiguration is found before traffic is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from destinations import platforms


@register()
def check_credentials_keys(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for number, key in enumerate(settings.CREDENTIALS_KEYS, start=1):
        try:
            Fernet(key)
        except (ValueError, TypeError):
            found.append(
                Error(
                    f"Key {number} of CREDENTIALS_KEYS is not a Fernet key.",
                    hint="Make one: python -c 'from cryptography.fernet import Fernet; "
                    "print(Fernet.generate_key().decode())'",
                    id="trackstack.E001",
                )
            )
    return found


@register()
def check_registry(**_: Any) -> list[CheckMessage]:
    """The registry and the files beside it must name the same platforms."""
    folder = Path(platforms.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "base",
        "identity",
    }
    modules = {name for name in modules if not name.startswith("_")}
    named = {path.split(".")[-2] for path in platforms.PLATFORMS.values() if path.startswith("destinations.platforms.")}
    found: list[CheckMessage] = [
        Error(
            f"destinations/platforms/{name}.py has no line in the registry.",
            id="trackstack.E002",
        )
        for name in sorted(modules - named)
    ]
    found += [
        Error(f"The registry names {name}, which has no module.", id="trackstack.E003")
        for name in sorted(named - modules)
    ]
    return found


@register(deploy=True)
def check_sandbox_off(**_: Any) -> list[CheckMessage]:
    if settings.SANDBOX_URL and not settings.IS_EMBEDDED:
        return [
            checks.Warning(
                "SANDBOX_URL is set in a deployment.",
                hint="Destinations in sandbox mode send there and reach no platform.",
                id="trackstack.W001",
            )
        ]
    return []
