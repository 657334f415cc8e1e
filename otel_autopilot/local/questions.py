"""What can be asked of the embedded store, once for all who ask: the viewer, `query` and the MCP server.

Each question has a name, a path below ``/view/api/`` and parameters; its answer is made of dictionaries and lists that strict
JSON can carry. ``docs/viewer-api.md`` says what is in them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otel_autopilot.errors import QueryError

if TYPE_CHECKING:
    from otel_autopilot.local.queries import Queries


@dataclass(frozen=True)
class Parameter:
    """One thing that a question takes. Of kind ``list`` it may be given several times."""

    name: str
    help: str
    kind: type[str] | type[int] | type[float] | type[bool] | type[list[str]] = str
    required: bool = False

    @property
    def argument(self) -> str:
        """Its name in Python, where ``from`` is taken."""
        return f"{self.name}_" if self.name == "from" else self.name


@dataclass(frozen=True)
class Question:
    """Something to ask.

    Attributes:
        name: as a command; the MCP server's tools have underscores in it.
        path: below ``/view/api/``; parameters in braces are part of it.
        ask: the method of `otel_autopilot.local.queries.Queries`.
    """

    name: str
    path: str
    help: str
    ask: str
    parameters: tuple[Parameter, ...] = ()
    example: str = ""

    @property
    def in_path(self) -> frozenset[str]:
        """Names of the parameters that are part of the path."""
        return frozenset(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    def read(self, given: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
        """Parameters out of a URL. Raises QueryError for one that isn't there, or comes twice and may not."""
        known = {parameter.name: parameter for parameter in self.parameters}
        found: dict[str, str | list[str]] = {}
        for name, value in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise QueryError(
                    name[:40], f"the parameter {near[0]}" if near else f"one of {', '.join(known) or 'no parameters'}", name
                )
            if known[name].kind == list[str]:
                found[name] = [*found.get(name, ()), value]
            elif name in found:
                raise QueryError(name, "one value", [found[name], value])
            else:
                found[name] = value
        return found

    def answer(self, queries: Queries, given: Mapping[str, Any]) -> dict[str, Any]:
        """Ask; what is None counts as not given. Raises QueryError and StoreError."""
        arguments = {}
        for parameter in self.parameters:
            value = given.get(parameter.name)
            if parameter.required and value in (None, ""):
                raise QueryError(parameter.name, "a value", value)
            if value is not None:
                arguments[parameter.argument] = value
        answer: dict[str, Any] = getattr(queries, self.ask)(**arguments)
        return answer


_FROM = Parameter("from", "Begin: RFC 3339, Unix seconds, or how long ago (15m, 2h, 7d).")
_TO = Parameter("to", "End, said in the same ways; now where it isn't given.")
_SERVICE = Parameter("service", "Exactly this service.name.")
_WORKFLOW = Parameter("workflow", "Exactly this autopilot.workflow.")
_VERSION = Parameter("version", "Exactly this service.version.")
_LIMIT = Parameter("limit", "Rows in a page, 1 to 500.", int)
_CURSOR = Parameter("cursor", "Where to go on: `next` of the page before.")
_PAGE = (_LIMIT, _CURSOR)
_RANGE = (_FROM, _TO)
_WHERE_FROM = (_SERVICE, _WORKFLOW, _VERSION)
_MIN = Parameter("min_ms", "At least so many milliseconds long.", float)
_MAX = Parameter("max_ms", "At most so many milliseconds long.", float)
_TRACE_ID = Parameter("trace_id", "32 hexadecimal digits.", required=True)
_STEPS = Parameter("steps", "Points on the time axis, 10 to 1000.", int)


def _side(side: str) -> tuple[Parameter, ...]:
    return tuple(
        replace(parameter, name=f"{side}_{parameter.name}", help=f"Of {side}: {parameter.help}")
        for parameter in (*_RANGE, *_WHERE_FROM)
    )


