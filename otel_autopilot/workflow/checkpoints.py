"""Erasing what the durable engine keeps of a run: its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

#: Runs named in one statement; SQLite takes some thousand values.
AT_ONCE = 500


def forget_checkpoints(database: Path, run_ids: Sequence[str]) -> int:
    """Delete the workflows of these runs, and with them their checkpoints, from an engine that may be running or not.

    Returns how many were there. The rows are found by the tables' own foreign keys, so a release of DBOS that adds a table
    needs no change here.
    """
    if not database.exists() or not run_ids:
        return 0
    engine = sa.create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("PRAGMA foreign_keys=ON"))
            tables = sa.MetaData()
            tables.reflect(connection)
            removed = 0
            for table in reversed(tables.sorted_tables):
                if "workflow_uuid" not in table.columns:
                    continue
                for first in range(0, len(run_ids), AT_ONCE):
                    some = run_ids[first : first + AT_ONCE]
                    gone = connection.execute(table.delete().where(table.columns["workflow_uuid"].in_(some)))
                    removed += gone.rowcount if table.name == "workflow_status" else 0
            return removed
    finally:
        engine.dispose()
