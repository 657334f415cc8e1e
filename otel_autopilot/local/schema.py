"""Tables of the embedded store and their version; the way from older versions is in `migrations`."""

from __future__ import annotations

import sqlite3

from otel_autopilot.errors import StoreError
from otel_autopilot.local.migrations import STEPS, Run
from otel_autopilot.local.tables import TABLES, VERSION, execute_all


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Make or update the tables in one transaction; raises StoreError for a newer version than this release knows."""
    found = stored_version(connection, path)
    if found == VERSION:
        return
    if found == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])  # another process may have been first
        steps: list[str | Run] = [TABLES] if found == 0 else [STEPS[version] for version in range(found + 1, VERSION + 1)]
        for step in steps:
            if callable(step):
                step(connection)
            else:
                execute_all(connection, step)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already, and its own error is the one to tell
            connection.execute("ROLLBACK")
        raise


def stored_version(connection: sqlite3.Connection, path: str) -> int:
    """The version of what is stored, 0 for an empty file; raises StoreError when it is newer than this release knows."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise StoreError(
            f"{path}: its version is {found}, this release knows up to {VERSION}; use a newer release, or another data directory"
        )
    return found
