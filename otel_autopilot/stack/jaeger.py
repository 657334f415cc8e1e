"""A Jaeger of one's own on loopback: started with a configuration made for it, stopped by its own process id."""

from __future__ import annotations

import json
import socket
import subprocess  # nosec B404  # starts the binary that we built
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from otel_autopilot.errors import AutopilotError

#: How long Jaeger may take to start, in seconds.
START_SECONDS = 30.0

_CONFIGURATION = """\
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    logs: {{level: warn}}
    metrics: {{level: none}}
extensions:
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: 100000}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{http}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{otlp_grpc}"}}
      http: {{endpoint: "127.0.0.1:{otlp_http}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


class Jaeger:
    """A running Jaeger with storage in memory; a context manager.

    `otlp_grpc` and `otlp_http` are where spans go, `url` is where its API answers.
    """

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        ports = _free_ports(4)
        self._ports = dict(zip(("http", "query_grpc", "otlp_grpc", "otlp_http"), ports, strict=True))
        self.url = f"http://127.0.0.1:{self._ports['http']}"
        self.otlp_grpc = f"http://127.0.0.1:{self._ports['otlp_grpc']}"
        self.otlp_http = f"http://127.0.0.1:{self._ports['otlp_http']}"

    def __enter__(self) -> Jaeger:
        self._folder = tempfile.TemporaryDirectory(prefix="autopilot-jaeger-")
        folder = Path(self._folder.name)
        (folder / "jaeger.yaml").write_text(_CONFIGURATION.format(**self._ports))
        self._log = (folder / "jaeger.log").open("wb")
        self._process = subprocess.Popen(  # noqa: S603  # nosec B603
            [str(self._binary), "--config", str(folder / "jaeger.yaml")], stdout=self._log, stderr=subprocess.STDOUT, cwd=folder
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "jaeger.log").read_text(errors="replace")[-2000:]
                self.stop()
                raise AutopilotError(f"Jaeger did not start:\n{log}")
            time.sleep(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it and remove what it wrote."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._log.close()
            self._folder.cleanup()

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace as ``/api/traces/{id}`` has them; none when it isn't there."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/traces/{trace_id}", timeout=5) as answer:  # noqa: S310  # nosec B310  # loopback
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return [span for trace in data for span in trace["spans"]]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/services", timeout=1):  # noqa: S310  # nosec B310  # loopback
                return True
        except (urllib.error.URLError, OSError):
            return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
