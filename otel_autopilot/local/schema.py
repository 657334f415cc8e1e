"""Tables of the embedded store, their version, and the way from each version to the next."""

from __future__ import annotations

import sqlite3

from otel_autopilot.errors import StoreError

#: Version of the tables below, kept in SQLite's ``user_version``.
VERSION = 3

#: Spans are kept by the number of their trace, in the order in which traces came: its id is random.
_TRACES = """
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
_TABLES = (
    _TRACES
    + """
CREATE TABLE resources (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL);
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, time_unix_nano INTEGER NOT NULL, severity_number INTEGER NOT NULL, severity_text TEXT NOT NULL,
    body TEXT NOT NULL, trace_id BLOB, span_id BLOB, attributes TEXT NOT NULL, resource INTEGER NOT NULL
);
CREATE INDEX logs_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_time ON logs (time_unix_nano);
CREATE TABLE metric_points (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, time_unix_nano INTEGER NOT NULL,
    attributes TEXT NOT NULL, value TEXT NOT NULL, resource INTEGER NOT NULL
);
CREATE INDEX metric_points_name ON metric_points (name, time_unix_nano);
CREATE INDEX metric_points_time ON metric_points (time_unix_nano);
"""
)

#: Statements that lead from the version before to this one.
_STEPS: dict[int, str] = {
    # 1 had no index by sender.
    2: "CREATE INDEX IF NOT EXISTS traces_sender ON traces (sender) WHERE sender IS NOT NULL;",
    # 2 kept spans by their trace's random id, so that each went to another page: a number puts them where the last ones are.
    3: "".join(
        (
            """
ALTER TABLE traces RENAME TO traces_2;
ALTER TABLE spans RENAME TO spans_2;
DROP INDEX traces_start;
DROP INDEX traces_run;
DROP INDEX traces_message;
DROP INDEX traces_sender;
DROP INDEX traces_outcome;
""",
            _TRACES,
            """
INSERT INTO traces SELECT row_number() OVER (ORDER BY start_unix_nano), * FROM traces_2;
INSERT INTO spans SELECT t.number, s.span_id, s.parent_span_id, s.name, s.start_unix_nano, s.end_unix_nano, s.error, s.resource, s.body
    FROM spans_2 s JOIN traces t ON t.trace_id = s.trace_id ORDER BY t.number;
DROP TABLE spans_2;
DROP TABLE traces_2;
""",
        )
    ),
}


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Make or update the tables in one transaction; raises StoreError for a newer version than this release knows."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found == VERSION:
        return
    if found > VERSION:
        raise StoreError(
            f"{path}: its version is {found}, this release knows up to {VERSION}; use a newer release, or another data directory"
        )
    if found == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])  # another process may have been first
        statements = _TABLES if found == 0 else "".join(_STEPS[version] for version in range(found + 1, VERSION + 1))
        for statement in statements.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
