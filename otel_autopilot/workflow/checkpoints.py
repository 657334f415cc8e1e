"""Erasing what the durable engine keeps of a run: its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

#: Runs named in one statement; SQLite takes some thousand values.
AT_ONCE = 500
#: What the steps returned: the only table that holds what a mail says.
STEPS = "operation_outputs"


def forget_checkpoints(database: Path, run_ids: Sequence[str], *, keep_pending: bool = False) -> int:
    """Delete the workflows of these runs, and with them their checkpoints, from an engine that may be running or not.

    With ``keep_pending``, workflows that have not ended lose their checkpoints and stay, by their ids: the engine that works on
    them would trip over a missing one, and the next to start could not end them.

    Returns how many were removed or emptied. The rows are found by the tables' own foreign keys, so a release of DBOS that
    adds a table needs no change here.
    """
    if not database.exists() or not run_ids:
        return 0
    engine = sa.create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("PRAGMA foreign_keys=ON"))
            connection.execute(sa.text("PRAGMA secure_delete=ON"))
            tables = sa.MetaData()
            tables.reflect(connection)
            status = tables.tables["workflow_status"]
            pending = sa.select(status.c.workflow_uuid).where(status.c.status.in_(("PENDING", "ENQUEUED", "DELAYED")))
            kept = set(connection.execute(pending).scalars()) & set(run_ids) if keep_pending else set()
            ended = [run_id for run_id in run_ids if run_id not in kept]
            removed = len(kept)
            for table in reversed(tables.sorted_tables):
                if "workflow_uuid" not in table.columns:
                    continue
                named = run_ids if table.name == STEPS else ended
                for first in range(0, len(named), AT_ONCE):
                    some = named[first : first + AT_ONCE]
                    gone = connection.execute(table.delete().where(table.columns["workflow_uuid"].in_(some)))
                    removed += gone.rowcount if table.name == "workflow_status" else 0
            return removed
    finally:
        engine.dispose()
