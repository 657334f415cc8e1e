"""The API over real sockets: mail in, runs out, and what happens to requests that mean harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.trace import SpanKind

from otel_autopilot.errors import SettingsError
from otel_autopilot.service import emails, uploads
from otel_autopilot.service.app import create_app
from otel_autopilot.settings import Settings
from otel_autopilot.web import guard, server
from otel_autopilot.web.server import HttpServer, bind
from tests.conftest import Spans
from tests.integration.service_harness import Api, running

MAIL = b"From: ann@example.org\r\nTo: bob@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: Secret plans\r\n\r\nText.\r\n"
RFC822 = {"Content-Type": "message/rfc822"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
async def api(data_dir: Path) -> AsyncIterator[Api]:
    async with running(data_dir) as api:
        yield api


def problem(response: httpx.Response, status: int) -> str:
    """The detail of a problem, after a look at its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == status
    assert content["type"] == "about:blank"
    assert content["title"] == httpx.codes(status).name.replace("_", " ").title() or content["title"]
    return str(content["detail"])


# --- mail in ----------------------------------------------------------------------------------------------------------


async def test_a_mail_is_stored_and_answered_with_its_run(api: Api) -> None:
    response = await api.client.post("/api/emails", content=MAIL, headers=RFC822)
    assert response.status_code == 202
    run_id = response.json()["run_id"]
    assert response.headers["location"] == f"/api/runs/{run_id}"
    (raw,) = api.engine.taken
    assert raw.blob.read_bytes() == MAIL
    assert raw.envelope.source == "api"
    assert raw.envelope.received_unix_nano <= raw.envelope.stored_unix_nano
    run = (await api.client.get(response.headers["location"])).json()
    assert (run["id"], run["state"], run["outcome"], run["size_bytes"]) == (run_id, "created", None, len(MAIL))


async def test_the_same_mail_again_is_answered_200_with_the_same_run(api: Api) -> None:
    first = await api.client.post("/api/emails", content=MAIL, headers=RFC822)
    again = await api.client.post("/api/emails", content=MAIL, headers=RFC822)
    assert (again.status_code, again.json()["run_id"], again.json()["created"]) == (200, first.json()["run_id"], False)


async def test_the_same_message_id_with_another_body_is_another_run_and_flagged(api: Api) -> None:
    first = (await api.client.post("/api/emails", content=MAIL, headers=RFC822)).json()
    other = (await api.client.post("/api/emails", content=MAIL + b"More.\r\n", headers=RFC822)).json()
    assert other["run_id"] != first["run_id"]
    assert (first["conflict"], other["conflict"]) == (False, True)


async def test_each_file_of_a_form_is_a_mail(api: Api) -> None:
    files = [("file", (f"{number}.eml", MAIL.replace(b"<1@", f"<{number}@".encode()))) for number in range(3)]
    response = await api.client.post(
        "/api/emails", files=files, data={"sender": "ann@example.org", "recipient": ["a@example.org", "b@example.org"]}
    )
    assert response.status_code == 202
    assert len({item["run_id"] for item in response.json()["emails"]}) == 3
    assert {raw.envelope.recipients for raw in api.engine.taken} == {("a@example.org", "b@example.org")}
    assert api.engine.taken[1].blob.read_bytes() == files[1][1][1]


async def test_the_envelope_comes_from_headers(api: Api) -> None:
    headers = RFC822 | {"X-Envelope-From": "<>", "X-Envelope-To": "a@example.org, b@example.org"}
    await api.client.post("/api/emails", content=MAIL, headers=headers)
    assert api.engine.taken[0].envelope.sender == ""
    assert api.engine.taken[0].envelope.recipients == ("a@example.org", "b@example.org")


async def test_a_large_mail_streams_to_disk_without_a_length(api: Api) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield MAIL
        for _ in range(200):
            yield b"x" * 99_999 + b"\n"

    response = await api.client.post("/api/emails", content=body(), headers=RFC822)
    assert response.status_code == 202
    assert api.engine.taken[0].blob.size_bytes == len(MAIL) + 20_000_000


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "text/plain"}, MAIL, 415),
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({}, MAIL, 415),
        ({"Content-Type": "multipart/form-data"}, MAIL, 415),
        (RFC822, b"", 422),
        (FORM, b"no form", 400),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx', 400),
        (FORM, b"--b--\r\n", 422),
        (RFC822 | {"X-Envelope-To": "nobody"}, MAIL, 422),
        (RFC822 | {"Content-Encoding": "gzip"}, MAIL, 415),
    ],
)
async def test_what_is_no_mail_is_a_problem_and_leaves_nothing(
    api: Api, headers: dict[str, str], content: bytes, status: int
) -> None:
    response = await api.client.post("/api/emails", content=content, headers=headers)
    assert "Secret" not in problem(response, status)
    assert api.engine.taken == []
    assert api.half_written() == []


