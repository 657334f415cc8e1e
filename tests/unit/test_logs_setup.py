"""Logging for production: levels, JSON lines, rotation, floods, the standard library, and nothing personal."""

from __future__ import annotations

import io
import json
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from otel_autopilot.errors import SettingsError
from otel_autopilot.telemetry import known_values, loguru_bridge
from otel_autopilot.telemetry.flood import FloodLimit
from otel_autopilot.telemetry.log_levels import parse_levels
from otel_autopilot.telemetry.logs import LoggingSetup, setup_logging


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    logger.remove()
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield io.StringIO()
    root.handlers[:] = before[1]
    root.setLevel(before[0])
    logger.remove()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_level_and_modules_are_read_in_any_order() -> None:
    levels = parse_levels("pkg.sub=debug, WARNING ,pkg=error,other=5")
    assert (levels.default, levels.lowest) == (30, 5)
    assert [levels.of(name) for name in ("", "pkg", "pkg.sub", "pkg.sub.deep", "pkgs", "other.x")] == [30, 40, 10, 10, 30, 5]
    assert parse_levels("").default == 20


@pytest.mark.parametrize("bad", ["LOUD", "pkg=LOUD", "=DEBUG", "-5"])
def test_a_level_that_does_not_exist_is_refused_with_its_setting(bad: str) -> None:
    with pytest.raises(SettingsError, match="AUTOPILOT_LOG_LEVEL"):
        parse_levels(bad)


def test_lines_for_people_say_when_what_and_where(out: io.StringIO) -> None:
    setup = setup_logging(stream=out)
    logger.bind(part="2.1").info("hello")
    logger.debug("quiet")
    setup.undo()
    (line,) = out.getvalue().splitlines()
    assert " | INFO     | " in line
    assert f"{__name__}:" in line
    assert line.endswith("hello | part=2.1")
    assert "\x1b" not in line


