"""`view`: pages, API and receiver of a real process, alone and beside `serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stored_emails import fill

TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class View:
    """A running `view`."""

    base: str
    receiver: dict[str, Any] | None
    process: subprocess.Popen[str]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.base}{path}", timeout=30, **more)


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "XDG_DATA_HOME": str(folder), "HOME": str(folder), "AUTOPILOT_OTLP_GRPC_PORT": "0", "AUTOPILOT_OTLP_HTTP_PORT": "0", **variables
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "otel_autopilot", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(file: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    until = time.monotonic() + 60
    while not file.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            pytest.fail(f"not ready: {process.communicate()[1]}")
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@contextmanager
def viewing(folder: Path, *arguments: str, **variables: str) -> Iterator[View]:
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    process = command(folder, "view", "--port", "0", "--ready-file", str(ready), *arguments, **variables)
    try:
        told = wait_for(ready, process)
        yield View(f"http://127.0.0.1:{told['view_port']}", told["receiver"], process)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "otel-autopilot"
    directory.mkdir(mode=0o700)
    fill(directory / "telemetry.db", 12, failed=2)
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """One `view` over 12 emails, for what only reads."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "otel-autopilot").mkdir(mode=0o700)
    fill(folder / "otel-autopilot" / "telemetry.db", 12, failed=2)
    with viewing(folder) as view:
        yield view


def send_span(address: str, name: str) -> None:
    code = (
        "import sys\nfrom opentelemetry.sdk.trace import TracerProvider\nfrom opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter\nprovider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1], insecure=True)))\n"
        "provider.get_tracer('t').start_span(sys.argv[2]).end()\nprovider.shutdown()"
    )
    subprocess.run([sys.executable, "-c", code, f"http://{address}", name], check=True, timeout=60)


def test_pages_and_answers_of_a_store_that_is_there(shared: View) -> None:
    for page in ("/view/", "/view/traces", f"/view/traces/{1:032x}", "/view/compare", "/view/latency", "/view/metrics", "/view/logs", "/view/runtime", "/view/health"):  # fmt: skip
        answer = shared.get(page)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert shared.get("/", follow_redirects=False).headers["location"] == "/view/"
    assert shared.get("/view/elsewhere").status_code == 404
    found = shared.get("/view/api/traces", params={"outcome": "failed"}).json()["traces"]
    assert [trace["outcome"] for trace in found] == ["failed"] * 2
    trace = shared.get(f"/view/api/traces/{found[0]['trace_id']}").json()
    assert [span["name"] for span in trace["spans"]] == ["email pipeline", "email", "ingestion", "digest"]
    assert shared.get("/view/api/breakdown").json()["emails"]["count"] == 12
    assert shared.get("/view/api/state").json()["receiver"] == shared.receiver


@pytest.mark.parametrize("path", ["/view/static/../../__init__.py", "/view/static/..%2f..%2f__init__.py", "/view/static//etc/passwd", "/view/static/%00", "/view/static/"])  # fmt: skip
def test_no_file_but_the_viewers_own_is_served(shared: View, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(shared.base.rpartition(":")[2])), 10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in raw.makefile("rb").readline()


