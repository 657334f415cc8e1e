"""`trace --collector --jaeger`: what it says, and how it ends, when Jaeger has it all, some of it, or isn't there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otel_autopilot.cli.demo_mail import demo_mail
from tests.stack.lab import PATIENCE_SECONDS, Collector, Jaeger, Prometheus, free_ports, running

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("binaries")]

#: One span of each trace is lost between the Collector and Jaeger.
WITHOUT_PARSING = """\
processors:
  filter/some: {error_mode: propagate, trace_conditions: ['span.name == "email.parse"']}
service:
  pipelines:
    traces: {processors: [filter/some]}
"""


@dataclass
class Command:
    """`trace` with a data directory of its own."""

    home: Path
    mail: Path

    def start(self, *arguments: str, sources: int = 1, **variables: str) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_"))},
            "XDG_DATA_HOME": str(self.home), "COLUMNS": "200", **variables,
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "otel_autopilot", "trace", *[str(self.mail)] * sources, "--deliver-to", str(self.home), *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *arguments: str, sources: int = 1, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, sources=sources, **variables) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    mail = tmp_path / "demo.eml"
    mail.write_bytes(demo_mail())
    return Command(tmp_path, mail)


@pytest.fixture(scope="module")
def jaeger(binaries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    server = Jaeger(tmp_path_factory.mktemp("jaeger"))
    with running(server):
        yield server


@pytest.fixture(scope="module")
def collector(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    server = Collector(tmp_path_factory.mktemp("collector"), jaeger=jaeger.otlp)
    with running(server):
        yield server


@pytest.fixture(scope="module")
def leaky(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A Collector that leaves one span of each trace out."""
    server = Collector(tmp_path_factory.mktemp("leaky"), jaeger=jaeger.otlp, overlay=WITHOUT_PARSING)
    with running(server):
        yield server


def test_a_whole_trace_is_said_to_be_there_with_its_link(command: Command, collector: Collector, jaeger: Jaeger) -> None:
    done = command("--collector", collector.otlp, "--jaeger", jaeger.url)
    assert done.returncode == 0, done.stderr
    (link,) = [line for line in done.stdout.splitlines() if line.startswith("Jaeger: ")]
    spans = jaeger.span_ids(link.rpartition("/")[2])
    assert link.startswith(f"Jaeger: {jaeger.url}/trace/")
    assert done.stderr.splitlines()[-1] == f"Jaeger has the whole trace: {len(spans)} spans"


def test_json_carries_the_link_of_each_trace(command: Command, collector: Collector, jaeger: Jaeger) -> None:
    done = command("--collector", collector.otlp, "--jaeger", jaeger.url.removeprefix("http://"), "--json", sources=3)
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["jaeger"] for line in lines] == [f"{jaeger.url}/trace/{line['trace_id']}" for line in lines]
    spans = sum(len(line["spans"]) for line in lines)
    assert done.stderr.splitlines()[-1] == f"Jaeger has all 3 traces whole: {spans} spans"


def test_a_span_that_doesnt_arrive_is_told_of_and_the_exit_code_says_so(command: Command, leaky: Collector, jaeger: Jaeger) -> None:
    done = command("--collector", leaky.otlp, "--jaeger", jaeger.url, "--json", sources=12, AUTOPILOT_JAEGER_WAIT_SECONDS="3")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["outcome"] for line in lines} == {"success"}
    told = done.stderr.splitlines()[-12:]
    assert told[0] == "Jaeger has 0 of 12 traces whole; a Collector that samples may have left others out"
    assert told[1:-1] == [f"1 of {len(line['spans'])} spans are missing: {line['jaeger']}" for line in lines[:10]]
    assert told[-1] == "and of 2 more traces"


def test_a_jaeger_that_dies_meanwhile_is_said_to_answer_no_more(command: Command, leaky: Collector, tmp_path: Path) -> None:
    """Spans wait in the Collector's queue, and `trace` looks at a Jaeger that never gets them."""
    lonely = Jaeger(tmp_path / "jaeger")
    with running(lonely):
        process = command.start("--collector", leaky.otlp, "--jaeger", lonely.url, "--json", AUTOPILOT_JAEGER_WAIT_SECONDS="5")
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        lonely.kill()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.splitlines()[-2:] == [
        "Jaeger has 0 of 1 traces whole; it no longer answers",
        f"{len(line['spans'])} of {len(line['spans'])} spans are missing: {line['jaeger']}",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_at_once(command: Command, leaky: Collector, jaeger: Jaeger, number: signal.Signals) -> None:
    process = command.start("--collector", leaky.otlp, "--jaeger", jaeger.url, "--json", sources=2)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        while process.stderr.readline() != "2 of 2 mails traced: 2 success\n":
            assert process.poll() is None
        wait_for_jaeger(jaeger, lines)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted; Jaeger had 0 of 2 traces whole by then"


def wait_for_jaeger(jaeger: Jaeger, lines: list[dict[str, Any]]) -> None:
    """Until Jaeger has what it will ever have: the command is waiting for the rest then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(len(jaeger.span_ids(line["trace_id"])) < len(line["spans"]) - 1 for line in lines):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_collector_that_is_away_is_not_waited_for(command: Command, jaeger: Jaeger) -> None:
    (port,) = free_ports(1)
    done = command("--collector", f"127.0.0.1:{port}", "--jaeger", jaeger.url, "--json", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    spans = len(json.loads(done.stdout)["spans"])
    assert done.returncode == 1
    assert f"{spans} spans could not be sent to 127.0.0.1:{port}" in done.stderr
    assert "Jaeger has 0 of 1 traces whole; what could not be sent is not waited for" in done.stderr


def test_without_a_jaeger_the_outcome_alone_is_the_exit_code(command: Command, collector: Collector) -> None:
    (port,) = free_ports(1)
    done = command("--collector", collector.otlp, "--jaeger", f"http://127.0.0.1:{port}", "--json")
    assert done.returncode == 0
    assert f"no Jaeger answers at http://127.0.0.1:{port} (--jaeger URL)" in done.stderr
    assert json.loads(done.stdout)["jaeger"] is None


def test_what_answers_and_is_no_jaeger_is_none(command: Command, collector: Collector, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path / "prometheus")
    with running(prometheus):
        done = command("--collector", collector.otlp, "--jaeger", prometheus.url, "--json")
    assert done.returncode == 0
    assert f"no Jaeger answers at {prometheus.url} (--jaeger URL)" in done.stderr


def test_jaeger_is_looked_for_beside_the_collector(command: Command, collector: Collector) -> None:
    """At its default port, where there may be one or none: the message or the link names it."""
    done = command("--collector", collector.otlp, "--json", AUTOPILOT_JAEGER_WAIT_SECONDS="1")
    assert "http://127.0.0.1:16686" in done.stderr + str(json.loads(done.stdout)["jaeger"])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:16686", "jaeger", "http://127.0.0.1:sixteen", "http://"])
def test_an_address_that_is_none_is_refused(command: Command, collector: Collector, url: str) -> None:
    done = command("--collector", collector.otlp, "--jaeger", url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--jaeger: expected http://HOST:PORT, https://HOST:PORT or HOST:PORT" in done.stderr


def test_a_jaeger_without_a_collector_is_refused(command: Command) -> None:
    done = command("--jaeger", "http://127.0.0.1:16686")
    assert done.returncode == 2
    assert done.stderr == "otel-autopilot: --jaeger: expected --collector as well; without one, traces stay in the embedded store\n"


def test_help_shows_both() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "trace", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--collector" in done.stdout
    assert "--jaeger" in done.stdout