async def test_a_body_over_the_limit_is_413_by_its_length_and_while_streaming(data_dir: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    async with running(data_dir, http_max_body_bytes=1_000_000) as api:
        by_length = await api.client.post("/api/emails", content=b"x" * 1_000_001, headers=RFC822)
        assert "AUTOPILOT_HTTP_MAX_BODY_BYTES" in problem(by_length, 413)
        problem(await api.client.post("/api/emails", content=body(), headers=RFC822), 413)
        assert (await api.client.post("/api/emails", content=b"x" * 1_000_000, headers=RFC822)).status_code == 202
        assert api.half_written() == []


async def test_too_many_uploads_at_once_are_429(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emails, "MOST_UPLOADS", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"POST /api/emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\nContent-Length: 10\r\n\r\nabc")
    while not api.half_written():
        await asyncio.sleep(0.01)
    response = await api.client.post("/api/emails", content=MAIL, headers=RFC822)
    problem(response, 429)
    assert response.headers["retry-after"]
    writer.write(b"defghij")
    assert b"202 Accepted" in await reader.readuntil(b"\r\n")
    writer.close()


async def test_a_client_that_goes_away_leaves_no_file(api: Api) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"POST /api/emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\nContent-Length: 10\r\n\r\nabc")
    while not api.half_written():
        await asyncio.sleep(0.01)
    writer.transport.abort()
    while api.half_written():
        await asyncio.sleep(0.01)
    assert api.engine.taken == []


