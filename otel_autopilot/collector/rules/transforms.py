"""Statements of the transform processor: in which context they run."""

from __future__ import annotations

import re

from otel_autopilot.collector.configuration import Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.nodes import Mapping, Node, Scalar, entries, items, value

#: From the lowest to the highest, as the processor ranks them (context_inferrer.go of pkg/ottl).
_CONTEXTS = ("log", "exemplar", "datapoint", "metric", "spanevent", "span", "profile", "scope", "instrumentation_scope", "resource")
#: Those that need not be there: a span without events, a metric without points, a point without exemplars.
_OPTIONAL = {"spanevent": "events", "datapoint": "data points", "exemplar": "exemplars"}
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
_PATH = re.compile(rf"(?<![\w.])({'|'.join(_CONTEXTS)})\s*\.")


def transform_mixed_contexts(config: Configuration) -> Problems:
    """Statements of one list run in one context, the lowest that any of them names, unless `context` says which.

    Beside a statement about `spanevent.`, those about `span.` do nothing on a span without events. Span and resource go together:
    where there is a resource there is a span. Conditions of a group that name the lowest context mean it for all statements.
    """
    for component in config.used("processors"):
        if component.type != "transform":
            continue
        for each in entries(component.settings):
            if not each.key.endswith("_statements"):
                continue
            flat = [item for item in items(each.value) if isinstance(item, Scalar)]
            groups: list[tuple[list[Node], Node | None]] = [(list(flat), None)]
            groups += [
                (list(items(value(group, "statements"))), value(group, "conditions"))
                for group in items(each.value)
                if isinstance(group, Mapping) and value(group, "context") is None
            ]
            for statements, conditions in groups:
                yield from _mixed(component.id, statements, {_lowest(item) for item in items(conditions)})


def _mixed(component: str, statements: list[Node], conditions: set[str | None]) -> Problems:
    named = [(_lowest(statement), statement) for statement in statements]
    contexts = sorted({context for context, _ in named if context}, key=_CONTEXTS.index)
    if len(contexts) < 2 or contexts[0] not in _OPTIONAL or contexts[0] in conditions:
        return
    lowest, others = contexts[0], contexts[1:]
    yield (
        next(statement.mark for context, statement in named if context == lowest),
        f"{component} runs all statements of this list for each {lowest}, so those about {' and '.join(others)} do nothing where "
        f"there are no {_OPTIONAL[lowest]}: make a group for each context, with `context: {lowest}` and `context: {others[0]}`",
    )


def _lowest(statement: Node) -> str | None:
    """The lowest context that a statement or condition names, its `where` included."""
    if not isinstance(statement, Scalar):
        return None
    return min(_PATH.findall(_TEXT.sub('""', statement.text)), key=_CONTEXTS.index, default=None)
