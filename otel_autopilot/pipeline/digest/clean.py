"""What is new in a mail: quoted replies, signatures, notices and newsletter furniture are taken out."""

from __future__ import annotations

import re

from otel_autopilot.pipeline.digest.boilerplate import without_boilerplate
from otel_autopilot.pipeline.digest.quotes import new_lines, says_something
from otel_autopilot.pipeline.digest.signatures import without_signature
from otel_autopilot.pipeline.digest.subjects import is_forward, is_reply


def new_text(text: str, subject: str = "", author: str = "") -> str:
    """The part of a body that its sender wrote.

    ``subject`` tells a reply from a forward, ``author`` is the sender's name. A mail that holds nothing but quoted or
    forwarded text gives that, its header lines left out; one that holds nothing but boilerplate gives it all.
    """
    lines = text.split("\n")
    new = new_lines(lines, reply=is_reply(subject), forward=is_forward(subject))
    kept = without_signature(without_boilerplate(new), author)
    if not says_something(kept):
        kept = new if says_something(new) else lines
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
