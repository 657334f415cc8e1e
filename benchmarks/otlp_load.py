"""OTLP over gRPC from outside: traces as the pipeline makes them, and exact knowledge of which of them were accepted."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

STAGES = ("email", "ingestion", "digest", "delivery")
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def text(key: str, value: str) -> KeyValue:
    """An attribute of text."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def number(key: str, value: int) -> KeyValue:
    """An attribute that is a whole number."""
    return KeyValue(key=key, value=AnyValue(int_value=value))


@dataclass(frozen=True)
class Batch:
    """One request: its bytes, and the ids of its spans by trace id (hexadecimal)."""

    content: bytes
    spans: dict[str, frozenset[str]]

    @property
    def count(self) -> int:
        """Spans in it."""
        return sum(map(len, self.spans.values()))


def trace_spans(*, failed: bool = False, slow: bool = False, attempt: int = 1, rare: bool = False) -> list[Span]:
    """One email: the root and a span for each stage, ids at random."""
    trace_id, root_id = os.urandom(16), os.urandom(8)
    end = time.time_ns()
    length = 6_000_000_000 if slow else random.randint(20_000_000, 200_000_000)
    start = end - length
    run = text("autopilot.run.id", os.urandom(8).hex())
    workflow = text("autopilot.workflow", "email_digest")
    outcome = text("autopilot.outcome", "failed" if failed else "success")
    root = Span(
        trace_id=trace_id, span_id=root_id, name="email pipeline", kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=start, end_time_unix_nano=end, attributes=[run, workflow, outcome],
    )  # fmt: skip
    if rare:
        root.attributes.append(KeyValue(key="autopilot.rare", value=AnyValue(bool_value=True)))
    spans = [root]
    for place, stage in enumerate(STAGES):
        spans.append(
            Span(
                trace_id=trace_id, span_id=os.urandom(8), parent_span_id=root_id, name=stage, kind=Span.SPAN_KIND_INTERNAL,
                start_time_unix_nano=start + length * place // 4, end_time_unix_nano=start + length * (place + 1) // 4,
                attributes=[run, workflow, outcome, text("autopilot.stage", stage), number("autopilot.attempt", attempt)],
            )
        )  # fmt: skip
    if failed:
        for span in (root, spans[-1]):
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="the SMTP server refused it"))
    return spans


def batch(traces: int, *, service: str = "otel-autopilot", **kind: object) -> Batch:
    """A request of so many traces, five spans each."""
    spans = [span for _ in range(traces) for span in trace_spans(**kind)]  # type: ignore[arg-type]
    return request(spans, service)


def request(spans: list[Span], service: str = "otel-autopilot") -> Batch:
    """A request of these spans."""
    resource = Resource(
        attributes=[
            text("service.name", service),
            text("telemetry.sdk.language", "python"),
            text("telemetry.sdk.name", "opentelemetry"),
        ]
    )
    scope = ScopeSpans(scope=InstrumentationScope(name="load"), spans=spans)
    content = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])
    ids: dict[str, set[str]] = {}
    for span in spans:
        ids.setdefault(span.trace_id.hex(), set()).add(span.span_id.hex())
    return Batch(content.SerializeToString(), {trace: frozenset(of_trace) for trace, of_trace in ids.items()})


class Sender:
    """Sends requests to an OTLP gRPC endpoint, such as ``127.0.0.1:4317``."""

    def __init__(self, endpoint: str, *, timeout_seconds: float = 10.0) -> None:
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        self._channel = grpc.insecure_channel(endpoint, options=options)
        self._timeout = timeout_seconds
        self._call = self._channel.unary_unary(
            _EXPORT, request_serializer=lambda content: content, response_deserializer=ExportTraceServiceResponse.FromString
        )

    def send(self, content: bytes) -> bool:
        """True when it was accepted whole; False when it was refused, or nobody knows."""
        try:
            answer = self._call(content, timeout=self._timeout)
        except grpc.RpcError:
            return False
        return bool(answer.partial_success.rejected_spans == 0)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@dataclass
class Load:
    """Traffic in the background: new traces at about a rate; what is refused is kept and sent again first, as an SDK does."""

    endpoint: str
    traces_per_second: float = 200.0
    traces_per_request: int = 20
    accepted: dict[str, frozenset[str]] = field(default_factory=dict)
    """Span ids by trace id of what was acknowledged."""
    refusals: int = 0
    """Requests that were refused or timed out, each counted every time."""
    give_up_seconds: float = 60.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop, after a last attempt at what is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self.give_up_seconds + 15)
            self._thread = None

    def _batches(self) -> Iterator[Batch]:
        while not self._stop.is_set():
            yield batch(self.traces_per_request)

    def _run(self) -> None:
        sender = Sender(self.endpoint, timeout_seconds=5.0)
        pause = self.traces_per_request / self.traces_per_second
        for item in self._batches():
            begun = time.monotonic()
            while not sender.send(item.content):
                self.refusals += 1
                if self._stop.is_set():
                    break
                self._stop.wait(0.2)
            else:
                self.accepted.update(item.spans)
            self._stop.wait(max(0.0, pause - (time.monotonic() - begun)))
        sender.close()
