"""`stage` in every shape of Python."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import StatusCode

from otel_autopilot import stage
from tests.conftest import Spans


def current_id() -> int:
    return trace.get_current_span().get_span_context().span_id


def test_a_plain_function_gets_a_span_with_stage_and_outcome(spans: Spans) -> None:
    @stage("ingestion", attributes={"pages": 3})
    def ingest(mail: str) -> str:
        """Doc."""
        assert current_id() != 0
        return mail.upper()

    assert ingest("a") == "A"
    assert ingest.__name__ == "ingest"
    assert ingest.__doc__ == "Doc."
    span = spans.one("ingestion")
    assert span.attributes == {
        "autopilot.stage": "ingestion", "autopilot.workflow": "default", "autopilot.outcome": "success", "pages": 3,
    }  # fmt: skip
    assert current_id() == 0


def test_a_context_manager_measures_the_block_and_nests(spans: Spans) -> None:
    with stage("digest") as outer, stage("inner"):
        pass
    assert spans.one("inner").parent.span_id == outer.get_span_context().span_id


def test_an_exception_is_recorded_and_raised(spans: Spans) -> None:
    @stage("delivery")
    def deliver() -> None:
        raise ConnectionRefusedError("no")

    with pytest.raises(ConnectionRefusedError):
        deliver()
    span = spans.one("delivery")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ConnectionRefusedError"
    assert span.attributes["autopilot.outcome"] == "failed"
    assert span.events[0].name == "exception"


def test_an_exception_that_says_rejected_gives_that_outcome(spans: Spans) -> None:
    class Refused(Exception):
        rejected = True

    with pytest.raises(Refused), stage("email"):
        raise Refused
    assert spans.one("email").attributes["autopilot.outcome"] == "rejected"


async def test_a_coroutine_is_measured_until_it_ends_even_when_cancelled(spans: Spans) -> None:
    started = asyncio.Event()

    @stage("digest")
    async def digest() -> None:
        started.set()
        await asyncio.Event().wait()

    assert inspect.iscoroutinefunction(digest)
    task = asyncio.create_task(digest())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spans.one("digest").attributes["error.type"] == "CancelledError"


def test_a_generator_has_the_span_inside_and_the_caller_its_own_context_between_items(spans: Spans) -> None:
    seen: list[int] = []

    @stage("ingestion")
    def pages() -> Iterator[int]:
        for number in range(3):
            seen.append(current_id())
            yield number

    assert inspect.isgeneratorfunction(pages)
    for _ in pages():
        assert current_id() == 0
    span = spans.one("ingestion")
    assert set(seen) == {span.context.span_id}


def test_a_generator_broken_off_early_ends_its_span_without_an_error(spans: Spans) -> None:
    closed = []

    @stage("ingestion")
    def pages() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    for _ in pages():
        break
    gc.collect()
    assert closed == [True]
    assert spans.one("ingestion").attributes["autopilot.outcome"] == "success"


def test_send_throw_and_the_return_value_reach_the_generator(spans: Spans) -> None:
    @stage("ingestion")
    def talk() -> Iterator[str]:
        got = yield "first"
        try:
            yield got
        except KeyError:
            return "done"

    generator = talk()
    assert next(generator) == "first"
    assert generator.send("x") == "x"
    with pytest.raises(StopIteration) as stop:
        generator.throw(KeyError())
    assert stop.value.value == "done"
    assert spans.one("ingestion").status.status_code is StatusCode.UNSET


async def test_an_async_generator_closed_from_another_task_ends_its_span_quietly(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    @stage("digest")
    async def items() -> AsyncIterator[int]:
        yield current_id()
        yield current_id()

    assert inspect.isasyncgenfunction(items)
    generator = items()
    inside = await anext(generator)
    assert current_id() == 0
    await asyncio.create_task(generator.aclose())
    assert spans.one("digest").context.span_id == inside
    assert not caplog.records


async def test_an_async_generator_that_is_garbage_collected_ends_its_span_quietly(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    @stage("digest")
    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2

    async for _ in items():
        break
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(spans.named("digest")) == 1
    assert not caplog.records


def test_methods_classmethods_staticmethods_and_partials_work(spans: Spans) -> None:
    class Pipeline:
        @stage("one")
        def method(self, value: int) -> int:
            return value

        @stage("two")
        @classmethod
        def made(cls, value: int) -> int:
            return value

        @classmethod
        @stage("three")
        def also(cls, value: int) -> int:
            return value

        @stage("four")
        @staticmethod
        def static(value: int) -> int:
            return value

    pipeline = Pipeline()
    assert pipeline.method(1) == Pipeline.made(1) == Pipeline.also(1) == Pipeline.static(1) == 1
    assert stage("five")(functools.partial(pow, 2))(3) == 8
    assert [span.name for span in spans.all] == ["one", "two", "three", "four", "five"]


def test_root_starts_a_trace_of_its_own_of_kind_consumer(spans: Spans) -> None:
    with stage("outside"), stage("email pipeline", root=True, workflow="w"), stage("email"):
        pass
    root = spans.one("email pipeline")
    assert root.parent is None
    assert root.kind is trace.SpanKind.CONSUMER
    assert spans.one("email").context.trace_id == root.context.trace_id != spans.one("outside").context.trace_id


def test_a_carrier_gives_the_parent(spans: Spans) -> None:
    carrier = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with stage("ingestion", carrier=carrier):
        pass
    assert spans.one("ingestion").parent.span_id == 0xB7AD6B7169203331


def test_the_durations_of_stages_and_emails_are_histograms(spans: Spans, metric_reader: InMemoryMetricReader) -> None:
    with stage("email pipeline", root=True, workflow="counted"), stage("email", workflow="counted"):
        pass
    data = metric_reader.get_metrics_data()
    points = {
        (metric.name, point.attributes.get("autopilot.stage"))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if point.attributes.get("autopilot.workflow") == "counted"
    }
    assert points == {("autopilot.email.duration", None), ("autopilot.stage.duration", "email")}


def test_a_stage_needs_a_name() -> None:
    with pytest.raises(TypeError, match="got int"):
        stage(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a name"):
        stage("")


async def test_one_stage_may_hold_several_tasks_that_leave_in_any_order(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    shared, leave = stage("digest"), {name: asyncio.Event() for name in "abc"}

    async def work(name: str) -> None:
        async with shared as current:
            current.set_attribute("who", name)
            with stage("email"):
                await leave[name].wait()
            assert trace.get_current_span() is current

    tasks = {name: asyncio.create_task(work(name)) for name in "abc"}
    await asyncio.sleep(0)
    for name in "bac":
        leave[name].set()
        await tasks[name]
    assert [span.attributes["who"] for span in spans.named("digest")] == ["b", "a", "c"]
    assert caplog.records == []


def test_rule_stderr_an_async_generator_that_is_left_open_at_the_end_of_the_loop_says_nothing() -> None:
    script = """
import asyncio
from otel_autopilot import stage

@stage("digest")
async def numbers():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        print("closed")

kept = []

async def main():
    kept.append(numbers())
    print(await anext(kept[0]))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\nclosed\n", "")
