"""`query`: the viewer's questions for scripts, and as tables for people."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_autopilot.local.questions import QUESTIONS, Parameter, Question
from otel_autopilot.local.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

#: Rows of a table; the rest is counted.
MOST_ROWS = 100
#: Longest text in a cell, and what is left of it where there is little room.
LONGEST_CELL, _TEXT = 60, 24
#: How long a search may take, in seconds: a script waits longer than a page.
BUDGET_SECONDS = 60.0
#: What comes first in a table.
_FIRST = (
    "stage", "time_unix_nano", "start_unix_nano", "outcome", "severity_text", "duration_ns", "body", "trace_id", "name", "span_id", "attempts",
    "count", "errors", "work.p50_ns", "work.p95_ns", "work.p99_ns", "wait.p50_ns", "wait.p95_ns", "share", "wait_share", "duration.p50_ns",
    "duration.p95_ns", "duration.p99_ns", "p50_ns", "p95_ns", "p99_ns", "service",
)  # fmt: skip
#: Beginnings of what is left to --json: too long for a cell, and too much of it.
_LEFT_OUT = ("attributes.", "resource.", "scope.", "events", "links")


def add_commands(app: typer.Typer) -> None:
    """A command for each question."""
    for question in QUESTIONS:
        app.command(question.name, help=question.help, epilog=f"Example: `otel-autopilot query {question.example}`")(
            _command(question)
        )


def _command(question: Question) -> Callable[..., None]:
    def ask(as_json: bool, **given: Any) -> None:
        raise typer.Exit(_ask(question, {name.removesuffix("_"): value for name, value in given.items()}, as_json))

    parameters = [
        _option(question, parameter) for parameter in sorted(question.parameters, key=lambda one: one.name not in question.in_path)
    ]
    json_option = Annotated[bool, typer.Option("--json", help="JSON for machines, on stdout.")]
    parameters.append(inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=json_option))
    ask.__dict__["__signature__"] = inspect.Signature(parameters)  # what typer makes the options from
    ask.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return ask


def _option(question: Question, parameter: Parameter) -> inspect.Parameter:
    if parameter.name in question.in_path:
        annotation: Any = Annotated[parameter.kind, typer.Argument(help=parameter.help)]
        return inspect.Parameter(parameter.argument, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    flag = typer.Option(f"--{parameter.name.replace('_', '-')}", help=parameter.help)
    if parameter.required:
        return inspect.Parameter(parameter.argument, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[parameter.kind, flag])
    return inspect.Parameter(
        parameter.argument, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[parameter.kind | None, flag]
    )


def _ask(question: Question, given: dict[str, Any], as_json: bool) -> int:
    from otel_autopilot.cli.show import show
    from otel_autopilot.local.terminal import console, json_text
    from otel_autopilot.local.viewer.source import Source
    from otel_autopilot.settings import Settings

    with Source.of(Settings.load(), budget_seconds=BUDGET_SECONDS) as source:
        answer = source.ask(question, {name: value for name, value in given.items() if value not in (None, [])})
    if as_json:
        sys.stdout.write(json_text(answer) + "\n")
    elif question.name in ("trace", "raw"):
        return show(given["trace_id"], as_json=False)
    elif question.name == "heatmap":
        _print_heat(answer, console())
    else:
        _print(answer, console())
    if answer.get("complete") is False:
        sys.stderr.write(
            f"otel-autopilot: not all was looked through within {BUDGET_SECONDS:.0f} s; narrow it with --from, or go on with --cursor\n"
        )
        return 1
    return 0


def _print(answer: dict[str, Any], out: Console) -> None:
    """What stands by itself as lines, each list of objects as a table."""
    from rich.table import Table
    from rich.text import Text

    for name, value in _parts(answer):
        if isinstance(value, dict):
            shown = ", ".join(f"{_heading(key)} {_shown(key, one)}" for key, one in value.items() if one is not None)
            _say(out, f"{name}: {shown or 'none'}")
        elif not isinstance(value, list):
            if value not in (None, ""):
                _say(out, f"{_heading(name)}: {_shown(name, value)}")
        elif value and isinstance(value[0], dict):
            rows = [_row(row) for row in value[:MOST_ROWS]]
            table = Table(title=name, title_justify="left", box=None, pad_edge=False, header_style="dim")
            columns = _columns(rows, out.width)
            for column, least in columns.items():
                right = isinstance(rows[0].get(column), int | float) and not column.endswith("_unix_nano")
                table.add_column(
                    Text(visible(_heading(column))),
                    overflow="ellipsis",
                    no_wrap=True,
                    min_width=least,
                    justify="right" if right else "left",
                )
            for row in rows:
                table.add_row(*(Text(_shown(column, row.get(column))) for column in columns))
            out.print(table)
            if len(value) > MOST_ROWS:
                _say(out, f"and {len(value) - MOST_ROWS} more; --json has them all")
        elif name == "times_unix_nano":
            _say(out, f"{len(value)} steps from {_shown(name, value[0])} to {_shown(name, value[-1])}")
        else:
            _say(out, f"{name}: {', '.join(_shown(name, item) for item in value[:MOST_ROWS]) or 'none'}")


def _print_heat(answer: dict[str, Any], out: Console) -> None:
    """The heat map in characters: lengths from the longest down, time from left to right."""
    from otel_autopilot.local.terminal import glyphs_of
    from otel_autopilot.local.waterfall import UNICODE

    shades = " ░▒▓█" if glyphs_of(out) is UNICODE else " .:*#"
    columns, bounds = answer["counts"], answer["bounds_ns"]
    most = max((count for column in columns for count in column), default=0)
    for row in range(len(bounds) - 1, -1, -1):
        cells = (column[row] for column in columns)
        line = "".join(shades[0 if not count else 1 + min(3, 4 * (count - 1) // max(1, most))] for count in cells)
        _say(out, f"{_shown('_ns', bounds[row]):>8} |{line}")
    first, last = answer["from_unix_nano"], answer["to_unix_nano"]
    _say(
        out,
        f"from {_shown('_unix_nano', first)} to {_shown('_unix_nano', last)}, {shades[1]} to {shades[4]}: 1 to {most} in a cell",
    )


def _say(out: Console, line: str) -> None:
    out.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def _parts(answer: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Values, lists and the innermost objects, by dotted names."""
    for name, inner in answer.items():
        if isinstance(inner, dict) and any(isinstance(value, dict | list) for value in inner.values()):
            yield from _parts(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", inner


def _row(row: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in _flat(row) if not name.startswith(_LEFT_OUT)}
    if "end_unix_nano" in flat and "start_unix_nano" in flat:
        flat["duration_ns"] = max(0, flat.pop("end_unix_nano") - flat["start_unix_nano"])
    return flat


def _columns(rows: list[dict[str, Any]], width: int) -> dict[str, int]:
    """What tells the rows apart, the first first, as far as there is room, each with its least width: text may be cut, ids not."""
    names = dict.fromkeys(name for row in rows for name in row)
    told = [name for name in names if any(row.get(name) not in (None, [], "", 0, False) for row in rows)]
    told.sort(key=lambda name: -1 if name.startswith("by.") else _FIRST.index(name) if name in _FIRST else len(_FIRST))
    room, chosen = width, dict[str, int]()
    for name in told:
        needed = max(len(_heading(name)), *(len(_shown(name, row.get(name))) for row in rows))
        least = min(needed, _TEXT) if isinstance(rows[0].get(name), str) and not name.endswith("_id") else needed
        room -= least + 2
        if room < 0 and chosen:
            break
        chosen[name] = least
    return chosen


def _heading(name: str) -> str:
    return name.removesuffix("_unix_nano").removesuffix("_ns").replace("_", " ")


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", inner


def _shown(name: str, value: Any) -> str:
    from otel_autopilot.local.waterfall import duration

    if value is None:
        return "-"
    if isinstance(value, list):
        numbers = [one for one in value if isinstance(one, int | float)]
        if not numbers:
            return "-" if all(one is None for one in value) else str(len(value))
        return f"{_shown('', numbers[-1])} ({_shown('', min(numbers))} to {_shown('', max(numbers))})"
    if name.endswith("_unix_nano") and isinstance(value, int):
        return f"{datetime.fromtimestamp(value / 1e9).astimezone():%Y-%m-%d %H:%M:%S}" if 0 < value < 1 << 62 else "-"
    if name.endswith("_ns") and isinstance(value, int | float):
        return duration(int(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = f"{value:,}" if isinstance(value, int) else visible(str(value))
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
