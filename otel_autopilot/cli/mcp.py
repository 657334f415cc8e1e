"""`mcp`: the viewer's questions as read-only tools for assistants (Model Context Protocol, over standard input and output)."""

from __future__ import annotations

import asyncio
import difflib
from functools import partial
from typing import Any

from anyio import to_thread
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

from otel_autopilot import __version__
from otel_autopilot.errors import AutopilotError, QueryError
from otel_autopilot.local.questions import QUESTIONS, Parameter, Question
from otel_autopilot.local.terminal import json_text
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.settings import Settings

#: How long a search may take before its answer says how far it came.
BUDGET_SECONDS = 10.0
INSTRUCTIONS = (
    "Telemetry of an email pipeline: each email is one trace with the stages email, ingestion, digest and delivery. Begin with "
    "breakdown (where time goes) and traces (find emails), then ask for one trace. Times are nanoseconds. Addresses and Message-IDs are "
    "keyed pseudonyms; searching for the real one finds them. Answers with complete=false or next can be continued by cursor."
)
_TYPES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    list[str]: {"type": "array", "items": {"type": "string"}},
}  # fmt: skip
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list[str]: "a list of texts"}
#: Rows of a page that nobody asked to be larger: an assistant reads all of it.
_ROWS = 20


def mcp() -> int:
    """Serve until standard input ends; returns 0."""
    with Source.of(Settings.load(), budget_seconds=BUDGET_SECONDS) as source:
        asyncio.run(_serve(server(source)))
    return 0


async def _serve(served: Server[Any]) -> None:
    async with stdio_server() as (reads, writes):
        await served.run(reads, writes, served.create_initialization_options())


def server(source: Source) -> Server[Any]:
    """A server with a tool for each question."""
    questions = {question.name.replace("-", "_"): question for question in QUESTIONS}
    tools = [_tool(name, question) for name, question in questions.items()]

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=tools)

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            question = questions.get(params.name)
            if question is None:
                raise QueryError("tool", f"one of {', '.join(questions)}", params.name)
            answer = await to_thread.run_sync(partial(source.ask, question, _checked(question, params.arguments or {})))
        except AutopilotError as error:  # said to the assistant, as to anybody who asks wrongly
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
        return CallToolResult(content=[TextContent(type="text", text=json_text(answer))])

    return Server(
        "otel-autopilot", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _tool(name: str, question: Question) -> Tool:
    schema = {
        "type": "object",
        "properties": {
            parameter.name: {**_TYPES[parameter.kind], "description": parameter.help} for parameter in question.parameters
        },
        "required": [parameter.name for parameter in question.parameters if parameter.required],
        "additionalProperties": False,
    }
    only_reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    return Tool(name=name, description=question.help, input_schema=schema, annotations=only_reads)


def _checked(question: Question, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments, each of its kind. Raises QueryError for one that isn't there, or of another kind."""
    known = {parameter.name: parameter for parameter in question.parameters}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise QueryError(
                name[:40], f"the parameter {near[0]}" if near else f"one of {', '.join(known) or 'no parameters'}", value
            )
        if value is not None and not _is(known[name], value):
            raise QueryError(name, _WORDS[known[name].kind], value)
    return {**({"limit": _ROWS} if "limit" in known else {}), **given}


def _is(parameter: Parameter, value: Any) -> bool:
    if parameter.kind == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if parameter.kind is str:
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if parameter.kind is bool:
        return isinstance(value, bool)
    return isinstance(value, int if parameter.kind is int else int | float) and not isinstance(value, bool)
