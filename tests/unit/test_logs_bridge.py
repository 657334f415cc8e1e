"""loguru records become OpenTelemetry log records, and the application's own set-up is left alone."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from opentelemetry import context as otel_context
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from otel_autopilot.telemetry import diagnostics, loguru_bridge, names

tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")


class Seen:
    """What the application's own sink and the exporter got."""

    def __init__(self) -> None:
        self.memory = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.memory))
        self.own: list[Any] = []

    @property
    def exported(self) -> list[ReadableLogRecord]:
        return list(self.memory.get_finished_logs())

    @property
    def bodies(self) -> list[object]:
        return [record.log_record.body for record in self.exported]


def _nothing(_: Any) -> None:
    """A patcher that loguru can't be without once it had one."""


@pytest.fixture
def seen() -> Iterator[Seen]:
    logger.remove()
    logger.configure(patcher=_nothing, extra={})
    seen = Seen()
    logger.add(lambda message: seen.own.append(message.record), level="INFO", format="{message}")
    loguru_bridge.install(seen.provider)
    yield seen
    loguru_bridge.uninstall()
    logger.remove()
    logger.configure(patcher=_nothing, extra={})


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("TRACE", 1),
        ("DEBUG", 5),
        ("INFO", 9),
        ("SUCCESS", 11),
        ("WARNING", 13),
        ("ERROR", 17),
        ("CRITICAL", 21),
        (33, 14),
        (0, 1),
        (99, 24),
    ],
)
def test_severities_follow_levels(seen: Seen, level: str | int, number: int) -> None:
    logger.log(level, "hello")
    (record,) = seen.exported
    assert record.log_record.severity_number is SeverityNumber(number)
    assert record.log_record.severity_text == (level if isinstance(level, str) else f"Level {level}")


def test_severities_never_fall_as_levels_rise() -> None:
    numbers = [loguru_bridge.severity_of(level).value for level in range(120)]
    assert numbers == sorted(numbers)


def test_custom_levels_keep_their_name(seen: Seen) -> None:
    logger.level("AUDIT", no=35)
    logger.log("AUDIT", "hello")
    (record,) = seen.exported
    assert (record.log_record.severity_text, record.log_record.severity_number) == ("AUDIT", SeverityNumber.WARN3)


def test_a_record_says_where_it_was_logged_and_carries_its_extra_fields(seen: Seen) -> None:
    logger.bind(user={"id": 7, "tags": ["a", 2]}, gone=None).info("took {:.1f} s", 1.25, part="2.1")
    (record,) = seen.exported
    attributes = dict(record.log_record.attributes or {})
    assert record.log_record.body == "took 1.2 s"
    assert attributes["code.function.name"] == f"{__name__}.test_a_record_says_where_it_was_logged_and_carries_its_extra_fields"
    assert attributes["code.file.path"] == __file__
    assert isinstance(attributes["code.line.number"], int)
    assert attributes["thread.name"] == threading.current_thread().name
    assert (attributes["user.id"], attributes["user.tags"], attributes["part"]) == (7, ("a", 2), "2.1")
    assert not {"gone", "trace_id", "span_id"} & attributes.keys()
    assert record.instrumentation_scope is not None
    assert record.instrumentation_scope.name == __name__
    assert record.log_record.timestamp == pytest.approx(record.log_record.observed_timestamp, abs=60e9)


def test_every_attribute_is_declared(seen: Seen) -> None:
    logger.info("hello")
    (record,) = seen.exported
    assert set(record.log_record.attributes or {}) == {attribute.name for attribute in names.LOG_ATTRIBUTES}


def test_exceptions_are_exported_with_their_traceback(seen: Seen) -> None:
    @logger.catch
    def divide() -> float:
        return 1 / 0

    divide()
    (record,) = seen.exported
    attributes = dict(record.log_record.attributes or {})
    assert attributes["exception.type"] == "ZeroDivisionError"
    assert attributes["exception.message"] == "division by zero"
    assert "in divide" in str(attributes["exception.stacktrace"])


def test_records_carry_the_ids_of_the_current_span_in_both_places(seen: Seen) -> None:
    with tracer.start_as_current_span("work") as span:
        logger.info("inside")
    logger.info("outside")
    ids = span.get_span_context()
    inside, outside = seen.exported
    assert (inside.log_record.trace_id, inside.log_record.span_id) == (ids.trace_id, ids.span_id)
    assert not outside.log_record.trace_id
    assert seen.own[0]["extra"] == {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}
    assert seen.own[1]["extra"] == {"trace_id": "", "span_id": ""}


async def test_concurrent_tasks_carry_their_own_ids(seen: Seen) -> None:
    async def work(name: str) -> int:
        with tracer.start_as_current_span(name) as span, logger.contextualize(task=name):
            await asyncio.sleep(0)
            logger.info(name)
            return span.get_span_context().span_id

    spans = await asyncio.gather(*(work(f"task {number}") for number in range(5)))
    exported = {str(record.log_record.body): record.log_record for record in seen.exported}
    assert [exported[f"task {number}"].span_id for number in range(5)] == spans
    assert all((exported[name].attributes or {})["task"] == name for name in exported)


