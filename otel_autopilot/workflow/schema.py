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
    # BIGINT keys don't count up by themselves on SQLite.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
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
    sa.Column("started_unix_nano", sa.BigInteger),
    sa.Column("finished_unix_nano", sa.BigInteger),
    sa.Column("raw", sa.Text),
    sa.Column("workflow_text", sa.Text, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("deliveries", sa.Text),
)  # fmt: skip
message_id_or_empty = sa.func.coalesce(runs.c.message_id_key, sa.text("''"))
# The same mail is the same run, whichever process it reaches: NULLs would count as different from each other.
sa.Index("runs_identity", runs.c.content_key, runs.c.recipients_key, message_id_or_empty, unique=True)
sa.Index("runs_message_id", runs.c.message_id_key)
sa.Index("runs_sender", runs.c.sender_key)
sa.Index("runs_state", runs.c.state, runs.c.number)
sa.Index("runs_workflow", runs.c.workflow, runs.c.number)
# Both filters at once: without it a page of few matches is looked for among all runs of one of them (81 ms of a million).
sa.Index("runs_workflow_state", runs.c.workflow, runs.c.state, runs.c.number)
# A million finished runs must not be looked at to find the oldest that is not.
UNFINISHED = runs.c.finished_unix_nano.is_(None)
sa.Index("runs_unfinished", runs.c.received_unix_nano, runs.c.workflow, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)
# What retention has still to erase, oldest first.
HAS_CONTENT = runs.c.raw.is_not(None)
sa.Index("runs_content", runs.c.received_unix_nano, sqlite_where=HAS_CONTENT, postgresql_where=HAS_CONTENT)

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
    sqlite_with_rowid=False,
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
    sqlite_with_rowid=False,
)  # fmt: skip

totals = sa.Table(
    "totals", metadata,
    sa.Column("workflow", sa.String(200), primary_key=True),
    sa.Column("event", sa.String(30), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)  # fmt: skip

#: Statements that lead from the version before to this one.
_STEPS: dict[int, tuple[str, ...]] = {
    # 1 had no pseudonym of the sender (an erasure by address could not find its runs), did not say when a run was started, and
    # kept "the same mail is the same run" by looking first, which two processes can do at the same time.
    2: (
        "ALTER TABLE runs ADD COLUMN sender_key VARCHAR(64)",
        "ALTER TABLE runs ADD COLUMN started_unix_nano BIGINT",
        "UPDATE runs SET started_unix_nano = (SELECT min(started_unix_nano) FROM attempts WHERE attempts.run_id = runs.id)",
        "DROP INDEX runs_identity",
        # Of mails that were taken twice the first keeps the identity; the others stay, under a name of their own.
        "UPDATE runs SET content_key = id WHERE EXISTS (SELECT 1 FROM runs AS first WHERE first.number < runs.number"
        " AND first.content_key = runs.content_key AND first.recipients_key = runs.recipients_key"
        " AND coalesce(first.message_id_key, '') = coalesce(runs.message_id_key, ''))",
        "CREATE UNIQUE INDEX runs_identity ON runs (content_key, recipients_key, coalesce(message_id_key, ''))",
        "CREATE INDEX runs_sender ON runs (sender_key)",
        "CREATE INDEX runs_workflow_state ON runs (workflow, state, number)",
        "CREATE INDEX runs_unfinished ON runs (received_unix_nano, workflow) WHERE finished_unix_nano IS NULL",
        "CREATE INDEX runs_content ON runs (received_unix_nano) WHERE raw IS NOT NULL",
    ),
}


def migrate(engine: sa.Engine) -> None:
    """Make or update the tables in one transaction; raises SchemaError for a newer version than this release knows."""
    where = engine.url.database
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4317)")
        if not sa.inspect(connection).has_table(version_table.name):
            metadata.create_all(connection)
            connection.execute(version_table.insert().values(version=VERSION))
            return
        found = int(connection.execute(sa.select(version_table.c.version)).scalar_one())
        if found > VERSION:
            raise SchemaError(f"run store {where}: its version is {found}, this release reads up to {VERSION}; use a newer release")
        for version in range(found + 1, VERSION + 1):
            for statement in _STEPS[version]:
                connection.exec_driver_sql(statement)
        if found < VERSION:
            connection.execute(version_table.update().values(version=VERSION))
