"""What the processes were doing beside the emails of that time."""

from __future__ import annotations

import sqlite3
from typing import Any

from otel_autopilot.local.queries import parameters
from otel_autopilot.local.queries.charts import Charts, Labels, Steps, charts, series_named, speaking_within
from otel_autopilot.local.queries.parameters import Given, TimeRange
from otel_autopilot.local.queries.shown import cut
from otel_autopilot.local.queries.trace_rows import Filters
from otel_autopilot.telemetry import names

#: Processes of an answer at most, those that were seen last.
MOST_PROCESSES = 50
_BY = ("service.name", "service.instance.id", "process.pid")


def runtime(
    connection: sqlite3.Connection, *, from_: Given = None, to: Given = None, service: str | None = None, steps: Given = None
) -> dict[str, Any]:
    """``GET runtime``."""
    within = parameters.time_range(from_, to, back="1h")
    even = Steps.over(within, parameters.whole("steps", steps, usual=120, least=2, most=1_000))
    of = parameters.text_of("service", service)
    read = _Read(connection, even, within, of)
    cpu, memory, threads = (
        read.charts(metric.name) for metric in (names.PROCESS_CPU_TIME, names.PROCESS_MEMORY_USAGE, names.PROCESS_THREAD_COUNT)
    )
    disk = read.charts(names.PROCESS_DISK_IO.name, names.DISK_DIRECTION.name)
    lag = read.charts(names.EVENT_LOOP_LAG.name)
    processes = list(dict.fromkeys(labels[:3] for found in (cpu, memory, threads, disk, lag) for labels in found.charts))
    nothing: list[float | None] = [None] * even.count

    def line(found: Charts, labels: Labels, values: str) -> list[float | None]:
        chart = found.charts.get(labels)
        if chart is None:
            return nothing
        return {"rates": found.rates, "sums": found.sums}[values](chart) if values != "p99" else found.quantiles(chart, 0.99)

    return {
        "from_unix_nano": even.first, "step_ns": even.length, "times_unix_nano": even.times,
        "emails": _emails(connection, even, within, of),
        "processes": [
            {
                "service": cut(process[0] or ""), "instance": cut(process[1] or ""), "pid": _pid(process[2]),
                "cpu": line(cpu, process, "rates"), "memory_bytes": line(memory, process, "sums"),
                "io_read_bytes": line(disk, (*process, "read"), "rates"), "io_write_bytes": line(disk, (*process, "write"), "rates"),
                "threads": line(threads, process, "sums"), "loop_lag_p99_s": line(lag, process, "p99"),
            }
            for process in processes[:MOST_PROCESSES]
        ],
        "processes_left_out": max(0, len(processes) - MOST_PROCESSES),
    }  # fmt: skip


class _Read:
    """Reads one metric after the other, by process."""

    def __init__(self, connection: sqlite3.Connection, steps: Steps, within: TimeRange, service: str | None) -> None:
        self._connection, self._steps, self._within, self._service = connection, steps, within, service

    def charts(self, name: str, *by: str) -> Charts:
        named = series_named(self._connection, name)
        chosen = [one for one in named if self._service is None or one.label("service.name") == self._service]
        return charts(
            self._connection, speaking_within(self._connection, chosen, self._within), (*_BY, *by), self._steps, self._within
        )


def _pid(label: str | None) -> int | None:
    return int(label) if label is not None and label.isascii() and label.isdigit() and len(label) < 10 else None


def _emails(connection: sqlite3.Connection, steps: Steps, within: TimeRange, service: str | None) -> dict[str, list[int]]:
    where, values = Filters(within, service=service).condition()
    started, failed = [0] * steps.count, [0] * steps.count
    for index, count, bad in connection.execute(
        "SELECT (start_unix_nano - ?) / ? AS step, count(*), count(*) FILTER (WHERE outcome = 'failed') "  # noqa: S608
        f"FROM traces INDEXED BY traces_list WHERE {where} GROUP BY step",  # nosec B608
        [steps.first, steps.length, *values],
    ):
        started[index], failed[index] = count, bad
    return {"started": started, "failed": failed}
