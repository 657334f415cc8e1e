"""The receiver on real sockets: what standard clients send arrives, and what is no OTLP is answered for."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import requests
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.otlp_load import batch, request, text, trace_spans
from otel_autopilot.errors import SettingsError
from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.receiver.limits import Limits
from otel_autopilot.local.store import TraceStore
from tests.integration.receiver_harness import Receiving, receiving, wait_for

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def receiver(data_dir: Path) -> Iterator[Receiving]:
    with receiving(data_dir) as running:
        yield running


def post(receiver: Receiving, content: Any = b"", path: str = "/v1/traces", **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(receiver.http + path, content=content, headers={**PROTOBUF, **given}, timeout=60)


def call(
    endpoint: str, content: bytes, method: str = TRACES, compression: grpc.Compression = grpc.Compression.NoCompression
) -> Any:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(endpoint, options=options, compression=compression) as channel:
        return ExportTraceServiceResponse.FromString(channel.unary_unary(method)(content, timeout=60))


def refusal(endpoint: str, content: bytes, method: str = TRACES, **more: Any) -> tuple[grpc.StatusCode, float | None]:
    """The code that a request is refused with, and the delay after which it may be sent again."""
    with pytest.raises(grpc.RpcError) as caught:
        call(endpoint, content, method, **more)
    for key, value in caught.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            info = error_details_pb2.RetryInfo()
            assert status.details[0].Unpack(info)
            return caught.value.code(), info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return caught.value.code(), None


# --- clients ----------------------------------------------------------------------------------------------------------


def exporters(receiver: Receiving, protocol: str, compressed: bool) -> tuple[Any, Any, Any]:
    if protocol == "grpc":
        how = {"endpoint": receiver.grpc, "insecure": True, "compression": grpc.Compression.Gzip if compressed else None}
        return GrpcSpans(**how), GrpcLogs(**how), GrpcMetrics(**how)
    compression = HttpCompression.Gzip if compressed else HttpCompression.NoCompression
    made = ((HttpSpans, "traces"), (HttpLogs, "logs"), (HttpMetrics, "metrics"))
    spans, logs, metrics = (kind(endpoint=f"{receiver.http}/v1/{name}", compression=compression) for kind, name in made)
    return spans, logs, metrics


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_what_the_sdk_sends_is_stored(receiver: Receiving, protocol: str, compressed: bool) -> None:
    spans, logs, metrics = exporters(receiver, protocol, compressed)
    resource = Resource({"service.name": "client"})
    tracers, loggers = TracerProvider(resource=resource, shutdown_on_exit=False), LoggerProvider(resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 3_600_000)], resource, shutdown_on_exit=False)
    with tracers.get_tracer("lib").start_as_current_span("outer", attributes={"n": 1, "list": ["a", "b"]}) as outer:
        outer.add_event("happened", {"k": "v"})
        loggers.get_logger("lib").emit(LogRecord(timestamp=5, severity_number=SeverityNumber.INFO, body="hello"))
    meters.get_meter("lib").create_histogram("h").record(0.5)
    assert meters.force_flush()
    trace_id = f"{outer.get_span_context().trace_id:032x}"
    (span,), (log,) = receiver.store.trace(trace_id)
    assert (span.name, span.attributes, span.resource["service.name"]) == ("outer", {"n": 1, "list": ["a", "b"]}, "client")
    assert [event.name for event in span.events] == ["happened"]
    assert (log.body, log.span_id) == ("hello", span.span_id)
    assert {name: counts["accepted"] for name, counts in receiver.counts.items()} == {"spans": 1, "logs": 1, "metrics": 1}
    for provider in (tracers, loggers, meters):
        provider.shutdown()


def test_json_is_stored_and_answered_in_json(receiver: Receiving) -> None:
    span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "from json", "startTimeUnixNano": "5", "endTimeUnixNano": "7", "kind": 2}  # fmt: skip
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {**span, "spanId": ""}]}]}]}
    answer = httpx.post(f"{receiver.http}/v1/traces", content=gzip.compress(json.dumps(body).encode()), headers={"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"})  # fmt: skip
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["partialSuccess"] == {"rejectedSpans": "1", "errorMessage": "spans that can't be stored, by what is wrong in them: span id (1)"}  # fmt: skip
    ((stored,), _) = receiver.store.trace(span["traceId"])
    assert (stored.name, stored.kind) == ("from json", "SPAN_KIND_SERVER")


def test_what_cannot_be_kept_is_named_in_a_partial_success_and_the_rest_is_stored(receiver: Receiving) -> None:
    spans = trace_spans()
    spans[1].span_id = b"short"
    content = request(spans).content
    answer = call(receiver.grpc, content)
    assert (answer.partial_success.rejected_spans, "span id (1)" in answer.partial_success.error_message) == (1, True)
    over_http = ExportTraceServiceResponse.FromString(post(receiver, content).content)
    assert over_http == answer
    assert receiver.store.span_count() == 4, "the same span twice is stored once"
    assert receiver.counts["spans"] == {
        "accepted": 8,
        "rejected": {"span id": 2},
        "requests": 2,
        "bytes": 2 * len(content),
        "refused": {},
    }


def test_a_request_with_nothing_in_it_is_a_success(receiver: Receiving) -> None:
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        answer = post(receiver, path=path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert httpx.post(receiver.http + path, content=b"{}", headers=JSON).json() == {}
    assert call(receiver.grpc, b"") == ExportTraceServiceResponse()
    assert receiver.store.span_count() == 0


# --- abuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (400, b"garbage that is no protobuf", {}),
        (400, batch(1).content[:-3], {}),
        (400, b"", {"Content_Type": "application/json"}),
        (400, b"{", {"Content_Type": "application/json"}),
        (415, b"", {"Content_Type": "text/plain"}),
        (415, b"", {"Content_Type": ""}),
        (415, b"", {"Content_Encoding": "br"}),
        (400, b"no gzip", {"Content_Encoding": "gzip"}),
        (400, gzip.compress(batch(1).content)[:-10], {"Content_Encoding": "gzip"}),
        (400, b"", {"Content_Encoding": "gzip"}),
        (413, gzip.compress(bytes(30_000_000)), {"Content_Encoding": "gzip"}),
        (413, gzip.compress(b" " * 30_000_000), {"Content_Encoding": "gzip", "Content_Type": "application/json"}),
        (421, b"", {"Host": "attacker.example"}),
        (403, b"", {"Origin": "http://attacker.example"}),
        (403, b"", {"Sec_Fetch_Site": "cross-site"}),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_otlp_over_http_gets_the_status_that_says_so(
    receiver: Receiving, status: int, content: bytes, headers: dict[str, str]
) -> None:
    answer = post(receiver, content, **headers)
    assert answer.status_code == status
    if status not in (421, 403):
        as_json = headers.get("Content_Type") != "application/x-protobuf" and "Content_Type" in headers
        said = answer.json()["message"] if as_json else status_pb2.Status.FromString(answer.content).message
        assert said
    assert post(receiver, batch(1).content).status_code == 200
    assert receiver.store.span_count() == 5


def test_other_paths_and_methods_are_answered_for(receiver: Receiving) -> None:
    assert post(receiver, path="/v1/profiles").status_code == 404
    answer = httpx.get(f"{receiver.http}/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["code"] == code_pb2.UNIMPLEMENTED


def test_what_is_no_otlp_over_grpc_gets_the_code_that_says_so(receiver: Receiving) -> None:
    assert refusal(receiver.grpc, b"garbage that is no protobuf") == (grpc.StatusCode.INVALID_ARGUMENT, None)
    assert refusal(receiver.grpc, b"", "/some.other.Service/Export") == (grpc.StatusCode.UNIMPLEMENTED, None)
    too_large = (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert refusal(receiver.grpc, bytes(17 << 20)) == too_large
    assert refusal(receiver.grpc, bytes(100 << 20), compression=grpc.Compression.Gzip) == too_large
    assert call(receiver.grpc, batch(1).content) == ExportTraceServiceResponse()
    assert receiver.counts["spans"]["refused"] == {"malformed": 1}


@pytest.mark.parametrize(
    ("path", "content"),
    [("/v1/traces", b"\x0a\x00" * 5_000_000), ("/v1/traces", b"\x0a\x86\xad\xe2\x04" + b"\x12\x00" * 5_000_003),
     ("/v1/metrics", b"\x0a\x00" * 5_000_000), ("/v1/logs", b"\x0a\x00" * 5_000_000)],
    ids=["resources", "scopes", "metrics", "logs"],
)  # fmt: skip
def test_a_few_megabytes_that_unfold_into_millions_of_groups_are_refused(receiver: Receiving, path: str, content: bytes) -> None:
    answer = post(receiver, content, path)
    assert (answer.status_code, status_pb2.Status.FromString(answer.content).message) == (
        413, "expected at most 200000 items and groups of items in one request, got more",
    )  # fmt: skip


def pieces() -> Iterator[bytes]:
    for _ in range(100):
        yield bytes(1_000_000)


@pytest.mark.parametrize("announced", [True, False], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("client", ["httpx", "requests"])
def test_a_body_of_100_megabytes_is_refused_without_being_held_and_its_sender_reads_why(
    receiver: Receiving, client: str, announced: bool
) -> None:
    answer: Any
    if client == "httpx":
        answer = post(receiver, pieces(), **({"Content_Length": "100000000"} if announced else {}))
    else:
        content = bytes(100_000_000) if announced else pieces()
        answer = requests.post(f"{receiver.http}/v1/traces", data=content, headers=PROTOBUF, timeout=60)
    assert answer.status_code == 413
    assert "at most 16777216 bytes" in status_pb2.Status.FromString(answer.content).message
    assert receiver.counts["spans"]["refused"] == {"too large": 1}
    assert post(receiver, batch(1).content).status_code == 200


def test_a_length_beyond_the_limit_is_answered_before_the_body_comes(receiver: Receiving) -> None:
    host, port = receiver.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\nContent-Type: application/x-protobuf\r\n\r\n"
        )
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of a thousand connections in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 4_096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4_096 if hard == resource.RLIM_INFINITY else min(4_096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections_idle_or_slow_keep_nobody_else_out(receiver: Receiving) -> None:
    http, rpc = (address.removeprefix("http://").split(":") for address in (receiver.http, receiver.grpc))
    with ExitStack() as opened:
        for number in range(1_000):
            host, port = rpc if number % 2 else http
            connection = opened.enter_context(socket.create_connection((host, int(port)), timeout=30))
            if number % 4 == 0:
                connection.sendall(
                    b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/x-protobuf\r\n\r\nx"
                )
        assert post(receiver, batch(1).content).status_code == 200
        assert call(receiver.grpc, batch(1).content) == ExportTraceServiceResponse()
    assert receiver.store.span_count() == 10


HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>", "control": "".join(map(chr, range(32))) + "\x7f\u202e\ufeff",
    "sql": "'; DROP TABLE spans; --", "long": "x" * 2_000_000, "emoji": "\U0001f4a9" * 1000, "": "no name", "\x00bytes": "!",
    "nul": "a\x00b", "__proto__": "x", "key " * 10_000: "long name",
}  # fmt: skip


def test_hostile_values_are_stored_as_they_are_and_break_nothing(receiver: Receiving) -> None:
    span = trace_spans()[0]
    span.name = HOSTILE["control"]
    span.attributes.extend(text(key, value) for key, value in HOSTILE.items())
    assert call(receiver.grpc, request([span], service=HOSTILE["markup"]).content) == ExportTraceServiceResponse()
    ((stored,), _) = receiver.store.trace(span.trace_id.hex())
    assert (stored.name, stored.resource["service.name"]) == (HOSTILE["control"], HOSTILE["markup"])
    kept = {key[:16_384]: value for key, value in stored.attributes.items()}
    assert set(kept) >= {key[:16_384] for key in HOSTILE}
    assert kept.pop("long") == "x" * 16_384 + "... (cut: 2000000 characters)"
    assert all(kept[key[:16_384]] == value for key, value in HOSTILE.items() if key != "long")
    json.dumps(stored.to_json(), allow_nan=False)


def test_who_sends_little_does_not_wait_for_a_request_that_takes_long_to_look_through(receiver: Receiving) -> None:
    span = trace_spans()[0]
    span.attributes.extend(text(f"key.{number}", f"{number}" + "a@" * 8_000) for number in range(1_000))
    slow = request([span]).content
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, receiver, slow)
        wait_for(lambda: receiver.embedded.receiver.under_way._bytes >= len(slow))
        for _ in range(3):
            assert post(receiver, batch(1).content).status_code == 200
        assert not answer.done()
        assert answer.result().status_code == 200


def test_what_is_under_way_is_bounded_and_who_comes_too_much_is_told_when_to_come_back(data_dir: Path) -> None:
    content = batch(20).content
    with receiving(data_dir, under_way_bytes=len(content) + 1000) as receiver:
        host, port = receiver.http.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nContent-Type: application/x-protobuf\r\n\r\n" + bytes(2_000))  # fmt: skip
            wait_for(lambda: receiver.embedded.receiver.under_way._bytes >= 2_000)
            answer = post(receiver, content)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert refusal(receiver.grpc, content) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1.0)
        wait_for(lambda: not receiver.embedded.receiver.under_way._bytes)
        assert post(receiver, content).status_code == 200
        assert receiver.counts["spans"]["refused"] == {"busy": 2}


def test_more_items_a_second_than_allowed_are_to_come_back_later(data_dir: Path) -> None:
    with receiving(data_dir, items_per_second=0.001) as receiver:
        assert post(receiver, batch(1).content).status_code == 200
        answer = post(receiver, batch(1).content)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        code, delay = refusal(receiver.grpc, batch(1).content)
        assert (code, delay is not None and delay > 0) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
        assert receiver.store.span_count() == 5


# --- the store --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_full_disk_is_back_pressure_and_the_client_delivers_once_there_is_room(receiver: Receiving, protocol: str) -> None:
    connection = receiver.store._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    exporter: SpanExporter = exporters(receiver, protocol, False)[0]
    tracers = TracerProvider(shutdown_on_exit=False)
    span = tracers.get_tracer("lib").start_span("kept", attributes={"padding": "x" * 100_000})
    span.end()
    results: list[SpanExportResult] = []
    sending = threading.Thread(target=lambda: results.append(exporter.export([span])))  # type: ignore[list-item]
    sending.start()
    wait_for(lambda: receiver.counts["spans"]["refused"])
    assert refusal(receiver.grpc, batch(200).content) == (grpc.StatusCode.UNAVAILABLE, 2.0)
    answer = post(receiver, batch(200).content)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert receiver.store.span_count() == 0
    connection.execute("PRAGMA max_page_count=1000000")
    sending.join(60)
    assert results == [SpanExportResult.SUCCESS]
    assert receiver.store.span_count() == 1
    exporter.shutdown()


def test_no_personal_data_reaches_the_file(receiver: Receiving) -> None:
    address, card, token, subject = (
        "ann.miller@example.org",
        "4111111111111111",
        "eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "Quarterly numbers for Ann",
    )
    dirty = [text("to", f"mail to {address}"), text("db.statement", f"select '{card}'"), text("email.subject", subject), text("http.request.header.authorization", subject), text("h", f"Bearer {token}")]  # fmt: skip
    span = trace_spans()[0]
    span.name = f"send to {address}"
    span.status.message = f"550 {address}"
    span.attributes.extend(dirty)
    span.events.add(name=f"to {address}", attributes=dirty)
    span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=dirty)
    whole = ExportTraceServiceRequest.FromString(request([span]).content)
    whole.resource_spans[0].resource.attributes.extend(dirty)
    whole.resource_spans[0].scope_spans[0].scope.attributes.extend(dirty)
    assert call(receiver.grpc, whole.SerializeToString()) == ExportTraceServiceResponse()
    record = {"timeUnixNano": "5", "body": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": address}}, {"key": "subject", "value": {"stringValue": subject}}]}}}  # fmt: skip
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    assert httpx.post(f"{receiver.http}/v1/logs", json=logs).status_code == 200
    point = {"timeUnixNano": "5", "asInt": "1", "attributes": [{"key": "who", "value": {"stringValue": address}}]}
    metrics = {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"name": "m", "description": address, "gauge": {"dataPoints": [point]}}]}]}
        ]
    }
    assert httpx.post(f"{receiver.http}/v1/metrics", json=metrics).status_code == 200
    written = receiver.written()
    assert b"[redacted]" in written
    for personal in (address, card, token, subject, "miller"):
        assert personal.encode() not in written


SERVE = """
import asyncio, os, sys
from pathlib import Path
from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.store import TraceStore
async def main():
    folder = Path(sys.argv[1])
    store = TraceStore.open(folder / "telemetry.db")
    receiver = EmbeddedReceiver(store, folder, grpc_port=0, http_port=0)
    await receiver.start()
    print(receiver.where()["grpc"], receiver.where()["http"], flush=True)
    if len(sys.argv) > 2:
        await asyncio.to_thread(sys.stdin.readline)
        child = os.fork()
        if child == 0:
            own = TraceStore.open(folder / "child.db")
            sys.stdin.readline()
            os._exit(own.span_count())
        print("forked", flush=True)
        print(os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1]), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def serve(data_dir: Path, *more: str) -> tuple[subprocess.Popen[str], list[str]]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVE), str(data_dir), *more], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()


