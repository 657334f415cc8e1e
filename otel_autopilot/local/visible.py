"""Text of others on a terminal: what would move the cursor, ring, write the clipboard or turn the line around is shown instead."""

from __future__ import annotations

import re

#: Control characters (C0, DEL, C1), marks that change the direction of text, and what isn't seen at all.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """The text in one line, each character that isn't seen as its number: ``<1B>``."""
    return _UNSEEN.sub(lambda found: f"<{ord(found[0]):02X}>", " ".join(text.split()))


def escaped(json: str) -> str:
    """JSON with such characters as its own escapes; it means the same."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
