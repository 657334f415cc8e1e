"""`query` and `mcp`: the viewer's questions for scripts and for assistants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from typer.testing import CliRunner

from otel_autopilot.cli.app import query_app
from otel_autopilot.local.model import MetricPoint
from otel_autopilot.local.questions import QUESTIONS
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.pseudonyms import load_pseudonyms
from tests.stored_emails import email, fill, log_of

TRACE = f"{1:032x}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    directory = folder / "otel-autopilot"
    directory.mkdir(mode=0o700)
    fill(directory / "telemetry.db", 12, failed=2)
    return folder


def query(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_DATA_HOME": str(home), "HOME": str(home), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "query", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def answer(home: Path, *arguments: str) -> dict[str, Any]:
    done = query(home, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


#: What each question needs to be asked.
NEEDED = {
    "trace": [TRACE], "raw": [TRACE], "span": [TRACE, f"{1:016x}"], "compare-traces": ["--a", TRACE, "--b", f"{5:032x}"],
    "compare-ranges": ["--a-from", "2h", "--a-to", "1h", "--b-from", "1h"],
}  # fmt: skip


@pytest.mark.parametrize("question", [question.name for question in QUESTIONS if question.name != "series"])
def test_every_question_answers_in_json_and_for_people(home: Path, question: str) -> None:
    asked = [question, *NEEDED.get(question, [])]
    environment = {"XDG_DATA_HOME": str(home), "COLUMNS": "120"}
    done = CliRunner().invoke(query_app, [*asked, "--json"], env=environment)
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)
    told = CliRunner().invoke(query_app, asked, env=environment)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.strip()


def test_filters_and_aggregates(home: Path) -> None:
    failed = answer(home, "traces", "--outcome", "failed")["traces"]
    assert sorted(trace["trace_id"] for trace in failed) == [TRACE, f"{2:032x}"]
    groups = answer(home, "spans", "--by", "name", "--where", "autopilot.stage=digest")["groups"]
    assert [(group["by"], group["count"], group["errors"]) for group in groups] == [({"name": "digest"}, 12, 2)]
    assert groups[0]["duration"]["p95_ns"] == 10_000_000
    (log,) = answer(home, "logs", "--severity", "warn")["logs"]
    assert (log["body"], log["trace_id"]) == ("the model was away", TRACE)


HOSTILE = "[/red]\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\u202egnp [link=x]y[/link] [email:p1_2]"


def test_what_others_named_neither_ends_a_command_nor_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "otel-autopilot"
    directory.mkdir(mode=0o700)
    spans = [
        replace(span, name=HOSTILE if span.name == "email pipeline" else span.name, resource={"service.name": HOSTILE})
        for span in email(0)
    ]
    store = TraceStore.open(directory / "telemetry.db")
    store.add_spans(spans)
    store.add_logs([replace(log_of(0, HOSTILE), severity_text=HOSTILE)])
    store.close()
    told = ""
    for command in (
        "traces --kind all",
        "logs",
        "facets",
        f"trace {TRACE}",
        "spans",
        "spans --by name",
        "logs --json",
        f"span {TRACE} {1:016x}",
    ):
        done = query(tmp_path, *command.split())
        assert (done.returncode, done.stderr) == (0, ""), command
        told += done.stdout
    assert not set(told) & set("\x1b\x07\x9b\u202e")
    assert "[email:p1_2]" in told, "what looks like markup is shown"
    assert "<1B>[2J" in told


def test_charts_are_told_by_their_values_and_a_heat_map_is_drawn(home: Path) -> None:
    drawn = query(home, "heatmap", "--from", "10m", "--columns", "20").stdout
    assert any("\N{FULL BLOCK}" in line or "\N{LIGHT SHADE}" in line for line in drawn.splitlines()), drawn
    assert "1 to " in drawn.splitlines()[-1]
    directory = home / "otel-autopilot"
    store, now = TraceStore.open(directory / "telemetry.db"), time.time_ns()
    store.add_points([MetricPoint("queue.length", "gauge", now - 10**9 * back, value=5 + back) for back in range(60, 0, -10)])
    store.close()
    assert "15 (15 to 65)" in query(home, "series", "--name", "queue.length", "--from", "5m").stdout


def test_at_80_columns_a_table_has_what_one_needs(home: Path) -> None:
    environment = {"XDG_DATA_HOME": str(home), "COLUMNS": "80"}
    logs = CliRunner().invoke(query_app, ["logs"], env=environment).stdout
    assert "the model was away" in logs
    listed = CliRunner().invoke(query_app, ["traces", "--outcome", "failed"], env=environment).stdout
    assert TRACE in listed


def test_pages_follow_each_other_and_end(home: Path) -> None:
    seen, cursor = [], []
    while True:
        page = answer(home, "traces", "--limit", "5", *cursor)
        seen += [trace["trace_id"] for trace in page["traces"]]
        if page["next"] is None:
            break
        cursor = ["--cursor", page["next"]]
    assert sorted(seen) == sorted({f"{number + 1:032x}" for number in range(12)})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("traces", "--from", "soon"), "from: expected a time"),
        (("trace", "f" * 32), "trace_id: expected"),
        (("series", "--name", "none.such"), "name: expected"),
        (("spans", "--where", "=1"), "where: expected"),
        (("heatmap", "--columns", "1"), "columns: expected a whole number from 10 to 200"),
    ],
)
def test_wrong_use_is_exit_code_2_and_one_line(home: Path, arguments: tuple[str, ...], says: str) -> None:
    done = query(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"otel-autopilot: {says}")
    assert done.stderr.count("\n") == 1


def test_before_anything_is_stored_answers_are_empty(tmp_path: Path) -> None:
    assert answer(tmp_path, "traces")["traces"] == []
    assert answer(tmp_path, "breakdown")["emails"]["count"] == 0
    assert not list(tmp_path.iterdir()), "asking makes no file"


def test_a_message_id_finds_its_email_through_its_pseudonym(tmp_path: Path) -> None:
    directory = tmp_path / "otel-autopilot"
    directory.mkdir(mode=0o700)
    key = load_pseudonyms(directory, None)
    root, *rest = email(0)
    known = replace(root, attributes={**root.attributes, "autopilot.email.message_id": key.of("<a@example.org>")})
    store = TraceStore.open(directory / "telemetry.db")
    store.add_spans([known, *rest])
    store.close()
    found = answer(tmp_path, "traces", "--q", "<A@example.org>")
    assert (found["matched"], [trace["trace_id"] for trace in found["traces"]]) == ("pseudonym", [TRACE])


async def test_an_assistant_has_every_question_as_a_tool_that_only_reads(home: Path) -> None:
    environment = {**os.environ, "XDG_DATA_HOME": str(home), "HOME": str(home)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "otel_autopilot", "mcp"], env=environment)
    async with stdio_client(server) as (reads, writes), ClientSession(reads, writes) as session:
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert sorted(tools) == sorted(question.name.replace("-", "_") for question in QUESTIONS)
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools.values())
        assert all(tool.description and tool.input_schema["properties"] is not None for tool in tools.values())
        assert tools["trace"].input_schema["required"] == ["trace_id"]
        assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
        found = json.loads((await session.call_tool("traces", {"outcome": "failed", "limit": 1})).content[0].text)
        assert [trace["outcome"] for trace in found["traces"]] == ["failed"]
        for wrong, says in (
            ({"from": "soon"}, "from: expected a time"), ({"workflow_name": "x"}, "workflow_name: expected the parameter workflow"),
            ({"limit": "many"}, "limit: expected a whole number"), ({"errors": "true"}, "errors: expected true or false"),
        ):  # fmt: skip
            refused = await session.call_tool("traces", wrong)
            assert refused.is_error
            assert says in refused.content[0].text
        unknown = await session.call_tool("nothing", {})
        assert (unknown.is_error, "tool: expected one of traces" in unknown.content[0].text) == (True, True)
