"""Collectors, Jaegers and Prometheuses that a test starts, kills and starts again, each with an environment of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_autopilot.stack.build import binary_of

COLLECTOR = Path(__file__).parents[2] / "collector"
#: How long a process may take until it is healthy, or to end, and telemetry to arrive, in seconds.
PATIENCE_SECONDS = 60.0

#: An overlay that writes what passed the intake to a file: the Collector's own view, behind its redaction and before any store.
CAPTURE = """\
exporters:
  file/capture:
    path: {path}
    flush_interval: 100ms
service:
  pipelines:
    traces/capture: {{receivers: [otlp/hop], exporters: [file/capture]}}
    metrics/capture: {{receivers: [otlp/hop], exporters: [file/capture]}}
    logs/capture: {{receivers: [otlp/hop], exporters: [file/capture]}}
"""


_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, below those that the system gives to clients; none is given twice."""
    sockets: list[socket.socket] = []
    try:
        for port in range(21_000 + os.getpid() % 8_000, 32_000):
            if port in _given:
                continue
            item = socket.socket()
            try:
                item.bind(("127.0.0.1", port))
            except OSError:
                item.close()
                continue
            sockets.append(item)
            _given.add(port)
            if len(sockets) == count:
                break
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, every: float = 0.1) -> Any:
    """What the condition returns once it is true; after ``seconds`` what it returned last."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result or time.monotonic() > deadline:
            return result
        time.sleep(every)


def get(url: str) -> Any:
    """JSON from a URL; None when nothing answers, or not with success."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def healthy(url: str) -> bool:
    """Whether a health check answers that all is well."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def telemetry_of(file: Path, kind: str, scopes: str, items: str) -> Iterator[dict[str, Any]]:
    """What a file exporter has written of one kind by now, such as ``"resourceSpans", "scopeSpans", "spans"``; whole lines only."""
    with file.open("rb") as content:
        for line in content:
            for resource in json.loads(line).get(kind, ()) if line.endswith(b"\n") else ():
                for scope in resource[scopes]:
                    yield from scope[items]


class Server:
    """A process with a health check. `start` waits until it is healthy."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], health: str, folder: Path) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.health = health
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; fails with the end of its log when it doesn't become healthy."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "JAEGER", "AUTOPILOT"))}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env={**own, **self.environment}, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder
            )
        if wait:
            up = wait_until(lambda: healthy(self.health) or self._process is None or self._process.poll() is not None)
            assert up, f"{self.name} is not healthy after {PATIENCE_SECONDS:.0f} s: {self.log}"
            assert self.running, f"{self.name} is not healthy:\n{self.log.read_text(errors='replace')[-3000:]}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as a crash or the OOM killer does."""
        self._end(signal.SIGKILL, PATIENCE_SECONDS)

    def stop(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Ask it to end; False when it had to be killed after ``seconds``."""
        return self._end(signal.SIGTERM, seconds)

    def _end(self, number: signal.Signals, seconds: float) -> bool:
        process, self._process = self._process, None
        if process is None:
            return True
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True


class Jaeger(Server):
    """Jaeger with Badger in a folder."""

    def __init__(self, folder: Path, prometheus_url: str = "http://127.0.0.1:9") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        http, grpc, otlp_grpc, otlp_http, health, metrics = free_ports(6)
        self.url = f"http://127.0.0.1:{http}"
        self.otlp = f"127.0.0.1:{otlp_grpc}"
        super().__init__(
            "jaeger",
            [str(binary_of("jaeger")), "--config", str(COLLECTOR / "jaeger.yaml")],
            {
                "JAEGER_CONFIG_DIR": str(COLLECTOR), "JAEGER_DATA_DIR": str(folder / "data"), "JAEGER_QUERY_HTTP_PORT": str(http),
                "JAEGER_QUERY_GRPC_PORT": str(grpc), "JAEGER_OTLP_GRPC_PORT": str(otlp_grpc), "JAEGER_OTLP_HTTP_PORT": str(otlp_http),
                "JAEGER_HEALTH_PORT": str(health), "JAEGER_METRICS_PORT": str(metrics), "PROMETHEUS_URL": prometheus_url,
            },
            f"http://127.0.0.1:{health}/status",
            folder,
        )  # fmt: skip

    def span_ids(self, trace_id: str) -> set[str]:
        """Ids of the spans of a trace."""
        return {span["spanID"] for span in self.spans(trace_id)}

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace as ``/api/traces/{id}`` has them."""
        answer = get(f"{self.url}/api/traces/{trace_id}")
        return [span for trace in (answer or {}).get("data") or () for span in trace["spans"]]

    def missing(self, accepted: Mapping[str, frozenset[str]], seconds: float = PATIENCE_SECONDS) -> dict[str, int]:
        """Spans that were accepted and aren't here ``seconds`` after the last one came in, by trace id."""
        open_ = dict(accepted)
        changed = time.monotonic()
        while open_ and time.monotonic() - changed < seconds:
            whole = [trace_id for trace_id, spans in open_.items() if spans <= self.span_ids(trace_id)]
            for trace_id in whole:
                del open_[trace_id]
            if whole:
                changed = time.monotonic()
            elif open_:
                time.sleep(0.5)
        return {trace_id: len(spans - self.span_ids(trace_id)) for trace_id, spans in open_.items()}


class Prometheus(Server):
    """Prometheus with a folder of its own; scrapes the Collectors whose metrics' ports are given."""

    def __init__(self, folder: Path, scrape: Sequence[int] = ()) -> None:
        import yaml

        folder.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        content = yaml.safe_load((COLLECTOR / "prometheus.yaml").read_text())
        content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        content["rule_files"] = [str(COLLECTOR / "alerts" / "*.yaml")]
        content["scrape_configs"] = [
            {"job_name": "otelcol", "static_configs": [{"targets": [f"127.0.0.1:{number}" for number in scrape]}]}
        ]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(content))
        super().__init__(
            "prometheus",
            [
                str(binary_of("prometheus")), f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--web.enable-otlp-receiver", "--enable-feature=exemplar-storage",
            ],
            {},
            f"{self.url}/-/ready",
            folder,
        )  # fmt: skip

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What a PromQL expression gives now."""
        answer = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        return (answer or {}).get("data", {}).get("result", [])  # type: ignore[no-any-return]

    def value(self, expression: str) -> float:
        """The one value of an expression; 0 when there is none."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else 0.0

    def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """Exemplars of the last hour of the series that a selector names."""
        now = time.time()
        asked = urllib.parse.urlencode({"query": selector, "start": now - 3600, "end": now + 60})
        found = get(f"{self.url}/api/v1/query_exemplars?{asked}") or {}
        return [exemplar for series in found.get("data", ()) for exemplar in series["exemplars"]]


