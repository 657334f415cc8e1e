"""What a reader wants to know of a span at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Attributes that a reader wants beside a bar, and what to call them.
_SHOWN = {
    "autopilot.email.size": ("", "bytes"), "autopilot.email.attachments": ("", "attachments"), "autopilot.email.rule": ("rule ", ""),
    "autopilot.document.kind": ("", ""), "autopilot.document.pages": ("", "pages"), "autopilot.document.characters": ("", "characters"),
    "autopilot.digest.method": ("", ""), "autopilot.digest.key_points": ("", "points"),
    "autopilot.delivery.target": ("", ""), "autopilot.delivery.outcome": ("", ""), "autopilot.smtp.response.status_code": ("SMTP ", ""),
    "http.response.status_code": ("HTTP ", ""), "autopilot.delivery.try": ("try ", ""),
}  # fmt: skip


def facts_of(attributes: Mapping[str, Any]) -> str:
    """Text such as ``pdf, 12 pages, 30,411 characters``; empty where there is nothing to tell."""
    told = []
    for key, (before, after) in _SHOWN.items():
        value = attributes.get(key)
        if value not in (None, "", 0, "default"):
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and after else str(value)
            told.append(f"{before}{shown}{' ' + (after.removesuffix('s') if value == 1 else after) if after else ''}")
    return ", ".join(told)