@pytest.mark.parametrize("path", ["/", "/view/", "/view/static/icon.svg", "/view/api/state"])
def test_a_head_is_answered_as_its_get_is_without_the_body(shared: View, path: str) -> None:
    head, get = (httpx.request(method, f"{shared.base}{path}", timeout=30) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")


def test_files_are_asked_for_again_and_come_only_when_they_changed(shared: View) -> None:
    first = shared.get("/view/static/icon.svg")
    assert first.headers["content-type"].startswith("image/svg+xml")
    again = shared.get("/view/static/icon.svg", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("traces?stge=digest", 422, "stge: expected the parameter stage"),
        ("traces?from=yesterday", 422, "from: expected a time such as"),
        ("traces?limit=0", 422, "limit: expected a whole number from 1 to 500"),
        ("traces?limit=1&limit=2", 422, "limit: expected one value"),
        (f"traces/{'f' * 32}", 404, "trace_id"),
        ("traces/zzz", 422, "trace_id: expected 32 hexadecimal digits"),
        ("elsewhere", 404, "there is nothing to ask"),
        ("compare/traces", 422, "a: expected a value"),
    ],
)
def test_what_cannot_be_asked_is_a_problem_that_names_it(shared: View, query: str, status: int, says: str) -> None:
    answer = shared.get(f"/view/api/{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


def test_large_answers_are_compressed_for_who_takes_it(shared: View) -> None:
    plain = shared.get("/view/api/traces", headers={"Accept-Encoding": "identity"})
    packed = shared.get("/view/api/traces", headers={"Accept-Encoding": "gzip"})
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
    assert plain.json() == packed.json()


def test_other_hosts_and_other_sites_get_no_answer(shared: View) -> None:
    assert shared.get("/view/api/traces", headers={"Host": "evil.example"}).status_code == 421
    assert shared.get("/view/api/traces", headers={"Origin": "http://evil.example"}).status_code == 403
    assert shared.get("/view/api/traces", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_with_a_token_a_browser_shows_it_once_and_reads_from_then_on(store: Path) -> None:
    file = store / "token"
    file.write_text(TOKEN)
    with viewing(store, AUTOPILOT_API_TOKEN_FILE=str(file)) as view, httpx.Client(base_url=view.base, timeout=30) as browser:
        assert browser.get("/view/").status_code == 200, "pages hold no data"
        assert browser.get("/view/api/traces").status_code == 401
        assert browser.post("/view/api/session", json={"token": "wrong" * 5}).status_code == 401
        assert browser.post("/view/api/session", content=b"[]").status_code == 422
        answer = browser.post("/view/api/session", json={"token": TOKEN})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert browser.get("/view/api/traces").status_code == 200
        assert view.get("/view/api/traces", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_beyond_loopback_a_token_is_needed(tmp_path: Path) -> None:
    process = command(tmp_path, "view", "--port", "0", AUTOPILOT_HTTP_HOST="0.0.0.0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "AUTOPILOT_API_TOKEN_FILE" in errors


def test_what_an_sdk_sends_is_listed_and_a_second_view_shares_the_store(tmp_path: Path) -> None:
    with viewing(tmp_path) as first:
        assert first.receiver is not None
        before = first.get("/view/api/state").json()["version"]
        send_span(first.receiver["grpc"], "from elsewhere")
        assert first.get("/view/api/state").json()["version"] != before
        assert [trace["name"] for trace in first.get("/view/api/traces?kind=all").json()["traces"]] == ["from elsewhere"]
        second = command(tmp_path, "view", "--port", "0", "--ready-file", str(tmp_path / "second.json"))
        told = wait_for(tmp_path / "second.json", second)
        assert told["receiver"] == first.receiver
        listed = httpx.get(f"http://127.0.0.1:{told['view_port']}/view/api/traces?kind=all", timeout=30).json()["traces"]
        assert [trace["name"] for trace in listed] == ["from elsewhere"]
        second.send_signal(signal.SIGINT)
        assert "which has the same store" in second.communicate(timeout=30)[1]
        assert second.returncode == 0


def free_ports() -> tuple[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return str(one.getsockname()[1]), str(other.getsockname()[1])


@pytest.mark.parametrize("busy", [False, True], ids=["free ports", "a port that is busy for a while"])
def test_when_the_process_that_receives_is_killed_the_one_that_shares_takes_over(tmp_path: Path, busy: bool) -> None:
    grpc, http = free_ports()
    first = command(tmp_path, "view", "--port", "0", "--ready-file", str(tmp_path / "first.json"))
    wait_for(tmp_path / "first.json", first)
    with viewing(tmp_path, AUTOPILOT_OTLP_GRPC_PORT=grpc, AUTOPILOT_OTLP_HTTP_PORT=http) as second, ExitStack() as held:
        assert second.receiver is not None
        assert second.receiver["pid"] == first.pid
        if busy:
            other = held.enter_context(socket.create_server(("127.0.0.1", int(http))))
        first.kill()
        first.communicate()
        if busy:
            assert second.process.stderr is not None
            line = second.process.stderr.readline()
            while "goes on trying" not in line:
                assert line
                line = second.process.stderr.readline()
            assert f"port {http} on 127.0.0.1 is in use" in line
            other.close()
        until = time.monotonic() + 60
        while (second.get("/view/api/state").json()["receiver"] or {}).get("pid") != second.process.pid:
            assert time.monotonic() < until
            time.sleep(0.05)
        send_span(f"127.0.0.1:{grpc}", "after the take-over")
        assert (
            httpx.post(f"http://127.0.0.1:{http}/v1/traces", headers={"Content-Type": "application/x-protobuf"}).status_code == 200
        )
        listed = second.get("/view/api/traces?kind=all").json()["traces"]
        assert [trace["name"] for trace in listed] == ["after the take-over"]


@pytest.mark.parametrize("option", ["--port", "--otlp-grpc-port", "--otlp-http-port"])
def test_a_busy_port_is_an_error_that_names_it(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = command(tmp_path, "view", *(("--port", "0") if option != "--port" else ()), option, port)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    setting = {"--port": "AUTOPILOT_VIEW_PORT", "--otlp-grpc-port": "AUTOPILOT_OTLP_GRPC_PORT", "--otlp-http-port": "AUTOPILOT_OTLP_HTTP_PORT"}[option]  # fmt: skip
    assert f"port {port} on 127.0.0.1" in errors
    assert setting in errors
    assert "Traceback" not in errors


def test_where_telemetry_goes_to_a_collector_nothing_is_received(tmp_path: Path) -> None:
    with viewing(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as view:
        assert view.receiver is None
        assert view.get("/view/api/traces").json()["traces"] == []


def test_the_health_of_a_process_and_of_its_receiver_is_seen_from_others(tmp_path: Path) -> None:
    folders = {"AUTOPILOT_SMTP_PORT": "0", "AUTOPILOT_HTTP_PORT": "0", "AUTOPILOT_DELIVER_TO": str(tmp_path / "out")}
    serve = command(tmp_path, "serve", "--ready-file", str(tmp_path / "serve.json"), **folders)
    wait_for(tmp_path / "serve.json", serve)

    def query() -> dict[str, Any]:
        asked = command(tmp_path, "query", "health", "--json")
        answer, errors = asked.communicate(timeout=60)
        assert asked.returncode == 0, errors
        found: dict[str, Any] = json.loads(answer)
        return found

    with viewing(tmp_path) as view:
        for health in (view.get("/view/api/health").json(), query()):
            (process,) = health["processes"]
            assert (process["source"], process["pid"], process["service"]) == ("reported", serve.pid, "otel-autopilot")
            assert set(process["signals"]) == {"spans", "metrics", "logs"}
            assert health["receiver"]["pid"] == serve.pid
            assert health["receiver"]["signals"]["spans"]["accepted"] == 0
        serve.kill()
        serve.communicate()
        health = view.get("/view/api/health").json()
        assert [process["source"] for process in health["processes"]] == ["left behind"]
        assert [process["source"] for process in query()["processes"]] == ["left behind"]
    left = tmp_path / "otel-autopilot" / "telemetry-health"
    assert [path.name for path in left.iterdir()] == [f"{serve.pid}.json"], "a view leaves nothing"
