"""Metrics: which there are, and one of them over time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from otel_autopilot.errors import NotStored, QueryError
from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.charts import (
    Chart,
    Charts,
    Labels,
    Series,
    Steps,
    charts,
    finite,
    series_named,
    speaking_within,
)
from otel_autopilot.local.queries.increases import COUNT, VALUE, number
from otel_autopilot.local.queries.parameters import Given, Many, TimeRange
from otel_autopilot.local.queries.shown import MOST_MESSAGE, cut
from otel_autopilot.local.values import decode, text

#: Lines of an answer at most, the largest.
MOST_LINES = 20
MOST_STEPS = 1_000
_MOST_METRICS, _MOST_KEYS = 2_000, 100
_HISTOGRAMS = ("histogram", "exponential_histogram")
_LAST = "(SELECT max(time_unix_nano) FROM points WHERE series = series.id)"


def metrics(connection: sqlite3.Connection) -> dict[str, Any]:
    """``GET metrics``, by name."""
    services = {
        number: cut(str(decode(attributes).get("service.name", "")))
        for number, attributes in connection.execute(
            "SELECT id, attributes FROM resources WHERE id IN (SELECT resource FROM series)"
        )
    }
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for name, kind, unit, description, resource, last in connection.execute(
        f"SELECT name, type, unit, description, resource, {_LAST} FROM series ORDER BY name, id"  # noqa: S608  # nosec B608
    ):
        row = found.setdefault(
            (name, kind, unit),
            {
                "name": text(name), "type": kind, "unit": unit, "description": cut(description, MOST_MESSAGE), "series": 0,
                "services": {}, "last_unix_nano": 0,
            },
        )  # fmt: skip
        row["series"] += 1
        row["services"][services.get(resource, "")] = None
        row["last_unix_nano"] = max(row["last_unix_nano"], last or 0)
    return {"metrics": [row | {"services": sorted(row["services"])} for row in list(found.values())[:_MOST_METRICS]]}


def metric_series(
    connection: sqlite3.Connection,
    name: str,
    *,
    from_: Given = None,
    to: Given = None,
    by: Many = None,
    where: Many = None,
    steps: Given = None,
) -> dict[str, Any]:
    """``GET metrics/series``. Raises NotStored where there is no metric of that name."""
    within = parameters.time_range(from_, to, back="1h")
    even = Steps.over(within, parameters.whole("steps", steps, usual=120, least=2, most=MOST_STEPS))
    keys = parameters.many("by", by)
    conditions = [_condition(one) for one in parameters.many("where", where)]
    named = series_named(connection, name if isinstance(name, str) else "")
    if not named:
        raise NotStored("name", "the name of a stored metric", name)
    kind, unit, description = _told_of(connection, named)
    same = [one for one in named if (one.type, one.counts) == (kind.type, kind.counts)]
    chosen = [one for one in same if all(one.label(key) == value for key, value in conditions)]
    found = charts(connection, speaking_within(connection, chosen, within), keys, even, within)
    lines = sorted(found.charts.values(), key=lambda chart: (-_size(chart), str(chart.labels)))
    return {
        "name": text(name), "type": kind.type, "unit": unit, "description": cut(description, MOST_MESSAGE),
        "monotonic": kind.counts, "from_unix_nano": even.first, "step_ns": even.length, "times_unix_nano": even.times,
        "attributes": _keys(same),
        "series": [{"labels": _labels(keys, chart.labels)} | _line(found, chart, kind) for chart in lines[:MOST_LINES]],
        "series_left_out": max(0, len(lines) - MOST_LINES) + found.unread,
        "exemplars": _exemplars(found, keys, within),
    }  # fmt: skip


def _condition(given: str) -> tuple[str, str]:
    key, sign, value = given.partition("=")
    if not sign or not key.strip():
        raise QueryError("where", "key=value", given)
    return key.strip(), value.strip()


def _told_of(connection: sqlite3.Connection, named: Sequence[Series]) -> tuple[Series, str, str]:
    """What kind of metric most of the series of the newest type say it is, its unit and description."""
    newest = named[0]
    unit, description = connection.execute("SELECT unit, description FROM series WHERE id = ?", (newest.id,)).fetchone()
    return newest, unit, description


def _keys(series: Sequence[Series]) -> list[str]:
    found = Counter(key for one in series for key in one.attributes)
    of_resource = ("service.name", "service.instance.id", "service.version", "host.name")
    more = [key for key in of_resource if any(key in one.resource for one in series)]
    return [cut(key) for key, _ in found.most_common(_MOST_KEYS)] + more


def _size(chart: Chart) -> float:
    return sum(abs(amount.get(COUNT, amount.get(VALUE, 0.0))) for amount in chart.told.values())


def _labels(keys: Sequence[str], labels: Labels) -> dict[str, str | None]:
    return {key: None if value is None else cut(value) for key, value in zip(keys, labels, strict=True)}


def _line(found: Charts, chart: Chart, kind: Series) -> dict[str, Any]:
    if kind.type in _HISTOGRAMS or kind.type == "summary":
        of = found.quoted if kind.type == "summary" else found.quantiles
        quantiles = {f"p{percent}": of(chart, percent / 100) for percent in (50, 95, 99)}
        return {"values": found.means(chart), "rate": found.rates(chart, COUNT)} | quantiles
    if kind.counts:
        return {"values": found.rates(chart)}
    return {"values": found.means(chart) if kind.type == "gauge" else found.sums(chart)}


def _exemplars(found: Charts, keys: Sequence[str], within: TimeRange) -> list[dict[str, Any]]:
    """Of each line the largest of each step, in order of time."""
    largest: dict[tuple[Labels, int], dict[str, Any]] = {}
    for labels, exemplar in found.exemplars:
        moment, value = exemplar.get("time_unix_nano"), exemplar.get("value")
        if not isinstance(moment, int) or not within.first <= moment <= within.last or not exemplar.get("trace_id"):
            continue
        shown = {
            "time_unix_nano": moment, "value": finite(number(value)), "trace_id": str(exemplar["trace_id"]),
            "span_id": exemplar.get("span_id"), "labels": _labels(keys, labels),
        }  # fmt: skip
        place = labels, (moment - found.steps.first) // found.steps.length
        if place not in largest or largest[place]["value"] < shown["value"]:
            largest[place] = shown
    return sorted(largest.values(), key=lambda one: one["time_unix_nano"])[-MOST_STEPS:]
