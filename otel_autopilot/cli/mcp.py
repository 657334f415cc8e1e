"""`mcp`: the viewer's questions as read-only tools for assistants (Model Context Protocol, over standard input and output)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from otel_autopilot import __version__
from otel_autopilot.errors import AutopilotError
from otel_autopilot.local.questions import QUESTIONS, Parameter, Question
from otel_autopilot.local.viewer.source import Source
from otel_autopilot.settings import Settings

INSTRUCTIONS = (
    "Telemetry of an email pipeline: each email is one trace with the stages email, ingestion, digest and delivery. Begin with "
    "breakdown (where time goes), traces (find emails), then trace (one of them). Times are nanoseconds. Addresses and Message-IDs are "
    "keyed pseudonyms; searching for the real one finds them."
)


def mcp() -> int:
    """Serve until standard input ends; returns 0."""
    with Source.of(Settings.load()) as source:
        server(source).run("stdio")
    return 0


def server(source: Source) -> MCPServer:
    """A server with a tool for each question."""
    found = MCPServer("otel-autopilot", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    for question in QUESTIONS:
        found.add_tool(
            _tool(question, source), name=question.name.replace("-", "_"), description=question.help,
            annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False),
        )  # fmt: skip
    return found


def _tool(question: Question, source: Source) -> Callable[..., dict[str, Any]]:
    def ask(**given: Any) -> dict[str, Any]:
        try:
            return source.ask(question, {name.removesuffix("_"): value for name, value in given.items()})
        except AutopilotError as error:  # said to the assistant, as to anybody who asks wrongly
            raise ToolError(str(error)) from error

    signature = inspect.Signature([_argument(parameter) for parameter in question.parameters], return_annotation=dict[str, Any])
    ask.__dict__["__signature__"] = signature  # what the SDK makes the tool's schema from
    return ask


def _argument(parameter: Parameter) -> inspect.Parameter:
    alias = parameter.name if parameter.argument != parameter.name else None
    default: Any = inspect.Parameter.empty if parameter.required else None
    kind: Any = parameter.kind if parameter.required else parameter.kind | None
    annotation = Annotated[kind, Field(description=parameter.help, alias=alias)]
    return inspect.Parameter(parameter.argument, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
