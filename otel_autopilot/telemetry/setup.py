"""`configure`: the providers of a process, set up once.

Every exporter stands behind the same three things: the redaction (nothing personal leaves), the accounting (what was
exported, what was lost) and, for spans, the holding (no orphan after a crash).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from otel_autopilot.telemetry import diagnostics, exporters, holding, known_values, loguru_bridge, names, pseudonyms
from otel_autopilot.telemetry.accounting import Count, CountingLogExporter, CountingMetricExporter, CountingSpanExporter
from otel_autopilot.telemetry.buckets import DURATION_BOUNDS
from otel_autopilot.telemetry.child_processes import leave_with
from otel_autopilot.telemetry.event_loop import watch_event_loop, watch_loops_of_stages
from otel_autopilot.telemetry.health import ReportingMetricExporter, write_health
from otel_autopilot.telemetry.holding import HoldingSpanProcessor
from otel_autopilot.telemetry.ids import PromisedIds
from otel_autopilot.telemetry.redaction import RedactingLogExporter, RedactingMetricExporter, RedactingSpanExporter
from otel_autopilot.telemetry.runtime import RuntimeMetrics
from otel_autopilot.telemetry.tap import Tap

#: Spans and logs that may wait for export; the SDK's default of 2,048 is less than one busy second.
QUEUE_SIZE = 65_536
#: How soon the embedded store sees spans and logs, in milliseconds, unless the standard variables say otherwise.
EMBEDDED_DELAY_MS = 200
#: How often the embedded store sees metrics, in milliseconds.
EMBEDDED_METRICS_MS = 10_000
#: Duration instruments of others whose default bounds lack the thresholds of our objectives.
_DURATIONS_OF_OTHERS = ("http.server.request.duration", "http.client.request.duration", "db.client.operation.duration")


@dataclass
class Telemetry:
    """What `configure` set up. `flush` and `shutdown` return in the time they are given, whatever the network does."""

    spans: Count = field(default_factory=Count)
    metrics: Count = field(default_factory=Count)
    logs: Count = field(default_factory=Count)
    embedded: bool = False
    """True when spans go to the embedded store."""
    _flushes: dict[str, Callable[[int], Any]] = field(default_factory=dict, repr=False)
    _shutdowns: list[Callable[[], Any]] = field(default_factory=list, repr=False)
    _spans_flush: Callable[[int], Any] | None = field(default=None, repr=False)
    _health: tuple[Path, str] | None = field(default=None, repr=False)
    """The data directory of the embedded store, and the name of the service."""
    _closed: bool = False
    _pid: int = field(default_factory=os.getpid, repr=False)

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Export what waits; False when that took longer than the time given."""
        return self._flush(tuple(self._flushes), timeout_seconds)

    def _flush(self, signals: Sequence[str], timeout_seconds: float) -> bool:
        milliseconds = int(timeout_seconds * 1000)
        return _bounded([functools.partial(self._flushes[signal], milliseconds) for signal in signals], timeout_seconds)

    def commit_spans(self) -> None:
        """Write ended spans to the embedded store now (in the calling thread), so that they survive ``kill -9``.

        Does nothing where spans go elsewhere: a network must not delay a stage.
        """
        if self.embedded and self._spans_flush is not None and not self._closed:
            self._spans_flush(5000)

    def shutdown(self, timeout_seconds: float = 5.0) -> bool:
        """Export what waits and stop; False when it did not finish in the time given. A second call does nothing."""
        if self._closed:
            return True
        self._closed = True
        ended = _bounded(self._shutdowns, timeout_seconds)
        self.report(ended=True)
        return ended

    def report(self, *, ended: bool = False) -> None:
        """Tell other processes what became of the telemetry of this one; where it goes elsewhere, this does nothing."""
        if self._health is None or self._pid != os.getpid() or (self._closed and not ended):
            return  # a fork's counts are its parent's
        try:
            write_health(self._health[0], self, self._health[1], ended=ended)
        except OSError as error:
            diagnostics.keep(f"the health of telemetry could not be written: {error.strerror}")

    def leave(self, timeout_seconds: float = 5.0) -> bool:
        """What a child process does last: shut down what it configured itself, export the spans and logs of what it inherited.

        The metrics of a forked child stay behind: they count on from its parent's numbers, under its parent's name.
        """
        if self._pid == os.getpid():
            return self.shutdown(timeout_seconds)
        return self._closed or self._flush(("traces", "logs"), timeout_seconds)


