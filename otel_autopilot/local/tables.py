"""The tables of the embedded store, as this release makes them.

What is stored holds times from 0 to 2^63 - 1, so that no difference of two of them overflows.
"""

from __future__ import annotations

import sqlite3

#: Version of the tables below, kept in SQLite's ``user_version``.
VERSION = 5

#: Spans are kept by the number of their trace, in the order in which traces came: its id is random. ``traces_list`` holds all
#: that the list filters by, newest first, so that a search through 100,000 traces reads neither their rows nor their spans.
#: ``email`` and ``rooted``: see `rows.summary`; start and end are those of the email's root as soon as it is there.
TRACES = """
CREATE TABLE traces (
    number INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, service TEXT NOT NULL, version TEXT NOT NULL,
    start_unix_nano INTEGER NOT NULL, end_unix_nano INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL, run_id TEXT,
    workflow TEXT, outcome TEXT, message_id TEXT, sender TEXT, email INTEGER NOT NULL, rooted INTEGER NOT NULL
);
CREATE INDEX traces_list
    ON traces (start_unix_nano DESC, number DESC, email, end_unix_nano, errors, rooted, outcome, workflow, service, version);
CREATE INDEX traces_run ON traces (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX traces_message ON traces (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX traces_sender ON traces (sender, start_unix_nano DESC) WHERE sender IS NOT NULL;
"""

#: The attempts at stages: what the breakdown of a day reads, without touching spans. They go by the time at which their email
#: began, so they lie with their trace. ``stage`` is its place in `telemetry.names.STAGES`; ``wait_nano`` is null where it isn't known.
#: Few attempts are odd: an index of those alone costs nothing where all goes well.
ATTEMPTS = """
CREATE TABLE attempts (
    trace INTEGER NOT NULL, span_id BLOB NOT NULL, stage INTEGER NOT NULL, duration_nano INTEGER NOT NULL, wait_nano INTEGER,
    attempt INTEGER NOT NULL, error INTEGER NOT NULL, lost INTEGER NOT NULL, outcome TEXT, PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE INDEX attempts_odd ON attempts (trace) WHERE error OR lost OR attempt > 1;
"""

#: Links from spans to others, to be followed backwards.
LINKS = """
CREATE TABLE links (
    trace INTEGER NOT NULL, span_id BLOB NOT NULL, target_trace BLOB NOT NULL, target_span BLOB NOT NULL,
    PRIMARY KEY (trace, span_id, target_trace, target_span)
) WITHOUT ROWID;
CREATE INDEX links_target ON links (target_trace, target_span);
"""

LOGS = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, time_unix_nano INTEGER NOT NULL, severity_number INTEGER NOT NULL, severity_text TEXT NOT NULL,
    body TEXT NOT NULL, trace_id BLOB, span_id BLOB, event_name TEXT NOT NULL, scope TEXT, attributes TEXT NOT NULL,
    resource INTEGER NOT NULL
);
CREATE INDEX logs_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_time ON logs (time_unix_nano, severity_number, resource);
"""

#: Points by series and time: the same point twice is stored once, and a chart reads what lies together.
POINTS = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, type TEXT NOT NULL, unit TEXT NOT NULL,
    description TEXT NOT NULL, temporality TEXT NOT NULL, monotonic INTEGER NOT NULL, attributes TEXT NOT NULL, scope TEXT,
    resource INTEGER NOT NULL
);
CREATE INDEX series_name ON series (name);
CREATE TABLE points (
    series INTEGER NOT NULL, time_unix_nano INTEGER NOT NULL, start_unix_nano INTEGER NOT NULL, value, distribution TEXT,
    exemplars TEXT, PRIMARY KEY (series, time_unix_nano)
) WITHOUT ROWID;
"""

#: One row: how much there is, and a number that changes with every transaction that stores or erases something. ``epoch`` is
#: another one in every file.
TOTALS = """
CREATE TABLE totals (
    epoch TEXT NOT NULL, changes INTEGER NOT NULL, traces INTEGER NOT NULL, spans INTEGER NOT NULL, logs INTEGER NOT NULL,
    points INTEGER NOT NULL
);
INSERT INTO totals VALUES (lower(hex(randomblob(6))), 0, 0, 0, 0, 0);
"""

_SPANS = """
CREATE TABLE spans (
    trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_span_id BLOB, name TEXT NOT NULL, start_unix_nano INTEGER NOT NULL,
    end_unix_nano INTEGER NOT NULL, error INTEGER NOT NULL, resource INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE TABLE resources (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL);
"""

#: All of them.
TABLES = "".join((TRACES, _SPANS, ATTEMPTS, LINKS, LOGS, POINTS, TOTALS))


def execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements that end with semicolons inside the transaction that is open (``executescript`` would end it)."""
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)
