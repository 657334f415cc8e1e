"""Metric points into the embedded store, each under its series."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from otel_autopilot.local.model import MetricPoint
from otel_autopilot.local.rows import moment
from otel_autopilot.local.values import encode, text

_INSERT_SERIES = (
    "INSERT OR IGNORE INTO series (hash, name, type, unit, description, temporality, monotonic, attributes, scope, resource) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_INSERT_POINT = "INSERT OR IGNORE INTO points VALUES (?,?,?,?,?,?)"
_MOST_INTEGER = (1 << 63) - 1


def write_points(connection: sqlite3.Connection, points: Sequence[MetricPoint], resource: Callable[[dict[str, Any]], int]) -> int:
    """Store points in the transaction that is open; returns how many were new.

    A series is a name, type, unit, temporality, attributes, scope and resource; its description is that of its first point.
    Which number a series has is looked up in every transaction: another process may have erased the series since.
    """
    numbers: dict[bytes, int] = {}
    written = []
    for point in points:
        of = resource(point.resource)
        attributes = encode(dict(sorted(point.attributes.items())))
        scope = encode([point.scope.name, point.scope.version]) if point.scope.name else None
        identity = encode([point.name, point.type, point.unit, point.temporality, point.monotonic, attributes, scope, of])
        key = hashlib.sha256(identity.encode()).digest()[:16]
        number = numbers.get(key)
        if number is None:
            connection.execute(
                _INSERT_SERIES,
                (
                    key, text(point.name), point.type, text(point.unit), text(point.description), point.temporality,
                    bool(point.monotonic), attributes, scope, of,
                ),
            )  # fmt: skip
            number = numbers[key] = int(connection.execute("SELECT id FROM series WHERE hash = ?", (key,)).fetchone()[0])
        written.append(
            (
                number, moment(point.time_unix_nano), moment(point.start_unix_nano), _number(point.value),
                None if point.distribution is None else encode(point.distribution),
                encode(list(point.exemplars)) if point.exemplars else None,
            )
        )  # fmt: skip
    before = connection.total_changes
    connection.executemany(_INSERT_POINT, written)
    return connection.total_changes - before


def _number(value: float | None) -> int | float | None:
    """A value that SQLite takes: NaN is stored as null, an integer beyond 64 bits as the nearest floating point number."""
    return float(value) if isinstance(value, int) and abs(value) > _MOST_INTEGER else value