def test_a_file_gets_json_lines_that_only_its_owner_can_read(out: io.StringIO, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "autopilot.jsonl"
    setup = setup_logging(file=file)
    with TracerProvider(shutdown_on_exit=False).get_tracer("tests").start_as_current_span("work") as span:
        logger.bind(sizes=[1, 2], odd={3}).warning("hello {}", "world")
    try:
        int("x")
    except ValueError:
        logger.exception("bad")
    setup.undo()
    first, second = lines_of(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (first["level"], first["message"], first["logger"]) == ("WARNING", "hello world", __name__)
    assert first["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert first["extra"]["sizes"] == [1, 2]
    assert first["time"].endswith("Z")
    assert second["exception"]["type"] == "ValueError"
    assert "Traceback" in second["exception"]["stacktrace"]
    assert "trace_id" not in second


def test_files_rotate_and_the_oldest_go(out: io.StringIO, tmp_path: Path) -> None:
    file = tmp_path / "autopilot.jsonl"
    setup = setup_logging(file=file, rotation="1 KB", retention=2, flood_per_line_per_second=None)
    for number in range(40):
        logger.info("a line of some length, number {}", number)
    setup.undo()
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert lines_of(file)[-1]["message"].endswith("number 39")
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_levels_by_module_hold_for_loguru_and_the_standard_library(out: io.StringIO) -> None:
    setup = setup_logging("WARNING,chatty.inner=DEBUG", stream=out)
    logging.getLogger("chatty").info("outer")
    logging.getLogger("chatty.inner").debug("inner %d", 1)
    logging.getLogger("other").warning("loud")
    logger.info("ours")
    setup.undo()
    assert [line.rpartition("| ")[2] for line in out.getvalue().splitlines()] == ["inner 1", "loud"]


def test_records_of_the_standard_library_say_where_they_were_logged_and_are_exported(out: io.StringIO) -> None:
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    setup = setup_logging(stream=out)
    loguru_bridge.install(provider)
    try:
        {}["part"]
    except KeyError:
        logging.getLogger("some.library").exception("failed with {braces} and %s", "<tags>")
    loguru_bridge.uninstall()
    setup.undo()
    (record,) = memory.get_finished_logs()
    attributes = dict(record.log_record.attributes or {})
    assert record.log_record.body == "failed with {braces} and <tags>"
    assert attributes["code.file.path"] == __file__
    assert attributes["logger.name"] == "some.library"
    assert attributes["exception.type"] == "KeyError"
    assert "failed with {braces} and <tags>" in out.getvalue()


def test_nothing_personal_is_in_any_line(out: io.StringIO, tmp_path: Path) -> None:
    file = tmp_path / "autopilot.jsonl"
    setups = [setup_logging(stream=out), setup_logging(file=file)]
    with known_values.attach() as known:
        known.add("Quarterly figures", "Jane Doe <jane.doe@example.org>")
        logger.bind(who="jane.doe@example.org", deep={"subject": "Quarterly figures"}).error("Jane Doe sent quarterly figures")
        try:
            int("no 'Quarterly figures' for +49 30 1234567")
        except ValueError:
            logging.getLogger("x").exception("from jane.doe@example.org")
    for setup in reversed(setups):
        setup.undo()
    for text in (out.getvalue(), file.read_text(encoding="utf-8")):
        assert "[mail text]" in text
        assert "[phone]" in text
        assert not any(piece in text.casefold() for piece in ("jane", "doe@", "quarterly", "1234567"))


def test_a_flood_of_one_line_is_limited_and_told(out: io.StringIO, tmp_path: Path) -> None:
    file = tmp_path / "autopilot.jsonl"
    setup = setup_logging(file=file, flood_per_line_per_second=3)
    for number in range(5000):
        logger.info("the same line, {}", number)
    logger.info("another line")
    setup.undo()
    lines = lines_of(file)
    told = sum(line.get("suppressed", 0) for line in lines)
    written = sum("the same" in line["message"] for line in lines)
    assert told + written == 5000
    assert written < 5000
    assert any(line["message"] == "another line" for line in lines)


def test_a_flood_limit_counts_each_line_and_each_second_for_itself() -> None:
    now = [0.0]
    flood = FloodLimit(2, lambda: now[0])
    assert [flood.passes("a.py", 1) for _ in range(4)] == [True, True, False, False]
    assert flood.passes("a.py", 2)
    assert flood.suppressed() == []
    now[0] = 1.0
    assert flood.suppressed() == [("a.py", 1, 2)]
    assert flood.suppressed() == []
    assert [flood.passes("a.py", 1) for _ in range(3)] == [True, True, False]
    assert flood.suppressed(all_of_them=True) == [("a.py", 1, 1)]


def test_undo_puts_the_standard_library_back_and_leaves_sinks_of_the_application(out: io.StringIO) -> None:
    own: list[str] = []
    logger.add(own.append, format="{message}")
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    setup = setup_logging(stream=out)
    logger.info("both")
    setup.undo()
    setup.undo()
    logger.info("own")
    assert (root.level, root.handlers) == before
    assert own == ["both\n", "own\n"]
    assert "own" not in out.getvalue().rpartition("|")[2]


def test_a_file_that_cannot_be_written_or_a_rotation_that_makes_no_sense_is_refused(out: io.StringIO, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="AUTOPILOT_LOG_FILE"):
        setup_logging(file=tmp_path / "file" / "x.log")
    with pytest.raises(SettingsError, match="rotation"):
        setup_logging(file=tmp_path / "x.log", rotation="now and then")


def test_extra_that_is_no_json_does_no_harm(out: io.StringIO) -> None:
    setup: LoggingSetup = setup_logging(stream=out, json=True)
    logger.bind(path=Path("/x"), nested={1: {2: object}}, nan=float("nan"), b=b"x").info("hello")
    setup.undo()
    assert json.loads(out.getvalue())["extra"]["path"] == "/x"


def test_our_sink_is_the_only_one_on_stderr() -> None:

    code = (
        "from loguru import logger; from otel_autopilot.telemetry.logs import setup_logging\n"
        "setup_logging(); logger.info('hello'); import logging; logging.warning('there')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [line.rpartition("| ")[2] for line in done.stderr.splitlines()] == ["hello", "there"]


def test_a_flood_that_never_pauses_is_told_of_second_by_second() -> None:
    now = 0.0
    limit = FloodLimit(10, clock=lambda: now)
    told = written = 0
    for number in range(3_000):
        now = number / 1_000
        written += limit.passes("noisy.py", 7)
        told += sum(count for *_, count in limit.suppressed())
    assert written == 30
    assert told == 2 * 990
    assert told + sum(count for *_, count in limit.suppressed(all_of_them=True)) + written == 3_000


def test_a_file_may_be_named_by_text_and_what_was_suppressed_last_is_told_at_exit(tmp_path: Path) -> None:
    file = tmp_path / "log" / "lines.jsonl"
    script = f"""
from loguru import logger
from otel_autopilot.telemetry.logs import setup_logging
setup_logging(file={str(file)!r}, flood_per_line_per_second=5)
for _ in range(100):
    logger.info("again")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    lines = file.read_text().splitlines()
    assert len(lines) == 6
    assert "95" in lines[-1]
