"""`show` and `list`: what the embedded store holds."""

from __future__ import annotations

import sys

from otel_autopilot.local.listing import print_list
from otel_autopilot.local.store import TraceStore
from otel_autopilot.local.terminal import console, json_text, print_trace
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import pseudonyms


def _store() -> TraceStore:
    settings = Settings.load()
    if settings.data_dir.is_dir():
        pseudonyms.use(pseudonyms.load_pseudonyms(settings.data_dir, settings.pseudonym_key_file))
    return TraceStore.open(settings.traces_db)


def show(key: str, *, as_json: bool) -> int:
    """Show the traces that a run id, a trace id or a Message-ID names; 1 when there is none."""
    store = _store()
    traces = store.find(key, pseudonyms.candidates(key))
    if not traces:
        sys.stderr.write(
            "otel-autopilot: expected a run id, a trace id or a Message-ID of a stored trace: there is none by that name; try: otel-autopilot list\n"
        )
        return 1
    for trace_id in traces:
        spans, logs = store.trace(trace_id)
        if as_json:
            sys.stdout.write(json_text({"trace_id": trace_id, "spans": [span.to_json() for span in spans]}) + "\n")
        else:
            print_trace(spans, logs, console())
    return 0


def list_traces(*, limit: int, outcome: str | None, everything: bool, as_json: bool) -> int:
    """List the latest emails, or with ``everything`` the latest traces of whatever kind."""
    rows = _store().latest(limit=limit, outcome=outcome, emails=not everything)
    if as_json:
        for row in rows:
            sys.stdout.write(json_text(row.to_json()) + "\n")
    elif not rows:
        sys.stderr.write(
            f"no stored email ended so: {outcome}\n" if outcome else "no emails are stored yet; try: otel-autopilot demo\n"
        )
    else:
        print_list(rows, console())
    return 0
