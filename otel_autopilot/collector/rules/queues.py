"""Queues and retries of exporters that send over a network.

An exporter that carries cumulative metrics only is left alone: the next point of a series holds the total of those before it,
so a loss leaves a gap and no wrong count. That is known of span_metrics (unless delta), service_graph and of the prometheus and
host_metrics receivers; of what comes by OTLP it isn't known.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_autopilot.collector.configuration import Component, Configuration, Pipeline
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.flow import Flow
from otel_autopilot.collector.names import QUEUED_EXPORTERS, queues_by_default
from otel_autopilot.collector.nodes import Mark, Scalar, entry, flag, seconds, text, value

_CUMULATIVE_RECEIVERS = frozenset({"prometheus", "host_metrics", "kubelet_stats"})
#: configretry.NewDefaultBackOffConfig, in seconds.
_DEFAULT_MAX_ELAPSED = 300.0


def queue_without_storage(config: Configuration) -> Problems:
    """A queue in memory was acknowledged and is lost with the process; a storage that isn't in service keeps it from starting.

    An exporter whose type isn't known is taken to have the queue that exporterhelper gives it; one of contrib nearly always has.
    """
    for exporter in (*_sending(config), *_assumed(config)):
        if exporter.type == "prometheus_remote_write":
            if value(exporter.settings, "wal", "directory") is None and flag(
                value(exporter.settings, "remote_write_queue", "enabled"), True
            ):
                yield (
                    exporter.mark,
                    f"{exporter.id} queues in memory: set wal.directory, or send by otlp_http with sending_queue.storage",
                )
            continue
        if not _queue_on(exporter):
            continue
        storage = value(exporter.settings, "sending_queue", "storage")
        if storage is None:
            default = "" if entry(exporter.settings, "sending_queue") else " by default"
            yield (
                _at(exporter, "sending_queue"),
                f"{exporter.id} queues in memory{default}: set sending_queue.storage to a file_storage extension",
            )
            continue
        name = text(storage)
        if name is not None and name not in config.components["extensions"]:
            yield (
                storage.mark,
                f"{exporter.id} stores its queue in {name}, which is not defined: define it under extensions, and name it in service.extensions",
            )
        elif name is not None and name not in {ref.id for ref in config.extensions}:
            yield storage.mark, f"{exporter.id} stores its queue in {name}, which is not in service.extensions: add it there"
        if exporter.type == "load_balancing" and flag(
            value(exporter.settings, "protocol", "otlp", "sending_queue", "enabled"), True
        ):
            yield (
                _at(exporter, "protocol", "otlp"),
                f"{exporter.id} hands on from its stored queue to one in memory for each backend: set protocol.otlp.sending_queue.enabled: false",
            )


def queue_disabled(config: Configuration) -> Problems:
    """Without a queue the sender waits, which is right while retries go on; when they end, the data is gone.

    load_balancing has neither queue nor retries by default (createDefaultConfig of loadbalancingexporter).
    """
    for exporter in _sending(config):
        if exporter.type == "prometheus_remote_write" or _queue_on(exporter) is not False:
            continue
        if exporter.type == "load_balancing" and entry(exporter.settings, "sending_queue") is None:
            yield (
                exporter.mark,
                f"{exporter.id} has no queue of its own by default: set sending_queue with a storage, and {_retry_for_ever(exporter)}",
            )
        elif _gives_up(exporter):
            yield (
                _at(exporter, "sending_queue"),
                f"{exporter.id} has no queue and its retries end: set {_retry_for_ever(exporter)}, and enable sending_queue if its "
                "senders are not to wait",
            )


def queue_not_blocking(config: Configuration) -> Problems:
    """A full queue refuses what comes, and no retry reaches what it refused: the newest data is dropped."""
    for exporter in _sending(config):
        if exporter.type == "prometheus_remote_write" or not _queue_on(exporter):
            continue
        if flag(value(exporter.settings, "sending_queue", "block_on_overflow"), False) is False:
            yield (
                _at(exporter, "sending_queue"),
                f"{exporter.id} drops the newest when its queue is full: set sending_queue.block_on_overflow: true",
            )


def retry_gives_up(config: Configuration) -> Problems:
    """After five minutes, the default, an exporter throws away what it couldn't send: shorter than most outages.

    Of an exporter that has no queue either, queue_disabled speaks.
    """
    for exporter in _sending(config):
        if _gives_up(exporter) and (exporter.type == "prometheus_remote_write" or _queue_on(exporter) is not False):
            yield _at(exporter, "retry_on_failure"), f"{exporter.id} gives up what it can't send: set {_retry_for_ever(exporter)}"


def _retry_for_ever(exporter: Component) -> str:
    if flag(value(exporter.settings, "retry_on_failure", "enabled"), exporter.type != "load_balancing") is False:
        return "retry_on_failure.enabled: true and max_elapsed_time: 0"
    return "retry_on_failure.max_elapsed_time: 0"


def _sending(config: Configuration) -> Iterator[Component]:
    """The exporters in use that are known to send over a network and carry more than cumulative metrics."""
    for exporter in config.used("exporters"):
        if _known(exporter) and not _only_cumulative(config, exporter):
            yield exporter


def _assumed(config: Configuration) -> Iterator[Component]:
    """The exporters in use of which only the rule is known: they queue in memory. Vendors' are among them."""
    for exporter in config.used("exporters"):
        unknown = isinstance(exporter.settings, Scalar) and not exporter.settings.known
        if not (unknown or _known(exporter)) and queues_by_default(exporter.type) and not _only_cumulative(config, exporter):
            yield exporter


