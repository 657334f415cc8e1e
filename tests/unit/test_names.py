"""Names of metrics, as Prometheus has them; test_one_email.py asks a real one."""

from __future__ import annotations

import pytest

from otel_autopilot.telemetry.names import (
    EMAILS_OVERDUE,
    EMAILS_RECEIVED,
    OLDEST_UNFINISHED,
    PROCESS_CPU_TIME,
    PROCESS_CPU_UTILIZATION,
    PROCESS_DISK_IO,
    PROCESS_MEMORY_USAGE,
    STAGE_DURATION,
    Metric,
)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (STAGE_DURATION, "autopilot_stage_duration_seconds"),
        (EMAILS_RECEIVED, "autopilot_emails_received_total"),
        (EMAILS_OVERDUE, "autopilot_emails_overdue"),
        (OLDEST_UNFINISHED, "autopilot_emails_oldest_unfinished_age_seconds"),
        (PROCESS_CPU_TIME, "process_cpu_time_seconds_total"),
        (PROCESS_CPU_UTILIZATION, "process_cpu_utilization_ratio"),
        (PROCESS_MEMORY_USAGE, "process_memory_usage_bytes"),
        (PROCESS_DISK_IO, "process_disk_io_bytes_total"),
    ],
)
def test_prometheus_appends_the_unit_and_the_kind(metric: Metric, expected: str) -> None:
    assert metric.in_prometheus == expected
