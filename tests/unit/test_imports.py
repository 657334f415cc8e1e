"""Importing the library stays cheap: no optional weight, and no SDK before it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: What sits behind an extra, and the SDK, which `configure` loads.
OPTIONAL = [
    "pydantic", "pydantic_settings", "fastapi", "starlette", "uvicorn", "sqlalchemy", "dbos", "rich", "typer", "httpx", "jinja2", "lxml",
    "aiosmtpd", "aiosmtplib", "dkim", "dns", "pebble", "pypdfium2", "yaml", "watchfiles", "orjson", "opentelemetry.sdk", "grpc", "psutil",
]  # fmt: skip


def loaded_after(statement: str, **environment: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    ["import otel_autopilot", "from otel_autopilot import AutopilotError, configure, extract, inject, mail_headers, stage"],
)
def test_importing_the_library_loads_neither_an_extra_nor_the_sdk(statement: str) -> None:
    assert loaded_after(statement).isdisjoint(OPTIONAL)


def test_a_disabled_sdk_is_not_imported_by_configure_nor_by_a_stage() -> None:
    statement = "import otel_autopilot\nassert otel_autopilot.configure() is None\nwith otel_autopilot.stage('email'): pass"
    assert loaded_after(statement, OTEL_SDK_DISABLED="true").isdisjoint(OPTIONAL)


def test_configure_loads_no_extra_of_the_pipeline() -> None:
    statement = "import otel_autopilot\notel_autopilot.configure(service_name='mine')"
    loaded = loaded_after(statement, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    assert "opentelemetry.sdk.trace" in loaded
    assert loaded.isdisjoint(set(OPTIONAL) - {"opentelemetry.sdk", "grpc", "psutil"})
