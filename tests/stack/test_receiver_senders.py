"""Senders that aren't ours: the JavaScript SDK over each of OTLP's protocols, and the real Collector."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.otlp_load import Sender, batch
from tests.integration.receiver_harness import Receiving, receiving, wait_for
from tests.stack.lab import Server, binary_of, free_ports, running

SENDER = Path(__file__).parent / "node_sender"

PASS_ON = """\
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters:
  otlp_grpc: {{endpoint: "{grpc}", tls: {{insecure: true}}, compression: {compression}, sending_queue: {{batch: {{flush_timeout: 100ms, min_size: 1}}}}}}
  otlp_http: {{endpoint: "{http}", compression: {compression}, encoding: {encoding}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:{health}"}}}}
service:
  extensions: [health_check]
  pipelines: {{traces: {{receivers: [otlp], exporters: [{exporter}]}}}}
  telemetry: {{metrics: {{level: none}}}}
"""


@pytest.fixture(scope="session")
def node_sender() -> Path:
    """The JavaScript sender with its packages, installed once into the cache."""
    if shutil.which("npm") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("npm is not installed")
    content = b"".join((SENDER / name).read_bytes() for name in ("package.json", "send.js"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-autopilot"
    folder = cache / f"node-sender-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.exists():
        beside = folder.with_suffix(f".{os.getpid()}")
        shutil.copytree(SENDER, beside, ignore=shutil.ignore_patterns("node_modules"))
        # Nothing of what is installed runs: no scripts.
        command = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=beside, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        try:
            beside.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(beside)
    return folder


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiving]:
    with receiving(tmp_path) as running:
        yield running


@pytest.mark.timeout(900)
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "proto", "http"])
def test_what_the_javascript_sdk_sends_is_stored(node_sender: Path, receiver: Receiving, protocol: str, compression: str) -> None:
    endpoint = f"http://{receiver.grpc}" if protocol == "grpc" else receiver.http
    command = ["node", "send.js", protocol, endpoint, compression]
    done = subprocess.run(command, cwd=node_sender, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (span,), (log,) = receiver.store.trace(done.stdout.strip())
    assert (span.name, span.kind, span.status_code, span.status_message) == (
        "from node",
        "SPAN_KIND_CLIENT",
        "STATUS_CODE_ERROR",
        "broken",
    )
    assert span.resource["service.name"] == f"node-{protocol}"
    assert {**span.attributes, "text": ""} == {
        "text": "",
        "whole": 7,
        "real": 0.5,
        "yes": True,
        "list": ["a", "b"],
        "http.route": "/api/{id}",
    }
    assert [(event.name, event.attributes) for event in span.events] == [("happened", {"n": 1})]
    assert span.duration_nano > 0
    assert (log.body.partition("[")[0], log.severity_text, log.span_id) == ("hello to ", "INFO", span.span_id)
    assert {name: counts["accepted"] for name, counts in receiver.counts.items()} == {"spans": 1, "metrics": 2, "logs": 1}
    assert not any(counts["rejected"] or counts["refused"] for counts in receiver.counts.values())
    assert b"ann.miller" not in receiver.written()


@pytest.mark.parametrize(
    ("exporter", "compression", "encoding"),
    [("otlp_grpc", "gzip", "proto"), ("otlp_grpc", "none", "proto"), ("otlp_http", "gzip", "proto"), ("otlp_http", "none", "json")],
)
def test_what_a_collector_passes_on_is_stored(
    binaries: None, receiver: Receiving, tmp_path: Path, exporter: str, compression: str, encoding: str
) -> None:
    ports = dict(zip(("otlp", "health"), free_ports(2), strict=True))
    configuration = tmp_path / "collector.yaml"
    configuration.write_text(PASS_ON.format(**ports, grpc=receiver.grpc, http=receiver.http, exporter=exporter, compression=compression, encoding=encoding))  # fmt: skip
    command = [str(binary_of("otelcol")), "--config", str(configuration)]
    collector = Server("collector", command, {}, f"http://127.0.0.1:{ports['health']}/", tmp_path)
    with running(collector):
        sender = Sender(f"127.0.0.1:{ports['otlp']}")
        assert all(sender.send(batch(20).content) for _ in range(5))
        sender.close()
        wait_for(lambda: receiver.store.span_count() == 500)
    assert receiver.counts["spans"]["refused"] == {}


def test_a_collector_keeps_what_the_store_cannot_take_and_delivers_it_later(
    binaries: None, receiver: Receiving, tmp_path: Path
) -> None:
    ports = dict(zip(("otlp", "health"), free_ports(2), strict=True))
    configuration = tmp_path / "collector.yaml"
    configuration.write_text(PASS_ON.format(**ports, grpc=receiver.grpc, http=receiver.http, exporter="otlp_grpc", compression="gzip", encoding="proto"))  # fmt: skip
    collector = Server("collector", [str(binary_of("otelcol")), "--config", str(configuration)], {}, f"http://127.0.0.1:{ports['health']}/", tmp_path)  # fmt: skip
    connection = receiver.store._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    with running(collector):
        sender = Sender(f"127.0.0.1:{ports['otlp']}")
        assert all(sender.send(batch(100).content) for _ in range(4))
        sender.close()
        wait_for(lambda: receiver.counts["spans"]["refused"])
        connection.execute("PRAGMA max_page_count=1000000")
        wait_for(lambda: receiver.store.span_count() == 2_000)
