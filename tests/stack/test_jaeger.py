"""One email, traced through a real Collector into a real Jaeger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_autopilot.cli.demo_mail import demo_mail
from tests.stack.running import RunningStack

STAGES = ["email", "ingestion", "digest", "delivery"]


def traced(mail: Path, collector: str, jaeger: str, home: Path, protocol: str) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_"))},
        "XDG_DATA_HOME": str(home), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "trace", str(mail), "--json", "--collector", collector, "--jaeger", jaeger, "--deliver-to", str(home / "out")],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line: dict[str, Any] = json.loads(done.stdout)
    return line


@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_demo_mail_is_whole_in_jaeger(stack: RunningStack, tmp_path: Path, protocol: str) -> None:
    mail = tmp_path / "demo.eml"
    mail.write_bytes(demo_mail())
    line = traced(mail, stack.otlp_grpc if protocol == "grpc" else stack.otlp_http, stack.jaeger, tmp_path, protocol)
    spans = stack.trace(line["trace_id"], len(line["spans"]))
    assert {span["spanID"] for span in spans} == {span["span_id"] for span in line["spans"]}
    parents = {
        span["spanID"]: next((ref["spanID"] for ref in span["references"] if ref["refType"] == "CHILD_OF"), None) for span in spans
    }
    assert parents == {span["span_id"]: span["parent_span_id"] for span in line["spans"]}
    root = next(span for span in spans if parents[span["spanID"]] is None)
    assert root["operationName"] == "email pipeline"
    below = sorted((span for span in spans if parents[span["spanID"]] == root["spanID"]), key=lambda span: span["startTime"])
    assert [span["operationName"] for span in below] == STAGES
    tags = {tag["key"]: tag["value"] for tag in root["tags"]}
    assert tags["autopilot.run.id"] == line["run_id"]
    assert not (tmp_path / "otel-autopilot" / "telemetry.db").exists(), "with a collector the embedded store is not written"
