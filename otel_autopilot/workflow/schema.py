"""Tables of the run store, their version, and the way from each version to the next."""

from __future__ import annotations

import sqlalchemy as sa

from otel_autopilot.errors import SchemaError

metadata = sa.MetaData()

#: Version of the tables below.
VERSION = 2

version_table = sa.Table("autopilot_schema", metadata, sa.Column("version", sa.Integer, nullable=False))

runs = sa.Table(
    "runs", metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("workflow", sa.String(200), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("root_span_id", sa.String(16), nullable=False),
    sa.Column("message_id_key", sa.String(64)),
    sa.Column("sender_key", sa.String(64)),
    sa.Column("content_key", sa.String(64), nullable=False),
    sa.Column("recipients_key", sa.String(64), nullable=False),
    sa.Column("conflict", sa.Boolean, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("received_unix_nano", sa.BigInteger, nullable=False),
    sa.Column("finished_unix_nano", sa.BigInteger),
    sa.Column("raw", sa.Text),
    sa.Column("workflow_text", sa.Text, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("deliveries", sa.Text),
    sa.Index("runs_identity", "content_key", "recipients_key", "message_id_key"),
    sa.Index("runs_message_id", "message_id_key"),
    sa.Index("runs_sender", "sender_key"),
    sa.Index("runs_state", "state", "number"),
    sa.Index("runs_workflow", "workflow", "number"),
    sa.Index("runs_received", "received_unix_nano"),
)  # fmt: skip

attempts = sa.Table(
    "attempts", metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("stage", sa.String(100), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("span_id", sa.String(16), nullable=False),
    sa.Column("ready_unix_nano", sa.BigInteger, nullable=False),
    sa.Column("started_unix_nano", sa.BigInteger, nullable=False),
    sa.Column("ended_unix_nano", sa.BigInteger),
    sa.Column("outcome", sa.String(20)),
    sa.Column("executor_id", sa.String(200), nullable=False),
)  # fmt: skip

intents = sa.Table(
    "delivery_intents", metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("target_key", sa.String(64), primary_key=True),
    sa.Column("recipient_key", sa.String(64), primary_key=True),
    sa.Column("intended_unix_nano", sa.BigInteger, nullable=False),
    sa.Column("settled_unix_nano", sa.BigInteger),
    sa.Column("outcome", sa.String(20)),
    sa.Column("error", sa.Text),
    sa.Index("intents_recipient", "recipient_key", "intended_unix_nano"),
)  # fmt: skip

run_blobs = sa.Table(
    "run_blobs", metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Index("run_blobs_sha256", "sha256"),
)  # fmt: skip

totals = sa.Table(
    "totals", metadata,
    sa.Column("workflow", sa.String(200), primary_key=True),
    sa.Column("event", sa.String(30), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)  # fmt: skip

#: Statements that lead from the version before to this one.
_STEPS: dict[int, tuple[str, ...]] = {
    # 1 had no pseudonym of the sender, so an erasure by address could not find its runs.
    2: ("ALTER TABLE runs ADD COLUMN sender_key VARCHAR(64)", "CREATE INDEX runs_sender ON runs (sender_key)"),
}


def migrate(engine: sa.Engine) -> None:
    """Make or update the tables in one transaction; raises SchemaError for a newer version than this release knows."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not sa.inspect(connection).has_table(version_table.name):
            metadata.create_all(connection)
            connection.execute(version_table.insert().values(version=VERSION))
            return
        found = int(connection.execute(sa.select(version_table.c.version)).scalar_one())
        if found > VERSION:
            raise SchemaError(f"run store {engine.url.database}: its version is {found}, this release knows up to {VERSION}; use a newer release")
        for version in range(found + 1, VERSION + 1):
            for statement in _STEPS[version]:
                connection.exec_driver_sql(statement)
        connection.execute(version_table.update().values(version=VERSION))