def _bounded(calls: Sequence[Callable[[], Any]], timeout_seconds: float) -> bool:
    """Run the calls side by side in daemon threads; True when all ended in time."""
    deadline = time.monotonic() + max(0.0, timeout_seconds)
    threads = [threading.Thread(target=call, name="autopilot-telemetry-end", daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


_lock = threading.Lock()
_current: Telemetry | None = None
_asked: tuple[object, ...] = ()


def current() -> Telemetry | None:
    """What `configure` set up in this process, or None."""
    return _current


def configure(
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    instance_id: str | None = None,
    collector: str | None = None,
    protocol: str | None = None,
    data_dir: Path | None = None,
    pseudonym_key_file: Path | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    tap: Tap | None = None,
    metric_readers: Sequence[MetricReader] = (),
    runtime_metrics: bool = True,
) -> Telemetry:
    """Set up traces, metrics, logs and runtime metrics; a second call returns what the first one set up.

    A second call that asks for something else changes nothing, and a warning says so.

    The standard ``OTEL_*`` variables are respected: service name, resource attributes, exporters, endpoints, protocol, batch
    sizes, sampler. Without an endpoint or exporters named there, telemetry goes to the embedded store below ``data_dir``.
    Where the application has set an SDK up already, our processors join its providers instead.

    What waits is exported when the process ends, and when a child process of `multiprocessing` or of a `ProcessPoolExecutor`
    ends, in five seconds at most. Forked children inherit what was set up here; those of spawn and forkserver call
    `configure` themselves. Nothing can be done as a process dies by a signal (`Pool.terminate`, the end of ``with Pool()``),
    or leaves a bare `os.fork` by `os._exit`: what ended within the last batch delay (0.2 s with the embedded store, the
    standard ``OTEL_BSP_SCHEDULE_DELAY`` elsewhere) is lost, unless `otel_autopilot.flush` was called before.

    Arguments:
        service_name: ``service.name``; ``OTEL_SERVICE_NAME`` wins.
        collector: OTLP endpoint such as ``http://127.0.0.1:4317``; wins over the variables.
        protocol: "grpc" (default) or "http/protobuf".
        data_dir: where the embedded store and the pseudonym key live; default ``$XDG_DATA_HOME/otel-autopilot``.
        instance_id: ``service.instance.id``; default: a new one for each process.
        tap: also keep what is exported, for a process that shows its own traces.
        metric_readers: further readers, such as a Prometheus endpoint's.
        runtime_metrics: ``process.*``, ``system.*`` and ``cpython.gc.*``, and the lag of the event loop that this is called in
            and of each that a `stage` is entered in; `otel_autopilot.telemetry.event_loop.watch_event_loop` is for others.

    Raises SettingsError when a variable names something that doesn't exist, or the pseudonym key can't be read.
    """
    global _current, _asked
    asked = (service_name, service_version, instance_id, collector, protocol, data_dir, pseudonym_key_file, resource_attributes)
    with _lock:
        if _current is not None:
            if any(now is not None and now != before for now, before in zip(asked, _asked, strict=True)):
                logging.getLogger(__name__).warning("configure() was called before: what this call asks for otherwise is not done")
            return _current
        diagnostics.silence_sdk()
        directory = data_dir or _default_data_dir()
        os.environ.setdefault("AUTOPILOT_DATA_DIR", str(directory))
        pseudonyms.use(pseudonyms.load_pseudonyms(directory, pseudonym_key_file))
        telemetry = Telemetry(embedded=exporters.EMBEDDED in exporters.names_of("traces", collector))
        resource = _resource(service_name, service_version, instance_id, resource_attributes or {})
        if telemetry.embedded:
            telemetry._health = (directory, str(resource.attributes.get(SERVICE_NAME, "")))
        _traces(telemetry, resource, collector, protocol, tap)
        _metrics(telemetry, resource, collector, protocol, metric_readers, runtime_metrics)
        _logs(telemetry, resource, collector, protocol, tap)
        atexit.register(telemetry.shutdown)
        leave_with(telemetry)
        _current, _asked = telemetry, asked
        return telemetry


def _default_data_dir() -> Path:
    named = os.environ.get("AUTOPILOT_DATA_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "otel-autopilot"


def _resource(name: str | None, version: str | None, instance_id: str | None, more: Mapping[str, str]) -> Resource:
    from_environment = Resource.create().attributes
    attributes: dict[str, str] = {**more, SERVICE_INSTANCE_ID: instance_id or str(uuid.uuid4())}
    if version:
        attributes[SERVICE_VERSION] = version
    if SERVICE_INSTANCE_ID in from_environment and instance_id is None:
        del attributes[SERVICE_INSTANCE_ID]
    if name and str(from_environment.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        attributes[SERVICE_NAME] = name
    return Resource.create(attributes, schema_url=names.SEMCONV_SCHEMA_URL)


def _delay(variable: str, names_: Sequence[str]) -> float | None:
    """The embedded store is near: use it soon, unless the standard variable is set."""
    return None if variable in os.environ or exporters.EMBEDDED not in names_ else EMBEDDED_DELAY_MS


def _traces(telemetry: Telemetry, resource: Resource, collector: str | None, protocol: str | None, tap: Tap | None) -> None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.id_generator = PromisedIds(provider.id_generator)  # type: ignore[assignment]  # the attribute's type is too narrow
    else:
        provider = TracerProvider(resource=resource, id_generator=PromisedIds(), shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    holder = HoldingSpanProcessor(telemetry.spans.produce)
    if tap is not None:
        holder.add(SimpleSpanProcessor(RedactingSpanExporter(tap.spans)))
    chosen = exporters.names_of("traces", collector)
    batches = []
    for name in chosen:
        exporter = CountingSpanExporter(exporters.make("traces", name, collector=collector, protocol=protocol), telemetry.spans)
        batches.append(
            BatchSpanProcessor(
                RedactingSpanExporter(exporter),
                max_queue_size=None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else QUEUE_SIZE,
                schedule_delay_millis=_delay("OTEL_BSP_SCHEDULE_DELAY", chosen),
            )
        )
        holder.add(batches[-1], exports=True)
        if name == exporters.EMBEDDED:
            telemetry._spans_flush = batches[-1].force_flush
    provider.add_span_processor(holder)
    holding.install(holder)
    telemetry._flushes["traces"] = provider.force_flush
    telemetry._shutdowns.append(provider.shutdown)


def _metrics(
    telemetry: Telemetry,
    resource: Resource,
    collector: str | None,
    protocol: str | None,
    more: Sequence[MetricReader],
    runtime_metrics: bool,
) -> None:
    provider = metrics.get_meter_provider()
    if not isinstance(provider, MeterProvider):
        chosen = exporters.names_of("metrics", collector)
        interval = EMBEDDED_METRICS_MS if exporters.EMBEDDED in chosen and "OTEL_METRIC_EXPORT_INTERVAL" not in os.environ else None
        readers: list[MetricReader] = [
            PeriodicExportingMetricReader(
                ReportingMetricExporter(counted, telemetry.report) if name == exporters.EMBEDDED else counted,
                export_interval_millis=interval,
            )
            for name in chosen
            for counted in [
                RedactingMetricExporter(
                    CountingMetricExporter(
                        exporters.make("metrics", name, collector=collector, protocol=protocol), telemetry.metrics
                    )
                )
            ]
        ]
        # Whether a Collector keeps a trace is not known here, and an exemplar must not point at one that is gone.
        sampled_downstream = exporters.EMBEDDED not in chosen
        exemplars = AlwaysOffExemplarFilter() if sampled_downstream else TraceBasedExemplarFilter()
        provider = MeterProvider(
            [*readers, *more],
            resource=resource,
            exemplar_filter=None if "OTEL_METRICS_EXEMPLAR_FILTER" in os.environ else exemplars,
            shutdown_on_exit=False,
            views=[
                View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(DURATION_BOUNDS))
                for name in _DURATIONS_OF_OTHERS
            ],
        )
        metrics.set_meter_provider(provider)
    if runtime_metrics:
        meter = provider.get_meter(names.SCOPE, schema_url=names.SEMCONV_SCHEMA_URL)
        RuntimeMetrics(meter).start()
        watch_loops_of_stages(meter)
        with contextlib.suppress(RuntimeError):  # no event loop runs here: a stage will find the one that comes later
            watch_event_loop(meter=meter)
    telemetry._flushes["metrics"] = provider.force_flush
    telemetry._shutdowns.append(provider.shutdown)


class _BeforeExport(LogRecordProcessor):
    """Counts each log record, and ties the mail's known values to it, for the redaction in the export thread."""

    def __init__(self, produced: Callable[[int], None], exporters: int) -> None:
        self._produced = produced
        self._exporters = exporters

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._produced(self._exporters)
        known = known_values.current(log_record.log_record.context)
        if known is not None:
            log_record.log_record._autopilot_known = known  # type: ignore[attr-defined]

    def shutdown(self) -> None:
        """Nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True


def _logs(telemetry: Telemetry, resource: Resource, collector: str | None, protocol: str | None, tap: Tap | None) -> None:
    provider = get_logger_provider()
    if not isinstance(provider, LoggerProvider):
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        set_logger_provider(provider)
    chosen = exporters.names_of("logs", collector)
    provider.add_log_record_processor(_BeforeExport(telemetry.logs.produce, len(chosen)))
    if tap is not None:
        provider.add_log_record_processor(SimpleLogRecordProcessor(RedactingLogExporter(tap.logs)))
    for name in chosen:
        exporter = CountingLogExporter(exporters.make("logs", name, collector=collector, protocol=protocol), telemetry.logs)
        provider.add_log_record_processor(
            BatchLogRecordProcessor(
                RedactingLogExporter(exporter),
                max_queue_size=None if "OTEL_BLRP_MAX_QUEUE_SIZE" in os.environ else QUEUE_SIZE,
                schedule_delay_millis=_delay("OTEL_BLRP_SCHEDULE_DELAY", chosen),
            )
        )
    loguru_bridge.install(provider)
    telemetry._flushes["logs"] = provider.force_flush
    telemetry._shutdowns.append(provider.shutdown)