class Collector(Server):
    """A Collector with one of our configurations, and what a test merges over it."""

    def __init__(
        self,
        folder: Path,
        configuration: str = "local.yaml",
        *,
        jaeger: str = "127.0.0.1:9",
        prometheus: str = "http://127.0.0.1:9",
        overlay: str | None = None,
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        grpc, http, hop, health, self.metrics_port, services = free_ports(6)
        self.otlp = f"127.0.0.1:{grpc}"
        self.otlp_http = f"http://127.0.0.1:{http}"
        self.by_service = f"127.0.0.1:{services}"
        self.queue = folder / "queue"
        self.records = folder / "records.jsonl"
        files = [COLLECTOR / configuration]
        if overlay is not None:
            (folder / "overlay.yaml").write_text(overlay)
            files.append(folder / "overlay.yaml")
        super().__init__(
            configuration.removesuffix(".yaml"),
            [str(binary_of("otelcol")), *(argument for file in files for argument in ("--config", str(file)))],
            {
                "OTELCOL_CONFIG_DIR": str(COLLECTOR), "OTELCOL_OTLP_GRPC_PORT": str(grpc), "OTELCOL_OTLP_HTTP_PORT": str(http),
                "OTELCOL_HOP_PORT": str(hop), "OTELCOL_HEALTH_PORT": str(health), "OTELCOL_METRICS_PORT": str(self.metrics_port),
                "OTELCOL_BY_SERVICE_PORT": str(services), "OTELCOL_QUEUE_DIR": str(self.queue), "OTELCOL_LOG_FILE": str(self.records),
                "JAEGER_OTLP_ENDPOINT": jaeger, "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus}/api/v1/otlp",
                "OTELCOL_SPAN_METRICS_INTERVAL": "1s", "OTELCOL_RETRY_MAX_INTERVAL": "2s", "OTELCOL_MEMORY_LIMIT_PERCENTAGE": "25",
                "GOMEMLIMIT": "1GiB", **environment,
            },
            f"http://127.0.0.1:{health}/",
            folder,
        )  # fmt: skip

    def own_metric(self, name: str, **labels: str) -> float:
        """The sum of one of its own metrics over the series with these labels."""
        total = 0.0
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                    total += float(line.rpartition(" ")[2])
        return total


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start them in order, and stop them in the other, whatever happens."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in reversed(servers):
            server.stop(20.0)