def test_a_patcher_set_before_or_after_still_works(seen: Seen) -> None:
    loguru_bridge.uninstall()
    logger.configure(patcher=lambda record: record["extra"].update(early=record["extra"].get("trace_id", "not yet")))
    loguru_bridge.install(seen.provider)
    with tracer.start_as_current_span("work"):
        logger.info("one")
        logger.configure(patcher=lambda record: record["extra"].update(late=True))
        logger.patch(lambda record: record["extra"].update(local=True)).info("two")
    one, two = seen.own
    assert one["extra"]["early"] == one["extra"]["trace_id"] != ""
    assert two["extra"]["late"]
    assert two["extra"]["local"]
    assert len(two["extra"]["span_id"]) == 16
    loguru_bridge.uninstall()
    logger.info("three")
    assert seen.own[2]["extra"] == {"late": True}


def test_a_trace_id_that_the_application_binds_itself_stays(seen: Seen) -> None:
    with tracer.start_as_current_span("work"):
        logger.bind(trace_id="mine").info("hello")
    assert seen.own[0]["extra"]["trace_id"] == "mine"


def test_the_export_outlives_an_application_that_removes_all_sinks(seen: Seen) -> None:
    logger.remove()
    own: list[str] = []
    logger.add(own.append, format="{message}", level="INFO")
    logger.info("one")
    logger.configure(handlers=[{"sink": own.append, "format": "{message}"}])
    logger.info("two")
    assert seen.bodies == ["one", "two"]
    assert own == ["one\n", "two\n"]


def test_the_level_of_the_application_sink_is_left_alone(seen: Seen) -> None:
    logger.debug("quiet")
    assert seen.own == []
    assert seen.bodies == ["quiet"]


def test_a_level_can_be_set_for_the_export(seen: Seen) -> None:
    loguru_bridge.install(seen.provider, level="WARNING")
    logger.info("no")
    logger.warning("yes")
    assert seen.bodies == ["yes"]


def test_lazy_bound_and_enqueued_records_are_right(seen: Seen) -> None:
    queued: list[Any] = []
    identifier = logger.add(lambda message: queued.append(message.record), enqueue=True, format="{message}")
    with tracer.start_as_current_span("work") as span:
        logger.opt(lazy=True).info("sum {}", lambda: 6)
    logger.complete()
    logger.remove(identifier)
    assert seen.bodies == ["sum 6"]
    assert queued[0]["extra"]["span_id"] == f"{span.get_span_context().span_id:016x}"


def test_what_the_export_itself_logs_is_not_exported_again(seen: Seen, capfd: pytest.CaptureFixture[str]) -> None:
    class Chatty(InMemoryLogRecordExporter):
        def export(self, batch: Any) -> Any:
            logger.info("exporting")
            return super().export(batch)

    chatty = Chatty()
    seen.provider.add_log_record_processor(SimpleLogRecordProcessor(chatty))
    logger.info("hello")
    assert [record.log_record.body for record in chatty.get_finished_logs()] == ["hello"]
    assert [record["message"] for record in seen.own] == ["hello", "exporting"]
    token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    logger.info("from an export thread")
    otel_context.detach(token)
    assert "from an export thread" not in seen.bodies
    assert capfd.readouterr() == ("", "")


def test_an_export_that_fails_is_kept_for_doctor_and_not_raised(seen: Seen, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            raise RuntimeError("ann@example.org")

    seen.provider.add_log_record_processor(Broken(seen.memory))
    logger.info("hello")
    assert any("RuntimeError" in warning and "ann" not in warning for warning in diagnostics.warnings())
    assert capfd.readouterr() == ("", "")


def test_extra_values_that_cannot_be_printed_do_no_harm(seen: Seen, capfd: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logger.bind(it=Hostile(), many={Hostile()}).info("hello")
    assert seen.bodies == ["hello"]
    assert "Hostile" in str((seen.exported[0].log_record.attributes or {})["it"])
    assert capfd.readouterr().err == ""


def test_a_second_install_does_not_export_twice(seen: Seen) -> None:
    loguru_bridge.install(seen.provider)
    logger.info("once")
    assert seen.bodies == ["once"]
    loguru_bridge.uninstall()
    loguru_bridge.uninstall()
    logger.info("not any more")
    assert seen.bodies == ["once"]


def test_the_logger_can_still_be_pickled_for_another_process(seen: Seen) -> None:
    logger.remove()
    logger.info("heals")
    loguru_bridge.install(seen.provider)
    assert pickle.loads(pickle.dumps(logger)) is not None


def test_nothing_is_written_when_a_process_with_the_bridge_ends() -> None:
    code = (
        "from loguru import logger; from opentelemetry.sdk._logs import LoggerProvider\n"
        "from otel_autopilot.telemetry import loguru_bridge\n"
        "logger.remove(); loguru_bridge.install(LoggerProvider()); logger.info('hello')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
