"""Who sent what is stored: services, versions, instances; and what a page offers to filter by."""

from __future__ import annotations

import sqlite3
from typing import Any

from otel_autopilot.local.queries.shown import cut
from otel_autopilot.local.rows import label
from otel_autopilot.local.values import decode
from otel_autopilot.telemetry.names import STAGES

#: Values that a page offers of one kind.
MOST_OFFERED = 500


def resource_within(connection: sqlite3.Connection, column: str, service: str) -> str:
    """The condition that a column holds the number of a resource of that service."""
    numbers = (
        str(number)
        for number, attributes in connection.execute("SELECT id, attributes FROM resources")
        if str(decode(attributes).get("service.name", "")) == service
    )
    return f"{column} IN ({','.join(numbers) or '-1'})"


def facets(connection: sqlite3.Connection) -> dict[str, Any]:
    """``GET facets``: what there is among traces; instances are those that sent metrics."""
    of_series = connection.execute("SELECT attributes FROM resources WHERE id IN (SELECT resource FROM series) ORDER BY id DESC")
    instances = {
        (cut(str(of.get("service.name", ""))), cut(str(of["service.instance.id"]))): None
        for of in (decode(attributes) for (attributes,) in of_series)
        if "service.instance.id" in of
    }
    logged = (decode(attributes) for (attributes,) in connection.execute("SELECT attributes FROM resources ORDER BY id DESC"))
    services = {*_distinct(connection, "service"), *(label(of.get("service.name")) or "" for of in logged)} - {""}
    return {
        "services": sorted(services)[:MOST_OFFERED],
        "workflows": _distinct(connection, "workflow"),
        "outcomes": _distinct(connection, "outcome"),
        "versions": _distinct(connection, "version"),
        "stages": list(STAGES),
        "instances": [{"service": service, "instance": instance} for service, instance in list(instances)[:MOST_OFFERED]],
    }


def _distinct(connection: sqlite3.Connection, column: str) -> list[str]:
    found = connection.execute(
        f"SELECT DISTINCT {column} FROM traces INDEXED BY traces_list WHERE start_unix_nano >= 0 AND {column} > '' LIMIT ?",  # noqa: S608  # nosec B608
        (MOST_OFFERED,),
    )
    return sorted(value for (value,) in found)
