"""Write the documents that come from code, or check that they are up to date (``--check``)."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from opentelemetry import semconv

from otel_autopilot.settings import OTEL_VARIABLES, Settings
from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.buckets import DURATION_BOUNDS
from otel_autopilot.telemetry.personal_names import PERSONAL_NAMES, is_personal
from otel_autopilot.workflow import outcomes

ROOT = Path(__file__).parents[1]

OF_OTHERS = [
    "## From other instrumentations",
    "",
    "`serve` is instrumented with opentelemetry-instrumentation-fastapi as well (`/health/*` and `/metrics` are left out). These follow",
    "the HTTP semantic conventions and change with that package:",
    "",
    "| name | what it is |",
    "|---|---|",
    "| span `POST /api/emails`, `GET /api/runs`, ... (SERVER) | One request: a trace of its own, linked from the `email pipeline` it began. |",
    "| metric `http.server.request.duration` | Seconds of a request, by method, route and status. |",
    "| metric `http.server.active_requests` | Requests under way. |",
    "| metrics `http.server.request.body.size`, `http.server.response.body.size` | Bytes. |",
    "| metrics `otel.sdk.*` | What the SDK says of itself, where its own switch (`OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`) is on. |",
    "",
    "Durations have the buckets of `otel_autopilot/telemetry/buckets.py`, as ours have, so that they can be laid side by side.",
]

IN_PROMETHEUS = [
    "Prometheus appends units and kinds to what comes by OTLP: the last column. A histogram's series have `_bucket`, `_count` and `_sum`",
    "behind that, attributes are labels with underscores (`autopilot_stage`), and `service_name` and `service_instance_id` are labels too",
    "(`collector/prometheus.yaml`). The Collector counts spans besides: `traces_span_metrics_calls_total` and",
    "`traces_span_metrics_duration_seconds`, with the labels `service_name`, `span_name`, `span_kind`, `status_code`, `autopilot_stage`,",
    "`autopilot_outcome` and `autopilot_workflow`.",
]


def telemetry() -> str:
    """Every span, attribute and metric."""
    lines = [
        "# Telemetry",
        "",
        "What is emitted, written from `otel_autopilot/telemetry/names.py` by `make generated`. Names follow the OpenTelemetry",
        f"semantic conventions ({names.SEMCONV_SCHEMA_URL.rpartition('/')[2]}) where those have one; the rest is our namespace `autopilot.`.",
        "All of it is in development: a name may change with a release, and the changelog says so.",
        "",
        "## Spans",
        "",
        "| span | kind | what it is | attributes |",
        "|---|---|---|---|",
    ]
    for span in names.SPANS:
        attributes = ", ".join(f"`{attribute.name}`" for attribute in span.attributes)
        lines.append(f"| `{span.name}` | {span.kind} | {span.brief} | {attributes} |")
    lines += ["", "## Attributes", "", "| attribute | type | what it is |", "|---|---|---|"]
    every = {attribute.name: attribute for item in (*names.SPANS, *names.METRICS) for attribute in item.attributes}
    for name in sorted(every):
        lines.append(f"| `{name}` | {every[name].type} | {every[name].brief} |")
    lines += ["", "## Metrics", "", *IN_PROMETHEUS, "", "| metric | instrument | unit | what it is | attributes | in Prometheus |"]
    lines.append("|---|---|---|---|---|---|")
    for metric in names.METRICS:
        attributes = ", ".join(f"`{attribute.name}`" for attribute in metric.attributes)
        lines.append(
            f"| `{metric.name}` | {metric.instrument} | `{metric.unit}` | {metric.brief} | {attributes} | `{metric.in_prometheus}` |"
        )
    lines += ["", *OF_OTHERS]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Every setting."""
    lines = [
        "# Settings",
        "",
        "A flag wins over a standard `OTEL_*` variable, that over `AUTOPILOT_*`, that over the settings file (TOML, at",
        "`$AUTOPILOT_CONFIG_FILE` or `$XDG_CONFIG_HOME/otel-autopilot/config.toml`), that over the default.",
        "`otel-autopilot doctor` prints what is in force and where it came from. Lists are separated by commas.",
        "",
        "| variable | key in the file | default | what it is |",
        "|---|---|---|---|",
    ]
    standard = {field: variable for variable, field in OTEL_VARIABLES.items()}
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory is not None or field.default in (None, ()) else f"`{field.default}`"
        variable = f"`AUTOPILOT_{name.upper()}`" + (f" (or `{standard[name]}`)" if name in standard else "")
        lines.append(f"| {variable} | `{name}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def duration_bounds() -> str:
    """The bucket bounds as the Collector's span metrics take them."""
    bounds = ", ".join(_duration(bound) for bound in DURATION_BOUNDS)
    return f"# Written by `make generated` from otel_autopilot/telemetry/buckets.py: change them there.\n[{bounds}]\n"


def personal_keys() -> str:
    """Names of attributes that are personal, as the Collector's redaction takes them."""
    lines = [
        "# Names of attributes that hold personal data, as RE2 expressions. ($$ is a dollar sign.)",
        "# Written by `make generated` from otel_autopilot/telemetry/personal_names.py: change them there.",
    ]
    return "\n".join([*lines, *(f"- '{expression.replace('$', '$$')}'" for expression in PERSONAL_NAMES)]) + "\n"


def known_keys() -> str:
    """Names of attributes that are ours or the semantic conventions', without those that are personal by their name."""
    ours = {attribute.name for item in (*names.SPANS, *names.METRICS) for attribute in item.attributes}
    folders = [Path(semconv.__path__[0]) / name for name in ("attributes", "_incubating/attributes")]
    theirs = {
        value
        for folder in folders
        for file in sorted(folder.glob("*_attributes.py"))
        for value in re.findall(r'^[A-Z0-9_]+: Final = "([a-z0-9_.]+)"$', file.read_text(), re.MULTILINE)
    }
    keys = sorted(key for key in ours | theirs if "." in key and (key in ours or not is_personal(key)))
    lines = [
        "# Written by `make generated` from the semantic conventions and otel_autopilot/telemetry/names.py: change nothing here."
    ]
    return "\n".join([*lines, *(f"- {key}" for key in keys)]) + "\n"


def _duration(seconds: float) -> str:
    """As Go reads it: whole seconds, or milliseconds."""
    return f"{seconds:g}s" if seconds == int(seconds) else f"{seconds * 1000:g}ms"


GENERATED = {
    "docs/telemetry.md": telemetry,
    "docs/settings.md": settings,
    "docs/outcomes.md": outcomes.as_markdown,
    "collector/fragments/duration_bounds.yaml": duration_bounds,
    "collector/fragments/known_keys.yaml": known_keys,
    "collector/fragments/personal_keys.yaml": personal_keys,
}


def main() -> int:
    """Write or check; 1 when something is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a document is out of date")
    check = parser.parse_args().check
    stale = []
    for name, make in GENERATED.items():
        path, text = ROOT / name, make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    if check and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run: make generated\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
