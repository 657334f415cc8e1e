"""Where the time of a range's emails went: work and wait of each stage, and its share of the whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.distributions import distribution
from otel_autopilot.local.queries.parameters import Given, TimeRange
from otel_autopilot.local.queries.trace_rows import Filters
from otel_autopilot.telemetry.names import STAGES

#: How far back a breakdown looks where nothing is said.
USUAL_RANGE = "24h"
#: An email of which the lengths tell how fast the pipeline is: it ended, and neither failed nor was refused.
_WENT_WELL = "rooted >= email AND coalesce(outcome, '') NOT IN ('failed', 'rejected')"


@dataclass
class Attempts:
    """The attempts at one stage: what they come to, and the work and wait in nanoseconds of those that went well, in order."""

    stage: str
    count: int = 0
    errors: int = 0
    retries: int = 0
    lost: int = 0
    work_sum: int = 0
    wait_sum: int = 0
    work: list[int] = field(default_factory=list)
    wait: list[int] = field(default_factory=list)


@dataclass
class Emails:
    """The emails of a range."""

    range: TimeRange
    count: int = 0
    failed: int = 0
    rejected: int = 0
    under_way: int = 0
    length_sum: int = 0
    durations: list[int] = field(default_factory=list)
    stages: Sequence[Attempts] = ()

    def to_json(self) -> dict[str, Any]:
        """``GET breakdown``."""
        whole = self.length_sum
        stages = [
            {
                "stage": stage.stage, "attempts": stage.count, "errors": stage.errors, "retries": stage.retries, "lost": stage.lost,
                "work": distribution(stage.work), "wait": distribution(stage.wait),
                "share": _share(stage.work_sum, whole), "wait_share": _share(stage.wait_sum, whole),
            }
            for stage in self.stages if stage.count
        ]  # fmt: skip
        spent = sum(stage.work_sum + stage.wait_sum for stage in self.stages)
        return {
            "from_unix_nano": self.range.first, "to_unix_nano": self.range.to,
            "emails": {
                "count": self.count, "failed": self.failed, "rejected": self.rejected, "under_way": self.under_way,
                "duration": distribution(self.durations),
            },
            "stages": stages,
            "other_share": _share(max(0, whole - spent), whole),
        }  # fmt: skip


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def breakdown(
    connection: sqlite3.Connection,
    *,
    workflow: str | None = None,
    service: str | None = None,
    version: str | None = None,
    from_: Given = None,
    to: Given = None,
) -> dict[str, Any]:
    """``GET breakdown``."""
    return emails_of(connection, filters_of(workflow, service, version, from_, to)).to_json()


def filters_of(
    workflow: str | None,
    service: str | None,
    version: str | None,
    from_: Given,
    to: Given,
    prefix: str = "",
    now: int | None = None,
) -> Filters:
    """Emails that began in a range."""
    return Filters(
        range=parameters.time_range(from_, to, back=USUAL_RANGE, names=(f"{prefix}from", f"{prefix}to"), now=now),
        service=parameters.text_of(f"{prefix}service", service),
        workflow=parameters.text_of(f"{prefix}workflow", workflow),
        version=parameters.text_of(f"{prefix}version", version),
    )


def emails_of(connection: sqlite3.Connection, filters: Filters) -> Emails:
    """The emails that the filters let through, and the attempts at their stages."""
    where, values = filters.condition()
    row = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE outcome = 'failed'), count(*) FILTER (WHERE outcome = 'rejected'), "  # noqa: S608
        "count(*) FILTER (WHERE rooted < email), total(end_unix_nano - start_unix_nano), "
        f"json_group_array(end_unix_nano - start_unix_nano) FILTER (WHERE {_WENT_WELL}) "  # nosec B608  # columns by name
        f"FROM traces INDEXED BY traces_list WHERE {where}",
        values,
    ).fetchone()
    count, failed, rejected, under_way, length_sum, durations = row
    stages = [Attempts(stage) for stage in STAGES]
    emails = Emails(filters.range, count, failed, rejected, under_way, int(length_sum), sorted(json.loads(durations)), stages)
    # Whole columns come as one text each, which is read much faster than rows.
    columns = [
        f"json_group_array({column}) FILTER (WHERE stage = {number}{known} AND NOT error AND NOT lost)"
        for number in range(len(STAGES))
        for column, known in (("duration_nano", ""), ("wait_nano", " AND wait_nano IS NOT NULL"))
    ]
    source = f"traces INDEXED BY traces_list CROSS JOIN attempts ON trace = number WHERE {where}"
    row = connection.execute(f"SELECT {', '.join(columns)} FROM {source}", values).fetchone()  # noqa: S608  # nosec B608  # columns by name
    for stage, work, wait in zip(stages, row[::2], row[1::2], strict=True):
        stage.work, stage.wait = sorted(json.loads(work)), sorted(json.loads(wait))
        stage.count, stage.work_sum, stage.wait_sum = len(stage.work), sum(stage.work), sum(stage.wait)
    rest = connection.execute(
        "SELECT stage, duration_nano, coalesce(wait_nano, 0), error, lost, attempt > 1 "  # noqa: S608
        "FROM attempts INDEXED BY attempts_odd CROSS JOIN traces ON number = trace "
        f"WHERE (error OR lost OR attempt > 1) AND {where}",  # nosec B608  # columns by name
        values,
    )
    for number, work, wait, error, lost, again in rest:
        stage = stages[number]
        stage.errors, stage.lost, stage.retries = stage.errors + error, stage.lost + lost, stage.retries + again
        if error or lost:
            stage.count, stage.work_sum, stage.wait_sum = stage.count + 1, stage.work_sum + work, stage.wait_sum + wait
    return emails
