"""Which span is the root of an email: not always the one without a parent.

The email of a trusted sender joins the sender's trace, so its root hangs under a span of somebody else, which may be stored
as well, or never come.
"""

from __future__ import annotations

from otel_autopilot.local.model import SpanRecord
from otel_autopilot.telemetry import names

#: What a span is to its trace: the larger the better a root. An email whose attempts tell their run has `EMAIL_ROOT` to wait for.
NO_ROOT, ROOT, EMAIL_ROOT = 0, 1, 2

_PIPELINE, _RUN_ID, _OUTCOME = names.EMAIL_PIPELINE.name, names.RUN_ID.name, names.OUTCOME.name


def rank(span: SpanRecord) -> int:
    """`EMAIL_ROOT` for the root of an email wherever it hangs, `ROOT` for another span without a parent, else `NO_ROOT`."""
    alone = span.parent_span_id is None
    if not alone and span.name != _PIPELINE:
        return NO_ROOT
    if (alone and span.name == _PIPELINE) or _RUN_ID in span.attributes or _OUTCOME in span.attributes:
        return EMAIL_ROOT
    return ROOT if alone else NO_ROOT