async def test_a_client_that_stops_sending_is_408(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSE_SECONDS", 0.2)
    answer = await api.raw(
        b"POST /api/emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\nContent-Length: 10\r\n\r\nabc"
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert api.half_written() == []


# --- runs out ---------------------------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first_in_pages(api: Api) -> None:
    sent = [
        (await api.client.post("/api/emails", content=MAIL + b"%d" % number, headers=RFC822)).json()["run_id"]
        for number in range(5)
    ]
    first = (await api.client.get("/api/runs", params={"limit": 3})).json()
    second = (await api.client.get("/api/runs", params={"limit": 3, "cursor": first["next"]})).json()
    assert [run["id"] for run in first["runs"] + second["runs"]] == sent[::-1]
    assert second["next"] is None


async def test_runs_are_filtered_by_state_workflow_and_message_id(api: Api) -> None:
    run = (await api.client.post("/api/emails", content=MAIL, headers=RFC822)).json()["run_id"]
    await api.client.post("/api/emails", content=b"Subject: other\r\n\r\n.", headers=RFC822)
    await api.store.finish(run, "failed", finished_unix_nano=2, error=None, deliveries=())
    message_id = (await api.client.get(f"/api/runs/{run}")).json()["message_id"]
    for params, expected in (
        ({"state": "failed"}, 1), ({"state": "success"}, 0), ({"workflow": "email-digest"}, 2), ({"workflow": "none"}, 0),
        ({"state": "failed", "workflow": "email-digest"}, 1), ({"message_id": message_id}, 1), ({"message_id": "<1@example.org>"}, 1), ({"message_id": "<no@example.org>"}, 0),
        ({"message_id": message_id, "state": "running"}, 0),
    ):  # fmt: skip
        assert len((await api.client.get("/api/runs", params=params)).json()["runs"]) == expected, params


@pytest.mark.parametrize("query", ["state=odd", "limit=0", "limit=501", "cursor=x", "message_id="])
async def test_a_wrong_parameter_is_a_422_that_names_it_and_repeats_nothing(api: Api, query: str) -> None:
    response = await api.client.get(f"/api/runs?{query}")
    problem(response, 422)
    name = query.partition("=")[0]
    (error,) = response.json()["errors"]
    assert error["field"] == f"query.{name}"
    assert "ann@example.org" not in response.text


async def test_a_filter_that_there_is_none_of_is_a_422_and_not_everything(api: Api) -> None:
    response = await api.client.get("/api/runs?outcome=failed&sender=ann@example.org")
    assert "unknown query parameters: 2; expected state, workflow" in problem(response, 422)
    assert "ann@example.org" not in response.text


async def test_a_run_that_is_not_there_is_404_and_a_wrong_method_405_with_allow(api: Api) -> None:
    problem(await api.client.get("/api/runs/0123456789"), 404)
    problem(await api.client.get("/nowhere"), 404)
    wrong = await api.client.delete("/api/runs")
    problem(wrong, 405)
    assert wrong.headers["allow"] == "GET"


async def test_no_answer_holds_what_the_mail_says(api: Api) -> None:
    await api.client.post("/api/emails", content=MAIL, headers=RFC822 | {"X-Envelope-To": "bob@example.org"})
    text = (await api.client.get("/api/runs")).text
    assert "example.org" not in text
    assert "Secret" not in text


# --- probes and metrics -----------------------------------------------------------------------------------------------


async def test_ready_tells_each_check_with_its_latency_and_is_503_while_draining(api: Api) -> None:
    good = await api.client.get("/health/ready")
    assert good.status_code == 200
    assert {name: check["ok"] for name, check in good.json()["checks"].items()} == {"engine": True, "store": True, "disk": True}
    assert all(check["latency_ms"] >= 0 for check in good.json()["checks"].values())
    api.engine.draining = True
    bad = await api.client.get("/health/ready")
    assert (bad.status_code, bad.json()["checks"]["engine"]["ok"]) == (503, False)
    assert (await api.client.get("/health/live")).status_code == 200
    problem(await api.client.post("/api/emails", content=MAIL, headers=RFC822), 503)


async def test_a_store_that_can_not_be_used_is_503_on_every_route_that_needs_it(api: Api) -> None:
    await api.store.close()
    assert (await api.client.get("/health/ready")).status_code == 503
    assert problem(await api.client.get("/api/runs"), 503) == "the run store is closed; try again"
    problem(await api.client.post("/api/emails", content=MAIL, headers=RFC822), 503)


async def test_probes_answer_to_any_host_and_nothing_else_does(api: Api) -> None:
    elsewhere = {"Host": "10.1.2.3:8025"}
    assert (await api.client.get("/health/live", headers=elsewhere)).status_code == 200
    problem(await api.client.get("/metrics", headers=elsewhere), 421)


async def test_metrics_are_prometheus_text_or_openmetrics(api: Api) -> None:
    plain = await api.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    openmetrics = await api.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


# --- who may talk to it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", "localhost@evil.example", ""])
async def test_rule_loopback_another_host_name_is_421_so_a_rebound_name_reaches_nothing(api: Api, host: str) -> None:
    answer = await api.raw(f"GET /api/runs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8025", "pipeline.example."])
async def test_our_own_names_are_let_in(data_dir: Path, host: str) -> None:
    async with running(data_dir, http_allowed_hosts=("pipeline.example",)) as api:
        assert (await api.client.get("/api/runs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("extra", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_a_post_from_another_site_is_403_and_takes_no_mail(api: Api, extra: dict[str, str]) -> None:
    problem(await api.client.post("/api/emails", content=MAIL, headers=RFC822 | extra), 403)
    assert api.engine.taken == []


async def test_a_page_of_our_own_origin_is_let_in(api: Api) -> None:
    headers = RFC822 | {"Origin": f"http://127.0.0.1:{api.port}"}
    assert (await api.client.post("/api/emails", content=MAIL, headers=headers)).status_code == 202


async def test_with_a_token_everything_but_probes_needs_it(data_dir: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef-token\n")
    async with running(data_dir, api_token_file=token) as api:
        for path in ("/api/runs", "/metrics", "/openapi.json"):
            refused = await api.client.get(path)
            problem(refused, 401)
            assert refused.headers["www-authenticate"] == "Bearer"
        problem(await api.client.get("/api/runs", headers={"Authorization": "Bearer 0123456789abcdef-tokem"}), 401)
        assert (await api.client.get("/health/live")).status_code == 200
        good = {"Authorization": "Bearer 0123456789abcdef-token", "Host": "pod.example"}
        assert (await api.client.post("/api/emails", content=MAIL, headers=RFC822 | good)).status_code == 202
        assert api.engine.taken[0].envelope.authenticated


async def test_beyond_loopback_without_a_token_is_a_settings_error(api: Api) -> None:
    settings = Settings.load(http_host="0.0.0.0")
    with pytest.raises(SettingsError, match="AUTOPILOT_API_TOKEN_FILE"):
        create_app(api.engine, settings, api.blobs)


async def test_a_short_or_missing_token_is_a_settings_error(api: Api, tmp_path: Path) -> None:
    token = tmp_path / "token"
    with pytest.raises(SettingsError, match="AUTOPILOT_API_TOKEN_FILE"):
        create_app(api.engine, Settings.load(api_token_file=token), api.blobs)
    token.write_text("short")
    with pytest.raises(SettingsError, match="at least 16 characters"):
        create_app(api.engine, Settings.load(api_token_file=token), api.blobs)


async def test_rule_loopback_every_answer_has_the_security_headers_and_opens_nothing_to_other_origins(api: Api) -> None:
    for response in (
        await api.client.get("/api/runs"),
        await api.client.get("/nowhere"),
        await api.client.get("/api/runs", headers={"Host": "evil.example"}),
        await api.client.options("/api/emails", headers={"Access-Control-Request-Method": "POST"}),
        await api.client.get("/health/live"),
    ):
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert "server" not in response.headers


# --- the wire ---------------------------------------------------------------------------------------------------------


async def test_garbage_is_a_400_problem_and_the_server_goes_on(api: Api) -> None:
    answer = await api.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400
    assert (await api.client.get("/health/live")).status_code == 200


async def test_a_header_that_is_too_large_is_431(api: Api) -> None:
    answer = await api.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"content-security-policy" in answer


async def test_a_header_that_never_ends_is_408(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    assert (await api.raw(b"GET / HTTP/1.1\r\nHost: loc")).startswith(b"HTTP/1.1 408 ")
    kept = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert b"HTTP/1.1 408 " in await api.raw(kept, b"GET / HT")


async def test_a_smuggled_length_is_refused(api: Api) -> None:
    head = b"POST /api/emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\n"
    answer = await api.raw(head + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_fault_of_ours_is_a_500_problem_that_tells_its_type_and_trace(
    api: Api, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("Secret plans")

    monkeypatch.setattr(api.store, "get", broken)
    response = await api.client.get("/api/runs/0123456789")
    assert "ZeroDivisionError" in problem(response, 500)
    assert "Secret" not in response.text
    span = spans.one("GET /api/runs/{run_id}")
    assert span.context is not None
    assert response.json()["trace_id"] == f"{span.context.trace_id:032x}"


async def test_rule_settings_a_busy_port_is_a_settings_error_that_names_it_and_its_setting(api: Api) -> None:
    with pytest.raises(SettingsError, match=rf"port {api.port} .*AUTOPILOT_HTTP_PORT"):
        bind("127.0.0.1", api.port)


async def test_stopping_lets_the_request_under_way_end(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"POST /api/emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: message/rfc822\r\nContent-Length: 10\r\n\r\nabc")
    while not api.half_written():
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(api.server.stop())
    while True:
        try:
            _, other = await asyncio.open_connection("127.0.0.1", api.port)
            other.close()
            await asyncio.sleep(0.01)
        except ConnectionError:
            break
    writer.write(b"defghij")
    assert b"202 Accepted" in await reader.read()
    writer.close()
    await stopping


# --- telemetry --------------------------------------------------------------------------------------------------------


async def test_rule_top_of_the_trace_the_server_span_is_a_trace_of_its_own_whatever_context_the_request_brings(
    api: Api, spans: Spans
) -> None:
    theirs = "0af7651916cd43dd8448eb211c80319c"
    await api.client.get(
        "/api/runs", headers={"traceparent": f"00-{theirs}-b7ad6b7169203331-00", "baggage": "user=ann@example.org"}
    )
    span = spans.one("GET /api/runs")
    assert span.context is not None
    assert (span.parent, span.kind) == (None, SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" != theirs
    assert (span.attributes or {})["http.response.status_code"] == 200
    assert not [name for name in span.attributes or {} if name in ("http.method", "http.status_code")]


@pytest.mark.parametrize(
    ("path", "status"), [("/api/runs?q=Karl+Wombat", 422), ("/Karl/Wombat", 404), ("/api/runs/Karl-Wombat", 404)]
)
async def test_rule_personal_data_nothing_that_a_client_writes_is_in_its_span(
    api: Api, spans: Spans, path: str, status: int
) -> None:
    answer = await api.client.get(path, headers={"User-Agent": "Karl Wombat's browser"})
    assert answer.status_code == status
    (span,) = spans.all
    assert "Wombat" not in span.to_json()
    assert "127.0.0.1" not in [(span.attributes or {}).get(name) for name in ("client.address", "network.peer.address")]


async def test_probes_and_metrics_make_no_spans(api: Api, spans: Spans) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        await api.client.get(path)
    assert spans.all == []


async def test_the_schema_has_titles_and_examples_and_knows_problems(api: Api) -> None:
    schema = (await api.client.get("/openapi.json")).json()
    assert {"Problem", "RunView", "RunPage", "AcceptedEmails"} <= set(schema["components"]["schemas"])
    post = schema["paths"]["/api/emails"]["post"]
    assert set(post["requestBody"]["content"]) == {"message/rfc822", "multipart/form-data"}
    assert "413" in post["responses"]
    assert guard.SECURITY_HEADERS["Cache-Control"] == "no-store"


async def test_port_0_takes_a_free_port(data_dir: Path) -> None:
    async with running(data_dir) as api:
        assert api.port > 0
        assert isinstance(api.server, HttpServer)