def _known(exporter: Component) -> bool:
    sends = exporter.type in QUEUED_EXPORTERS or exporter.type in ("load_balancing", "prometheus_remote_write")
    return sends or entry(exporter.settings, "sending_queue") is not None


def _queue_on(exporter: Component) -> bool | None:
    if exporter.type == "load_balancing" and entry(exporter.settings, "sending_queue") is None:
        return False
    return flag(value(exporter.settings, "sending_queue", "enabled"), True)


def _gives_up(exporter: Component) -> bool:
    retry = value(exporter.settings, "retry_on_failure")
    balancing = exporter.type == "load_balancing"
    if flag(value(retry, "enabled"), not balancing) is False:
        return True
    return (seconds(value(retry, "max_elapsed_time"), 0.0 if balancing else _DEFAULT_MAX_ELAPSED) or 0.0) > 0


def _at(exporter: Component, *path: str) -> Mark:
    """The line of a setting, or of the nearest thing around it that is there."""
    while path:
        found = entry(exporter.settings, *path)
        if found:
            return found.mark
        path = path[:-1]
    return exporter.mark


def _only_cumulative(config: Configuration, exporter: Component) -> bool:
    flow = Flow(config)
    pipelines = flow.feeding(exporter.id)
    return bool(pipelines) and all(_cumulative(config, flow, pipeline, frozenset()) for pipeline in pipelines)


def _cumulative(config: Configuration, flow: Flow, pipeline: Pipeline, seen: frozenset[str]) -> bool:
    if pipeline.signal != "metrics" or pipeline.name in seen or len(seen) > 10:
        return False
    for ref in pipeline.receivers:
        receiver = config.receiver(ref)
        if receiver is None:
            return False
        if receiver.kind == "receivers":
            if receiver.type not in _CUMULATIVE_RECEIVERS:
                return False
        elif receiver.type == "span_metrics":
            if "DELTA" in (text(value(receiver.settings, "aggregation_temporality")) or ""):
                return False
        elif receiver.type != "service_graph" and not all(
            _cumulative(config, flow, each, seen | {pipeline.name}) for each in flow.feeding(receiver.id)
        ):
            return False
    return True
