"""Jaeger's query API, asked over real sockets of a server that answers as Jaeger does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from otel_autopilot.cli.jaeger import Jaeger, beside, with_port


class Store(ThreadingHTTPServer):
    """Holds span ids by trace id; of those in ``arriving`` one comes in with every look at their trace."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.traces: dict[str, list[int]] = {}
        self.arriving: dict[str, list[int]] = {}
        self.looks: list[list[str]] = []
        self.status = 200
        self.services: object = {"data": ["otel-autopilot"]}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/api/services":
            content: object = self.server.services
        else:
            asked = parse_qs(parts.query)["traceID"]
            self.server.looks.append(asked)
            for trace_id in asked:
                if self.server.arriving.get(trace_id):
                    self.server.traces.setdefault(trace_id, []).append(self.server.arriving[trace_id].pop())
            content = {
                "data": [
                    {"spans": [{"traceID": trace_id, "spanID": f"{span:016x}"} for span in self.server.traces[trace_id]]}
                    for trace_id in asked
                    if trace_id in self.server.traces
                ]
            }
        body = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def jaeger(store: Store) -> Iterator[Jaeger]:
    client = Jaeger(store.url)
    yield client
    client.close()


def trace(number: int) -> str:
    return f"{number + 1:032x}"


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        ("http://127.0.0.1:4317", "http://127.0.0.1:16686"),
        ("gateway:4317", "http://gateway:16686"),
        ("http://[::1]:4317", "http://[::1]:16686"),
        ("https://otel.example.org", "http://otel.example.org:16686"),
    ],
)
def test_jaeger_is_beside_the_collector_when_nobody_says(collector: str, expected: str) -> None:
    assert beside(collector) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:16686"),
        ("http://jaeger/", "http://jaeger:16686"),
        ("http://jaeger:80/", "http://jaeger:80"),
        ("http://proxy/jaeger/", "http://proxy/jaeger"),
        ("https://jaeger.example.org", "https://jaeger.example.org"),
    ],
)
def test_a_port_is_added_where_none_can_be_meant_otherwise(url: str, expected: str) -> None:
    assert with_port(url) == expected


@pytest.mark.parametrize("services", [[], "data", 1, None, {"status": "success"}])
def test_json_that_is_no_list_of_services_is_no_jaeger(store: Store, jaeger: Jaeger, services: object) -> None:
    assert jaeger.answers()
    store.services = services
    assert not jaeger.answers()


def test_what_is_whole_is_not_asked_for_again(store: Store, jaeger: Jaeger) -> None:
    """Forty-five traces in three requests, and one that comes in span by span."""
    traces = {trace(number): [1, 2, 3] for number in range(45)}
    store.traces = {trace_id: list(spans) for trace_id, spans in traces.items() if trace_id != trace(30)}
    store.arriving = {trace(30): [1, 2, 3]}
    told: list[int] = []
    assert jaeger.wait_for(traces, 60, tell=told.append) == {}
    assert [len(look) for look in store.looks] == [20, 20, 5, 1, 1]
    assert told == [20, 39, 44, 44, 45]


def test_the_same_span_id_in_another_trace_is_another_span(store: Store, jaeger: Jaeger) -> None:
    store.traces = {trace(0): [7]}
    assert jaeger.wait_for({trace(0): [7], trace(1): [7]}, 0.01) == {trace(1): 1}


def test_spans_that_could_not_be_sent_are_not_waited_for(store: Store, jaeger: Jaeger) -> None:
    store.traces = {trace(0): [1, 2], trace(1): [1]}
    assert jaeger.wait_for({trace(0): [1, 2], trace(1): [1, 2, 3]}, 3600, lost=2) == {trace(1): 2}
    assert len(store.looks) == 1


def test_what_jaeger_cant_say_counts_as_missing(store: Store, jaeger: Jaeger) -> None:
    store.status = 500
    traces = {trace(number): [1, 2] for number in range(45)}
    assert jaeger.wait_for(traces, 0.2) == dict.fromkeys(traces, 2)
    assert {len(look) for look in store.looks} == {20}, "the others aren't asked for while it can't answer"


def test_nothing_to_wait_for_is_all_there(store: Store, jaeger: Jaeger) -> None:
    assert jaeger.wait_for({}, 3600) == {}
    assert store.looks == []
