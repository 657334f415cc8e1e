"""What is erased from the embedded store when it is too old or too much: a little at a time, the oldest first."""

from __future__ import annotations

import sqlite3

#: Traces erased in one transaction, so that nobody waits long.
STEP = 500
#: Log records and points that belong to no trace, erased in one transaction where there are no traces.
_STEP_WITHOUT_TRACES = 20_000


def erase_oldest(connection: sqlite3.Connection, most: int, before_unix_nano: int | None) -> int:
    """Erase up to ``most`` traces that began before a moment, and what is as old and belongs to no trace; returns how many things went.

    With no moment: the oldest traces, whenever they began, and whatever is older than the last of them. Runs inside the
    transaction that is open.
    """
    limit = before_unix_nano if before_unix_nano is not None else 1 << 62
    rows = connection.execute(
        "SELECT trace_id, number, spans, start_unix_nano FROM traces WHERE start_unix_nano < ? ORDER BY start_unix_nano LIMIT ?",
        (limit, most),
    ).fetchall()
    numbers, ids = [(row[1],) for row in rows], [(row[0],) for row in rows]
    logs = 0
    for table in ("spans", "attempts", "links"):
        connection.executemany(f"DELETE FROM {table} WHERE trace = ?", numbers)  # noqa: S608  # nosec B608  # names above
    logs += connection.executemany("DELETE FROM logs WHERE trace_id = ?", ids).rowcount if ids else 0
    connection.executemany("DELETE FROM traces WHERE number = ?", numbers)
    until = before_unix_nano
    if until is None:
        until = rows[-1][3] if rows else _oldest(connection)
    logs += connection.execute(
        "DELETE FROM logs WHERE id IN (SELECT id FROM logs l WHERE time_unix_nano < ? "
        "AND (trace_id IS NULL OR NOT EXISTS (SELECT 1 FROM traces t WHERE t.trace_id = l.trace_id)) LIMIT ?)",
        (until, _STEP_WITHOUT_TRACES),
    ).rowcount
    points = connection.execute(
        "DELETE FROM points WHERE series IN (SELECT id FROM series) AND time_unix_nano < ?", (until,)
    ).rowcount
    if points:
        connection.execute("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE series = series.id)")
    erased = len(rows) + logs + points
    if erased:
        connection.execute(
            "UPDATE totals SET changes = changes + 1, traces = traces - ?, spans = spans - ?, logs = logs - ?, points = points - ?",
            (len(rows), sum(row[2] for row in rows), logs, points),
        )
    return erased


def _oldest(connection: sqlite3.Connection) -> int:
    """Up to when records go where there are no traces: a fifth of the way from the oldest to the newest."""
    ends = connection.execute(
        "SELECT min(first), max(last) FROM (SELECT min(time_unix_nano) AS first, max(time_unix_nano) AS last FROM logs "
        "UNION ALL SELECT min(time_unix_nano), max(time_unix_nano) FROM points)"
    ).fetchone()
    return 0 if ends[0] is None else int(ends[0]) + max(1, (int(ends[1]) - int(ends[0])) // 5)
