"""The statements of the run store, as constants: each is compiled once for each database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam as given

from otel_autopilot.workflow import schema
from otel_autopilot.workflow.outcomes import Row

#: Events of the totals; what failed is counted as "failed:OUTCOME".
RECEIVED, DELIVERED = "received", "delivered"
#: A cursor before the newest run.
NEWEST = 2**62

_runs, _attempts, _blobs = schema.runs, schema.attempts, schema.run_blobs
_this_run = _runs.c.id == given("run_id")
_this_stage = sa.and_(_attempts.c.run_id == given("run_id"), _attempts.c.stage == given("stage"))


def event_of(row: Row) -> str:
    """Which total a run that ended adds to."""
    return DELIVERED if row.email_delivered == "good" else f"failed:{row.outcome}"


def _insert(table: sa.Table, *without: str) -> Any:
    return table.insert().values({column.name: given(column.name) for column in table.columns if column.name not in without})


SAME_MAIL = sa.select(_runs.c.id, _runs.c.conflict).where(
    _runs.c.content_key == given("content_key"),
    _runs.c.recipients_key == given("recipients_key"),
    schema.message_id_or_empty == given("message_id_key"),
)
SAME_MESSAGE_ID = sa.select(_runs.c.id).where(_runs.c.message_id_key == given("key")).limit(1)
NEW_RUN = _insert(_runs, "number", "started_unix_nano", "finished_unix_nano", "error", "deliveries")
KEEP_BLOB = sa.text("INSERT INTO run_blobs (run_id, sha256) VALUES (:run_id, :sha256) ON CONFLICT DO NOTHING")
COUNT = sa.text(
    "INSERT INTO totals (workflow, event, count) VALUES (:workflow, :event, 1)"
    " ON CONFLICT (workflow, event) DO UPDATE SET count = totals.count + 1"
)
COUNT_OF_RUN = sa.text(
    "INSERT INTO totals (workflow, event, count) SELECT workflow, :event, 1 FROM runs WHERE id = :run_id"
    " ON CONFLICT (workflow, event) DO UPDATE SET count = totals.count + 1"
)

STATE = sa.select(_runs.c.state).where(_this_run)
SET_STATE = _runs.update().where(_this_run).values(state=given("state"))
SET_SENDER = _runs.update().where(_this_run).values(sender_key=given("sender_key"))
START_RUN = (
    _runs.update()
    .where(_this_run)
    .values(state="running", started_unix_nano=sa.func.coalesce(_runs.c.started_unix_nano, given("started")))
)
FINISH = (
    _runs.update()
    .where(_this_run, schema.UNFINISHED, _runs.c.state != "cancelled")
    .values(state=given("state"), finished_unix_nano=given("finished"), deliveries=given("told"), error=given("why"))
)

STAGE_ATTEMPTS = sa.select(_attempts).where(_this_stage).order_by(_attempts.c.number)
RUN_ATTEMPTS = (
    sa.select(_attempts).where(_attempts.c.run_id == given("run_id")).order_by(_attempts.c.started_unix_nano, _attempts.c.number)
)
LOSE_ATTEMPTS = (
    _attempts.update()
    .where(_this_stage, _attempts.c.ended_unix_nano.is_(None))
    .values(ended_unix_nano=given("ended"), outcome="lost")
)
NEW_ATTEMPT = _insert(_attempts, "ended_unix_nano", "outcome")
END_ATTEMPT = (
    _attempts.update()
    .where(_this_stage, _attempts.c.number == given("number"))
    .values(ended_unix_nano=given("ended"), outcome=given("outcome"))
)

UNSTARTED = sa.select(_runs.c.id).where(_runs.c.state == "created").order_by(_runs.c.number)
UNFINISHED = sa.select(_runs.c.id).where(schema.UNFINISHED).order_by(_runs.c.received_unix_nano)
RUN = sa.select(_runs).where(_this_run)
RUNS_OF_PREFIX = sa.select(_runs).where(_runs.c.id >= given("prefix"), _runs.c.id < given("beyond")).limit(2)
RUNS_OF_MESSAGE_ID = (
    sa.select(_runs).where(_runs.c.message_id_key == given("key")).order_by(_runs.c.number.desc()).limit(given("rows"))
)
_page = sa.select(_runs).where(_runs.c.number < given("after")).order_by(_runs.c.number.desc()).limit(given("rows"))
#: A page of runs, by whether a state and a workflow are given.
PAGES = {
    (False, False): _page,
    (True, False): _page.where(_runs.c.state == given("state")),
    (False, True): _page.where(_runs.c.workflow == given("workflow")),
    (True, True): _page.where(_runs.c.state == given("state"), _runs.c.workflow == given("workflow")),
}

TOTALS = sa.select(schema.totals)
# By an expression: by the column alone, SQLite walks the index on workflow, past every finished run.
_workflow = sa.func.coalesce(_runs.c.workflow, sa.text("''"))
OVERDUE = (
    sa.select(_workflow.label("workflow"), sa.func.count().label("runs"))
    .where(schema.UNFINISHED, _runs.c.received_unix_nano < given("before"))
    .group_by(_workflow)
)
OLDEST_UNFINISHED = sa.select(sa.func.min(_runs.c.received_unix_nano).label("received")).where(schema.UNFINISHED)
VERSION = sa.select(schema.version_table)
TOUCH = sa.text("UPDATE autopilot_schema SET version = version")

# --- erasure ----------------------------------------------------------------------------------------------------------
RUNS_OF_PERSON = sa.select(_runs.c.id).where(sa.or_(_runs.c.message_id_key == given("key"), _runs.c.sender_key == given("key")))
EXPIRED = (
    sa.select(_runs.c.id)
    .where(schema.HAS_CONTENT, _runs.c.received_unix_nano < given("before"), _runs.c.finished_unix_nano.is_not(None))
    .order_by(_runs.c.received_unix_nano)
    .limit(given("rows"))
)
#: It is unfinished until the engine has ended it, with its root span.
CANCEL = _runs.update().where(_this_run, schema.UNFINISHED).values(state="cancelled")
FINISH_CANCELLED = (
    _runs.update()
    .where(_this_run, schema.UNFINISHED, _runs.c.state == "cancelled")
    .values(finished_unix_nano=given("finished"), error=given("why"))
)
CLOSE_ATTEMPTS = (
    _attempts.update()
    .where(_attempts.c.run_id == given("run_id"), _attempts.c.ended_unix_nano.is_(None))
    .values(ended_unix_nano=given("ended"), outcome="lost")
)
SENDING = sa.select(sa.func.count().label("deliveries")).where(
    schema.intents.c.run_id == given("run_id"), schema.intents.c.outcome.is_(None)
)
BLOBS_OF_RUN = sa.select(_blobs.c.sha256).where(_blobs.c.run_id == given("run_id"))
BLOB_USED = sa.select(_blobs.c.run_id).where(_blobs.c.sha256 == given("sha256")).limit(1)
DROP_BLOBS = _blobs.delete().where(_blobs.c.run_id == given("run_id"))
DROP_INTENTS = schema.intents.delete().where(schema.intents.c.run_id == given("run_id"))
DROP_CONTENT = _runs.update().where(_this_run).values(raw=sa.null())
DROP_TRACES_OF_PERSON = (
    _runs.update()
    .where(_this_run)
    .values(
        message_id_key=sa.null(), sender_key=sa.null(), content_key=_runs.c.id, recipients_key="", error=sa.null(),
        deliveries=sa.null(),
    )
)  # fmt: skip
