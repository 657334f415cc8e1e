"""What the stack consists of: how each component is called, configured, started and asked for its health."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.stack.ports import LOOPBACK

#: Memory that the Collector's garbage collector aims at, unless GOMEMLIMIT says otherwise. Without it, a burst of mail lets
#: the heap grow to twice what lives before anything is collected.
COLLECTOR_MEMORY = "1GiB"
#: Items in a queue of the Collector (the default of ``fragments/queue.yaml``), the fewest that still take the largest request, and the
#: room on the disk for each: 2 kB in the hop's queue and in Jaeger's, and as much again for compaction and for Jaeger's own files.
QUEUE_ITEMS, FEWEST_QUEUE_ITEMS, QUEUE_BYTES_PER_ITEM = 200_000, 40_000, 8_000
#: How long a health check may take, in seconds.
HEALTH_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """Where everything of one stack is."""

    folder: Path
    """State, logs and data."""
    configuration: Path
    """The folder with ``local.yaml``, ``jaeger.yaml`` and ``prometheus.yaml``."""
    ports: Mapping[str, int]
    overlays: tuple[Path, ...] = ()
    """Configurations of the Collector that are merged over ours, in order."""

    @property
    def logs(self) -> Path:
        """The folder of what the components print."""
        return self.folder / "logs"

    @property
    def data(self) -> Path:
        """The folder of what the components keep."""
        return self.folder / "data"

    @property
    def prometheus_file(self) -> Path:
        """Prometheus' configuration in force: it knows no variables, so the ports are written into a copy."""
        return self.folder / "prometheus.yaml"

    def url(self, port: str, path: str = "") -> str:
        """``http://127.0.0.1:PORT/PATH``."""
        return f"http://{LOOPBACK}:{self.ports[port]}{path}"

    def variables(self) -> dict[str, str]:
        """What the configurations in ``collector/`` read from the environment."""
        ports = self.ports
        return {
            "OTELCOL_CONFIG_DIR": str(self.configuration),
            "OTELCOL_BIND_ADDRESS": LOOPBACK,
            "OTELCOL_OTLP_GRPC_PORT": str(ports["otlp_grpc"]),
            "OTELCOL_OTLP_HTTP_PORT": str(ports["otlp_http"]),
            "OTELCOL_HOP_PORT": str(ports["hop"]),
            "OTELCOL_HEALTH_PORT": str(ports["collector_health"]),
            "OTELCOL_METRICS_PORT": str(ports["collector_metrics"]),
            "OTELCOL_QUEUE_DIR": str(self.data / "collector"),
            "OTELCOL_LOG_FILE": str(self.data / "logs" / "records.jsonl"),
            "JAEGER_OTLP_ENDPOINT": f"{LOOPBACK}:{ports['jaeger_otlp_grpc']}",
            "PROMETHEUS_OTLP_ENDPOINT": self.url("prometheus", "/api/v1/otlp"),
            "JAEGER_CONFIG_DIR": str(self.configuration),
            "JAEGER_BIND_ADDRESS": LOOPBACK,
            "JAEGER_QUERY_HTTP_PORT": str(ports["jaeger"]),
            "JAEGER_QUERY_GRPC_PORT": str(ports["jaeger_query_grpc"]),
            "JAEGER_OTLP_GRPC_PORT": str(ports["jaeger_otlp_grpc"]),
            "JAEGER_OTLP_HTTP_PORT": str(ports["jaeger_otlp_http"]),
            "JAEGER_HEALTH_PORT": str(ports["jaeger_health"]),
            "JAEGER_METRICS_PORT": str(ports["jaeger_metrics"]),
            "JAEGER_DATA_DIR": str(self.data / "jaeger"),
            "PROMETHEUS_URL": self.url("prometheus"),
        }

    def queue_items(self) -> int:
        """How many items each of the Collector's queues may hold, so that they are full before the disk is."""
        room = shutil.disk_usage(self.folder).free // QUEUE_BYTES_PER_ITEM
        return max(FEWEST_QUEUE_ITEMS, min(QUEUE_ITEMS, room))

    def environment(self) -> dict[str, str]:
        """The environment of every component: this process' own without what would instrument or redirect them."""
        own: dict[str, str] = {"OTELCOL_QUEUE_ITEMS": str(self.queue_items())}
        own |= {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        return {**own, **self.variables()}


@dataclass(frozen=True)
class Component:
    """One of the processes."""

    name: str
    title: str
    binary: str
    """What it is called in the cache."""
    path_names: tuple[str, ...]
    """What it may be called on the PATH."""
    variable: str
    """Names a binary to use."""
    oldest: tuple[int, ...]
    """The first version that understands our configuration."""
    version_arguments: tuple[str, ...]
    arguments: Callable[[Plan], list[str]]
    addresses: Mapping[str, str]
    """Port names of where people and programs turn to, and what is there, for people."""
    health: tuple[str, str]
    """Port name and path that answer 200 when it is ready."""
    memory: str | None = None

    def environment(self, plan: Plan) -> dict[str, str]:
        """What it is started with."""
        limit = {"GOMEMLIMIT": self.memory} if self.memory else {}
        return {**limit, **plan.environment()}

    def log(self, plan: Plan) -> Path:
        """What it prints goes there."""
        return plan.logs / f"{self.name}.log"

    def healthy(self, plan: Plan) -> bool:
        """Whether its health check answers that it is ready."""
        port, path = self.health
        # Not urllib: that would ask a proxy from the environment for what is on loopback.
        connection = http.client.HTTPConnection(LOOPBACK, plan.ports[port], timeout=HEALTH_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _collector(plan: Plan) -> list[str]:
    files = (plan.configuration / "local.yaml", *plan.overlays)
    return [argument for file in files for argument in ("--config", str(file))]


def _jaeger(plan: Plan) -> list[str]:
    return ["--config", str(plan.configuration / "jaeger.yaml")]


def _prometheus(plan: Plan) -> list[str]:
    return [
        f"--config.file={plan.prometheus_file}",
        f"--storage.tsdb.path={plan.data / 'prometheus'}",
        f"--web.listen-address={LOOPBACK}:{plan.ports['prometheus']}",
        "--web.enable-otlp-receiver",
        "--enable-feature=exemplar-storage",
    ]


#: In the order of starting; the Collector, which sends to the others, is last, and first to be stopped.
COMPONENTS = (
    Component(
        name="prometheus", title="Prometheus", binary="prometheus", path_names=("prometheus",), variable="AUTOPILOT_PROMETHEUS",
        oldest=(3, 0), version_arguments=("--version",), arguments=_prometheus, addresses={"prometheus": "metrics"},
        health=("prometheus", "/-/ready"),
    ),
    Component(
        name="jaeger", title="Jaeger", binary="jaeger", path_names=("jaeger",), variable="AUTOPILOT_JAEGER", oldest=(2, 0),
        version_arguments=("version",), arguments=_jaeger, addresses={"jaeger": "traces"}, health=("jaeger_health", "/status"),
    ),
    Component(
        name="collector", title="Collector", binary="otelcol", path_names=("otelcol-contrib", "otelcol"),
        variable="AUTOPILOT_OTELCOL", oldest=(0, 158), version_arguments=("--version",), arguments=_collector,
        addresses={"otlp_grpc": "OTLP gRPC", "otlp_http": "OTLP HTTP"}, health=("collector_health", "/"),
        memory=COLLECTOR_MEMORY,
    ),
)  # fmt: skip

COMPONENT = {component.name: component for component in COMPONENTS}
