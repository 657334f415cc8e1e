"""The way from each version of the embedded store's tables to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from otel_autopilot.local import rows, tables
from otel_autopilot.local.values import decode
from otel_autopilot.telemetry.names import EMAIL_PIPELINE, STAGES

Run = Callable[[sqlite3.Connection], None]

_TRACES_3 = """
CREATE TABLE traces (
    number INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, service TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL, run_id TEXT, workflow TEXT, outcome TEXT,
    message_id TEXT, sender TEXT, stages TEXT, rooted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE spans (
    trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_span_id BLOB, name TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, error INTEGER NOT NULL, resource INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE INDEX traces_start ON traces (start_unix_nano DESC);
CREATE INDEX traces_run ON traces (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX traces_message ON traces (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX traces_sender ON traces (sender) WHERE sender IS NOT NULL;
CREATE INDEX traces_outcome ON traces (outcome, start_unix_nano DESC);
"""
_DROP_TRACES_INDEXES = """
DROP INDEX traces_start;
DROP INDEX traces_run;
DROP INDEX traces_message;
DROP INDEX traces_sender;
DROP INDEX traces_outcome;
"""


def _to_4(connection: sqlite3.Connection) -> None:
    """Attempts and links of their own, found in what is there; the list by one index; points by series.

    The metric points of version 3 go: they lack what a rate needs (when counting began, whether a sum only grows, the buckets of
    exponential histograms).
    """
    connection.create_function("service_version", 1, lambda text: rows.label((decode(text) or {}).get("service.version")) or "")
    tables.execute_all(
        connection,
        "".join(
            (
                "ALTER TABLE traces RENAME TO traces_3; ALTER TABLE logs RENAME TO logs_3; DROP TABLE metric_points;",
                "DROP INDEX logs_trace; DROP INDEX logs_time;",
                _DROP_TRACES_INDEXES, tables.TRACES, tables.ATTEMPTS, tables.LINKS, tables.LOGS, tables.POINTS, tables.TOTALS,
                """
INSERT INTO traces SELECT number, trace_id, name, service, coalesce((
        SELECT service_version(r.attributes) FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = t.number
        ORDER BY s.parent_span_id IS NOT NULL, s.start_unix_nano LIMIT 1
    ), ''), max(0, start_unix_nano), max(0, end_unix_nano), spans, errors, run_id, workflow, outcome, message_id, sender,
    run_id IS NOT NULL OR outcome IS NOT NULL OR stages IS NOT NULL, rooted FROM traces_3 t;
INSERT INTO logs SELECT id, max(0, time_unix_nano), severity_number, severity_text, body, trace_id, span_id, '', NULL, attributes, resource FROM logs_3;
DROP TABLE traces_3;
DROP TABLE logs_3;
UPDATE spans SET start_unix_nano = max(0, start_unix_nano), end_unix_nano = max(0, end_unix_nano) WHERE start_unix_nano < 0 OR end_unix_nano < 0;
""",
            )
        ),
    )  # fmt: skip
    connection.executemany(f"{rows.INSERT_ATTEMPT} VALUES (?,?,?,?,?,?,?,?,?)", _attempts(connection))
    connection.executemany(f"{rows.INSERT_LINK} VALUES (?,?,?,?)", _links(connection))
    connection.execute(
        "UPDATE totals SET changes = 1, traces = (SELECT count(*) FROM traces), spans = (SELECT count(*) FROM spans), "
        "logs = (SELECT count(*) FROM logs)"
    )


def _attempts(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    marks = ",".join("?" * len(STAGES))
    found = connection.execute(
        f"SELECT trace, span_id, name, start_unix_nano, end_unix_nano, error, body FROM spans WHERE name IN ({marks})",  # noqa: S608  # nosec B608  # question marks
        STAGES,
    )
    for trace, span_id, name, start, end, error, body in found:
        row = rows.attempt_row((trace, span_id, None, name, start, end, error), decode(body)[0])
        if row is not None:
            yield row


def _links(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    # Only a body with events or links ends with two brackets.
    for trace, span_id, body in connection.execute("SELECT trace, span_id, body FROM spans WHERE body LIKE '%]]'"):
        decoded = decode(body)
        if len(decoded) > 6:
            yield from rows.link_rows(trace, span_id, [(link[0], link[1]) for link in decoded[6]])


def _to_5(connection: sqlite3.Connection) -> None:
    """The root of an email counts wherever it hangs, and its length is the email's."""
    connection.execute("UPDATE traces SET email = 2 WHERE run_id IS NOT NULL AND NOT rooted")
    found = connection.execute(
        "SELECT t.number, lower(hex(t.trace_id)) FROM traces t "
        "WHERE EXISTS (SELECT 1 FROM spans s WHERE s.trace = t.number AND s.name = ?)",
        (EMAIL_PIPELINE.name,),
    ).fetchall()
    for number, trace_id in found:
        spans = connection.execute(
            f"SELECT {rows.SPAN_COLUMNS} FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? ORDER BY s.start_unix_nano",  # noqa: S608  # nosec B608
            (number,),
        )
        told = rows.summary(trace_id, [rows.span_of(trace_id, row) for row in spans])
        connection.execute(
            "UPDATE traces SET (name, service, version, start_unix_nano, end_unix_nano, outcome, email, rooted) = (?,?,?,?,?,?,?,?) "
            "WHERE number = ?",
            (*told[1:6], told[10], *told[13:15], number),
        )


#: What leads from the version before to this one: statements, or a function that runs them.
STEPS: dict[int, str | Run] = {
    # 1 had no index by sender.
    2: "CREATE INDEX IF NOT EXISTS traces_sender ON traces (sender) WHERE sender IS NOT NULL;",
    # 2 kept spans by their trace's random id, so that each went to another page: a number puts them where the last ones are.
    3: "".join(
        (
            "ALTER TABLE traces RENAME TO traces_2; ALTER TABLE spans RENAME TO spans_2;",
            _DROP_TRACES_INDEXES,
            _TRACES_3,
            """
INSERT INTO traces SELECT row_number() OVER (ORDER BY start_unix_nano), * FROM traces_2;
INSERT INTO spans SELECT t.number, s.span_id, s.parent_span_id, s.name, s.start_unix_nano, s.end_unix_nano, s.error, s.resource, s.body
    FROM spans_2 s JOIN traces t ON t.trace_id = s.trace_id ORDER BY t.number;
DROP TABLE spans_2;
DROP TABLE traces_2;
""",
        )
    ),
    4: _to_4,
    5: _to_5,
}