QUESTIONS: tuple[Question, ...] = (
    Question(
        "traces", "traces", "Find emails, or traces of any kind: newest first, by stage, outcome, length, service, text or id.", "traces",
        (
            Parameter("kind", "emails (the default) or all."),
            Parameter("q", "A trace id, run id, Message-ID, sender's address, or text in a span or log."),
            Parameter("stage", "Went through this stage: email, ingestion, digest or delivery; length, outcome and errors are then about it."),
            Parameter("outcome", "Ended so: success, failed, rejected."), *_WHERE_FROM, _MIN, _MAX,
            Parameter("errors", "Only those with errors.", bool), Parameter("measure", "With stage: work (the default) or wait."), *_RANGE, *_PAGE,
        ),
        "traces --outcome failed --from 1h --json",
    ),
    Question(
        "trace", "traces/{trace_id}", "One trace: its spans as a tree with self time and queue wait, critical path, logs, links both ways.",
        "trace", (_TRACE_ID,), "trace 4bf92f3577b34da6a3ce929d0e0e4736 --json",
    ),
    Question(
        "span", "traces/{trace_id}/spans/{span_id}", "One span with all that is known of it: attributes, events, links, resource, logs.",
        "span", (_TRACE_ID, Parameter("span_id", "16 hexadecimal digits.", required=True)),
        "span 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 --json",
    ),
    Question(
        "raw", "traces/{trace_id}/json", "One trace with everything in it, as `trace --json` has it.", "trace_json", (_TRACE_ID,),
        "raw 4bf92f3577b34da6a3ce929d0e0e4736 --json",
    ),
    Question(
        "breakdown", "breakdown", "Where the time goes: p50, p95 and p99 of work and queue wait of each stage, and its share of the whole.",
        "breakdown", (*_RANGE, *_WHERE_FROM), "breakdown --from 7d",
    ),
    Question(
        "heatmap", "heatmap", "How many emails took how long, over time.", "heatmap",
        (
            Parameter("stage", "A stage, or `email pipeline` for the whole (the default)."), Parameter("measure", "work (the default) or wait."),
            Parameter("columns", "Steps of time, 10 to 200.", int), *_RANGE, *_WHERE_FROM,
        ),
        "heatmap --stage digest --from 24h --json",
    ),
    Question(
        "compare-traces", "compare/traces", "Two traces side by side, span by span.", "compare_traces",
        (Parameter("a", "A trace id.", required=True), Parameter("b", "Another.", required=True)), "compare-traces --a ID --b ID",
    ),
    Question(
        "compare-ranges", "compare/ranges", "Two ranges of time, versions, services or workflows side by side, with how certain the difference is.",
        "compare_ranges", (*_side("a"), *_side("b")), "compare-ranges --a-from 14d --a-to 7d --b-from 7d",
    ),
    Question("metrics", "metrics", "Every metric that was received: type, unit, series.", "metrics", (), "metrics"),
    Question(
        "series", "metrics/series", "One metric over time: rates of counters, percentiles of histograms, exemplars.", "metric_series",
        (
            Parameter("name", "Its name, as `metrics` lists it.", required=True), *_RANGE, Parameter("by", "Attribute to group by.", list[str]),
            Parameter("where", "key=value.", list[str]), _STEPS,
        ),
        "series --name autopilot.stage.duration --by autopilot.stage --json",
    ),
    Question(
        "logs", "logs", "Log records, newest first.", "logs",
        (
            Parameter("q", "Text in the body, name or attributes."), Parameter("severity", "At least this: trace, debug, info, warn, error, fatal or OTLP's number."),
            _SERVICE, replace(_TRACE_ID, required=False), *_RANGE, *_PAGE,
        ),
        "logs --severity warn --from 1h",
    ),
    Question(
        "runtime", "runtime", "CPU, memory, I/O, threads and event loop lag of each process, beside the emails of that time.", "runtime",
        (*_RANGE, _SERVICE, _STEPS), "runtime --from 1h --json",
    ),
    Question(
        "spans", "spans", "Spans of any trace by name, length and attributes; with --by counts and percentiles of groups.", "spans",
        (
            Parameter("name", "Exactly this name."), _SERVICE, Parameter("kind", "server, client, internal, producer or consumer."),
            Parameter("where", "key=value, key!=value, key>number, key<number, or key.", list[str]),
            Parameter("errors", "Only those that failed.", bool), _MIN, _MAX, *_RANGE, *_PAGE,
            Parameter("by", "Group by name, service or an attribute.", list[str]),
        ),
        "spans --name 'smtp send' --by autopilot.smtp.response.status_code --from 24h",
    ),
    Question("health", "health", "What became of telemetry: produced, exported, waiting, dropped and why; and what is stored.", "health", (), "health"),
    Question("facets", "facets", "Services, workflows, outcomes and versions that are stored.", "facets", (), "facets"),
    Question("state", "state", "How much is stored, who receives, and whether anything changed.", "state", (), "state --json"),
)  # fmt: skip
