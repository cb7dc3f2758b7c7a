"""A platform from outside the tree, as ADDING_A_PLATFORM.md describes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.platforms import base, identity


class Acme(base.Platform):
    """Acme Ads: one JSON document a request, the e-mail address hashed."""

    key = "acme"
    label = "Acme Ads"
    kind = base.Kind.ADS
    takes_custom_events = True
    batch_limit = 100
    recommended = frozenset({"SignUp", "Purchase"})
    fields = (
        base.Field(
            name="token",
            label=_("Access token"),
            secret=True,
            required=True,
            pattern=r"acme-\w{8,64}",
            example="acme-0123456789",
            help=_("Acme → Settings → Tokens"),
        ),
    )

    def build(self, items: Sequence[base.Item], config: base.Config, now: datetime) -> base.Built:
        skipped, parts = [], []
        for item in items:
            person = identity.hashed(identity.email(item.payload.email or ""))
            if not person:
                skipped.append(base.Skip(item=item, reason="no_identity", detail="Acme needs an e-mail address."))
                continue
            event = {"name": item.native_name, "id": item.event_id, "at": item.occurred_ms // 1000, "person": person}
            parts.append((item, msgspec.json.encode(base.with_overrides(event, item, self.key))))
        requests = [
            base.Request(
                method="POST",
                url="https://api.acme.example/events",
                headers={"Authorization": f"Bearer {config['token']}", "Content-Type": "application/json"},
                body=b'{"events":[' + b",".join(body for _, body in run) + b"]}",
                items=[item for item, _ in run],
            )
            for run in base.chunks(parts, self.batch_limit)
        ]
        return base.Built(requests=requests, skipped=skipped)