def test_what_was_acknowledged_survives_the_death_of_the_process(data_dir: Path) -> None:
    process, (rpc, _) = serve(data_dir)
    acknowledged = 0
    for _ in range(20):
        acknowledged += 5 * (call(rpc, batch(1).content) == ExportTraceServiceResponse())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = TraceStore.open(data_dir / "telemetry.db")
    assert store.span_count() == acknowledged == 100
    store.close()


def test_a_fork_of_the_process_leaves_parent_and_child_able_to_work(data_dir: Path) -> None:
    process, (rpc, http) = serve(data_dir, "fork")
    assert process.stdin is not None
    assert process.stdout is not None
    with grpc.insecure_channel(rpc) as channel:
        send = channel.unary_unary(TRACES)
        send(batch(1).content, timeout=30)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
        send(batch(1).content, timeout=30)
        assert httpx.post(f"http://{http}/v1/traces", content=batch(1).content, headers=PROTOBUF).status_code == 200
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "0\n", "the child worked to its end"
        send(batch(1).content, timeout=30)
    process.kill()
    assert process.communicate()[1] == "", "gRPC has something to say about the fork"


# --- who receives -----------------------------------------------------------------------------------------------------


async def test_the_second_on_a_data_directory_finds_the_first_and_shares_its_store(receiver: Receiving, data_dir: Path) -> None:
    store = TraceStore.open(data_dir / "telemetry.db")
    second = EmbeddedReceiver(store, data_dir)
    assert not await second.start()
    assert not second.receiving
    assert second.where() == {"grpc": receiver.grpc, "http": receiver.http.removeprefix("http://"), "pid": os.getpid()}
    await second.stop()
    store.close()


@pytest.mark.parametrize("setting", ["AUTOPILOT_OTLP_GRPC_PORT", "AUTOPILOT_OTLP_HTTP_PORT"])
async def test_a_busy_port_is_an_error_that_names_it_and_its_setting(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        store = TraceStore.open(tmp_path / "telemetry.db")
        ports = {"grpc_port": port, "http_port": 0} if "GRPC" in setting else {"grpc_port": 0, "http_port": port}
        receiver = EmbeddedReceiver(store, tmp_path, limits=Limits(), **ports)
        with pytest.raises(SettingsError, match=f"port {port} on 127.0.0.1 is in use.*{setting}"):
            await receiver.start()
        assert receiver.where() is None
        store.close()


async def test_two_receivers_cannot_share_a_port(receiver: Receiving, tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path / "other.db")
    other = EmbeddedReceiver(store, tmp_path, grpc_port=int(receiver.grpc.rpartition(":")[2]), http_port=0)
    with pytest.raises(SettingsError, match="AUTOPILOT_OTLP_GRPC_PORT"):
        await other.start()
    store.close()
