"""What an event may be called at a destination: one rule for the mapping form, CSV and the configuration.

Checked where names come in, not where they are written (`routing.toggles`): the way back to a name that an older rule
let in must stay open.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from routing.models import Route

LONGEST = Route._meta.get_field("native_name").max_length or 0


def problem_of(name: str) -> str:
    """Why no event can be called so, as a sentence; empty for a name that will do, and for none."""
    if len(name) <= LONGEST and name.isprintable() and name == name.strip():
        return ""
    sentence: str = _("A native name has at most %(longest)d characters, all printable, and no blank first or last.")
    return sentence % {"longest": LONGEST}
