"""What was made is what was exported, dropped or waits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def counts(code: str, tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
        env={"PATH": "", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_spans_and_logs_that_ended_wait_until_they_are_exported(tmp_path: Path) -> None:
    code = """
    import os
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = os.environ["OTEL_BLRP_SCHEDULE_DELAY"] = "60000"
    from loguru import logger
    import otel_autopilot
    telemetry = otel_autopilot.configure(runtime_metrics=False)
    logger.remove()
    from otel_autopilot.telemetry import loguru_bridge
    from opentelemetry._logs import get_logger_provider
    loguru_bridge.install(get_logger_provider())
    for _ in range(3):
        with otel_autopilot.stage("digest"):
            logger.info("in it")
    print(telemetry.spans.to_json(), telemetry.logs.to_json())
    otel_autopilot.flush()
    print(telemetry.spans.to_json(), telemetry.logs.to_json(), telemetry.metrics.waiting)
    """
    waiting = {"produced": 3, "exported": 0, "waiting": 3, "dropped": {}}
    exported = {"produced": 3, "exported": 3, "waiting": 0, "dropped": {}}
    assert counts(code, tmp_path) == f"{waiting} {waiting}\n{exported} {exported} 0\n"


def test_what_an_exporter_refuses_is_dropped_with_its_reason(tmp_path: Path) -> None:
    code = """
    import os
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "0.2"
    os.environ["OTEL_METRICS_EXPORTER"] = os.environ["OTEL_LOGS_EXPORTER"] = "none"
    import otel_autopilot
    telemetry = otel_autopilot.configure(runtime_metrics=False)
    with otel_autopilot.stage("digest"):
        pass
    otel_autopilot.flush(20)
    print(telemetry.spans.to_json())
    """
    assert counts(code, tmp_path) == "{'produced': 1, 'exported': 0, 'waiting': 0, 'dropped': {'export_failed': 1}}\n"
