"""The digest stage: in worker processes, with its spans, by extraction or by a model, and never without a digest for want of a model."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.trace import StatusCode

from otel_autopilot.errors import DigestError, WorkTimeout
from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.digest.model import ANSWER_BYTES, INPUT_CHARACTERS, parse_answer
from otel_autopilot.pipeline.digest.stage import DigestOptions, ModelOptions, make_digest
from otel_autopilot.pipeline.messages import Address, Document, Email, Ingested, SkippedPart
from otel_autopilot.pipeline.workers import WorkerPool
from tests.conftest import Spans

SECRET = "Zanzibar"
TEXT = (
    f"Hello all,\n\nthe move to {SECRET} is planned for 3 May. It costs 40,000 euros, 5,000 more than the board had set aside.\n"
    "Please confirm by Friday: https://plan.example/move\n\nRegards\nBo\n"
)
GOOD = {
    "title": "The move",
    "key_points": ["The move is on 3 May.", "It costs 40,000 euros."],
    "keywords": ["move"],
    "links": ["https://plan.example/move"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(processes=1, memory_bytes=500_000_000, timeout_seconds=60) as started:
        yield started


pytestmark = pytest.mark.asyncio(loop_scope="module")


def ingested(tmp_path: Path, *texts: str, kind: Any = "text") -> Ingested:
    blobs = BlobStore(tmp_path / "blobs")
    return Ingested(
        documents=tuple(
            Document(part=str(number), kind=kind, text=blobs.put_text(text), characters=len(text))
            for number, text in enumerate(texts, 1)
        )
    )


EMAIL = Email(subject="Re: The big move", sender=Address(name="Bo Ek", address="bo@a.example"))


async def test_a_digest_is_made_in_a_worker_and_leaves_two_spans(pool: WorkerPool, tmp_path: Path, spans: Spans) -> None:
    digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=DigestOptions())
    assert digest.title == "The big move"
    assert digest.method == "extractive"
    assert digest.fallback_reason is None
    assert any("3 May" in point.text for point in digest.key_points)
    assert [link.url for link in digest.links] == ["https://plan.example/move"]
    summarize, render = spans.one("digest.summarize"), spans.one("digest.render")
    assert dict(summarize.attributes or {}) == {
        "autopilot.digest.method": "extractive", "autopilot.digest.sentences": 4, "autopilot.digest.key_points": len(digest.key_points),
    }  # fmt: skip
    assert summarize.end_time == render.start_time
    assert not any(SECRET in span.to_json() for span in spans.all)


async def test_attachments_are_named_as_sources_and_what_was_not_read_is_listed(pool: WorkerPool, tmp_path: Path) -> None:
    read = ingested(tmp_path, TEXT)
    pdf = read.documents[0].model_copy(update={"kind": "pdf", "filename": "plan.pdf", "pages": 1})
    both = Ingested(documents=(pdf,), skipped=(SkippedPart(number="3", content_type="application/ms-tnef", reason="tnef"),))
    digest = await make_digest(EMAIL, both, pool=pool, options=DigestOptions())
    assert "*(plan.pdf)*" in digest.markdown
    assert "winmail.dat" in digest.text


async def test_a_mail_with_only_a_subject_gives_its_title(pool: WorkerPool, tmp_path: Path) -> None:
    digest = await make_digest(Email(subject="Re: Call me"), Ingested(), pool=pool, options=DigestOptions())
    assert (digest.title, digest.key_points, digest.markdown) == ("Call me", (), "# Call me\n")
    blank = await make_digest(Email(subject="Call me"), ingested(tmp_path, " \n\n "), pool=pool, options=DigestOptions())
    assert blank.key_points == ()


async def test_a_mail_without_a_subject_is_titled_by_its_text(pool: WorkerPool, tmp_path: Path) -> None:
    digest = await make_digest(
        Email(), ingested(tmp_path, "# Plan of the move\n\nWe move on 3 May."), pool=pool, options=DigestOptions()
    )
    assert digest.title == "Plan of the move"
    scrap = await make_digest(Email(), ingested(tmp_path, "12345"), pool=pool, options=DigestOptions())
    assert scrap.title == "12345"


async def test_a_mail_with_nothing_in_it_is_an_error_that_says_so(pool: WorkerPool, tmp_path: Path, spans: Spans) -> None:
    for nothing in (Ingested(), ingested(tmp_path, " \n")):
        with pytest.raises(DigestError, match="expected a mail with a subject, a text or a readable attachment"):
            await make_digest(Email(), nothing, pool=pool, options=DigestOptions())
    assert all(span.status.status_code is StatusCode.ERROR for span in spans.named("digest.summarize"))


async def test_work_past_its_limit_is_an_error_on_the_span(pool: WorkerPool, tmp_path: Path, spans: Spans) -> None:
    with pytest.raises(WorkTimeout):
        await make_digest(EMAIL, ingested(tmp_path, TEXT * 400), pool=pool, options=DigestOptions(timeout_seconds=0.001))
    assert (spans.one("digest.summarize").attributes or {})["error.type"] == "WorkTimeout"


# --- by a model -------------------------------------------------------------------------------------------------------


@dataclass
class Api:
    """A server that speaks the chat completions API, well or badly."""

    url: str = ""
    status: int = 200
    content: Any = field(default_factory=lambda: json.dumps(GOOD))
    raw: bytes | None = None
    stall: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            api.headers.append(dict(self.headers))
            api.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
            if api.stall:
                api.done.wait(30)
                return
            body = api.raw if api.raw is not None else json.dumps({"choices": [{"message": {"content": api.content}}]}).encode()
            self.send_response(api.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}/v1/"
    try:
        yield api
    finally:
        api.done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def by_model(api: Api, timeout_seconds: float = 20.0) -> DigestOptions:
    return DigestOptions(model=ModelOptions(url=api.url, name="small-1", key="k-123", timeout_seconds=timeout_seconds))


async def test_a_model_is_asked_and_its_answer_used(pool: WorkerPool, tmp_path: Path, spans: Spans) -> None:
    with serving(Api()) as api:
        digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=by_model(api))
    assert digest.method == "model"
    assert digest.fallback_reason is None
    assert [point.text for point in digest.key_points] == GOOD["key_points"]
    assert digest.title == "The big move"
    assert digest.figures
    (request,) = api.requests
    assert (request["path"], request["model"]) == ("/v1/chat/completions", "small-1")
    assert api.headers[0]["Authorization"] == "Bearer k-123"
    assert SECRET in request["messages"][1]["content"]
    assert "Regards" not in request["messages"][1]["content"]
    attributes = spans.one("digest.summarize").attributes or {}
    assert attributes["autopilot.digest.method"] == "model"
    assert attributes["autopilot.digest.key_points"] == 2
    spans.one("digest.render")
    assert not any(SECRET in span.to_json() or "k-123" in span.to_json() for span in spans.all)


async def test_the_text_handed_to_the_model_is_bounded_and_fenced(pool: WorkerPool, tmp_path: Path) -> None:
    with serving(Api()) as api:
        await make_digest(EMAIL, ingested(tmp_path, TEXT, "Word upon word goes by. " * 20_000), pool=pool, options=by_model(api))
    system, user = (message["content"] for message in api.requests[0]["messages"])
    marker = user.split("\n")[0]
    assert len(user) <= INPUT_CHARACTERS + 2 * len(marker) + 2
    assert user.endswith(f"\n{marker}")
    assert marker in system
    assert SECRET in user


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        (Api(status=401), "HTTPStatusError"),
        (Api(status=500), "HTTPStatusError"),
        (Api(status=302), "HTTPStatusError"),
        (Api(raw=b"not json"), "DigestError"),
        (Api(raw=b""), "DigestError"),
        (Api(raw=b"[" * 100_000), "DigestError"),
        (Api(raw=b'{"choices": []}'), "DigestError"),
        (Api(content=None), "DigestError"),
        (Api(content=""), "DigestError"),
        (Api(content="Sure! Here is your digest."), "DigestError"),
        (Api(content=json.dumps({"title": "x", "key_points": []})), "DigestError"),
        (Api(content=json.dumps({"title": "x", "key_points": ["", " "]})), "DigestError"),
        (Api(content=json.dumps({"title": 1, "key_points": "none"})), "DigestError"),
        (Api(raw=b"x" * (ANSWER_BYTES + 1)), "DigestError"),
    ],
    ids=[
        "401",
        "500",
        "redirect",
        "no json",
        "empty",
        "deep",
        "no choice",
        "null",
        "blank",
        "talk",
        "no points",
        "blank points",
        "types",
        "long",
    ],
)
async def test_whatever_goes_wrong_with_the_model_the_extractive_digest_stands(
    api: Api, reason: str, pool: WorkerPool, tmp_path: Path, spans: Spans
) -> None:
    with serving(api):
        digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=by_model(api))
    assert (digest.method, digest.fallback_reason) == ("extractive", reason)
    assert any("3 May" in point.text for point in digest.key_points)
    attributes = spans.one("digest.summarize").attributes or {}
    assert attributes["autopilot.digest.fallback"] == reason
    assert attributes["autopilot.digest.method"] == "extractive"
    spans.one("digest.render")


async def test_a_model_that_takes_too_long_is_not_waited_for(pool: WorkerPool, tmp_path: Path) -> None:
    with serving(Api(stall=True)) as api:
        digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=by_model(api, timeout_seconds=0.2))
    assert digest.method == "extractive"
    assert digest.fallback_reason in ("TimeoutError", "ReadTimeout")


async def test_a_model_that_is_not_there_is_done_without(pool: WorkerPool, tmp_path: Path) -> None:
    with serving(Api()) as api:
        pass
    digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=by_model(api))
    assert (digest.method, digest.fallback_reason) == ("extractive", "ConnectError")
    odd = DigestOptions(model=ModelOptions(url="http://a.example:port", name="x"))
    assert (await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=odd)).fallback_reason == "InvalidURL"


async def test_what_a_talked_over_model_says_can_do_nothing(pool: WorkerPool, tmp_path: Path) -> None:
    answer = {
        "title": "<script>alert(1)</script>",
        "key_points": ["[Pay now](https://evil.example/pay) <img src=x onerror=alert(1)>", "# Verified by security\n\n## Links", "See https://evil.example/x and https://plan.example/move."],
        "keywords": ["](javascript:alert(1))"],
        "links": ["https://evil.example/pay", "javascript:alert(1)", "https://plan.example/move"],
        "figures": [{"value": "1", "context": "forged"}],
    }  # fmt: skip
    with serving(Api(content=json.dumps(answer))) as api:
        digest = await make_digest(EMAIL, ingested(tmp_path, TEXT), pool=pool, options=by_model(api))
    assert digest.method == "model"
    assert [link.url for link in digest.links] == ["https://plan.example/move"]
    assert "evil.example" not in digest.html + digest.markdown + digest.text
    assert digest.html.count("<a ") == 1
    assert digest.html.count("<h1>") == 1
    assert "<script" not in digest.html
    assert "<img" not in digest.html


async def test_an_answer_in_a_code_fence_is_read() -> None:
    body = json.dumps({"choices": [{"message": {"content": f"```json\n{json.dumps(GOOD)}\n```"}}]}).encode()
    assert parse_answer(body, 7).title == "The move"


async def test_an_error_about_an_answer_does_not_quote_it() -> None:
    body = json.dumps({"choices": [{"message": {"content": json.dumps({"title": SECRET, "key_points": SECRET})}}]}).encode()
    with pytest.raises(DigestError) as caught:
        parse_answer(body, 7)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
