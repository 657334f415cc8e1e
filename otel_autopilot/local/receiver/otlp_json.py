"""OTLP's JSON as OTLP's messages.

As the protocol says (OTLP 1.x, "JSON Protobuf Encoding"): ids are hexadecimal digits rather than base64, enums are numbers,
integers of 64 bits may be text, and fields that aren't known are passed over.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from otel_autopilot.local.receiver.refusals import Malformed

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Messages inside of each other, as protobuf's binary encoding has them at most.
_DEEPEST = 100
#: Characters of a parser's own words that are passed on.
_MOST_WORDS = 300

Request = TypeVar("Request", bound=Message)


def parse(content: bytes, request: Request) -> Request:
    """Fill the request and return it; raises Malformed, saying where."""
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Malformed(f"expected JSON in UTF-8, got other bytes at position {error.start}") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"expected JSON, got something else in line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise Malformed("expected JSON, got a number or a nesting beyond all measure") from error
    if not isinstance(found, dict):
        raise Malformed(f"expected a JSON object, got {_words(found)}")
    try:
        json_format.ParseDict(_turn(found), request, ignore_unknown_fields=True, max_recursion_depth=_DEEPEST)
    except _Wrong as wrong:
        raise Malformed(f"{wrong.where[:_MOST_WORDS]}: {wrong.why}") from wrong
    except json_format.ParseError as error:
        raise Malformed(f"expected {request.DESCRIPTOR.name} as JSON: {str(error)[:_MOST_WORDS]}") from error
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise Malformed(f"expected {request.DESCRIPTOR.name} as JSON, got something of another shape") from error
    return request


class _Wrong(Exception):
    """What is wrong; whoever passes it on puts in front of it where."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    @property
    def where(self) -> str:
        return "".join(reversed(self.path)).lstrip(".")


def _turn(value: Any, level: int = 0) -> Any:
    """The value with ids in base64, as protobuf's JSON has bytes, and without halves of characters; lists and maps are changed."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if not isinstance(value, list | dict):
        return value
    if level > 3 * _DEEPEST:
        raise _Wrong("expected less nesting")
    place: int | str = 0
    try:
        for place, item in enumerate(value) if isinstance(value, list) else value.items():
            value[place] = _identity(item) if place in _IDS else _turn(item, level + 1)
    except _Wrong as wrong:
        wrong.path.append(f"[{place}]" if isinstance(value, list) else f".{place}")
        raise
    return value


def _identity(value: Any) -> str | None:
    if not value:
        return None
    try:
        return base64.b64encode(bytes.fromhex(value)).decode("ascii")
    except (TypeError, ValueError) as error:
        raise _Wrong(f"expected hexadecimal digits, got {_words(value)}") from error


def _words(value: Any) -> str:
    """What came, without its content."""
    if isinstance(value, str):
        return f"other text of {len(value)} characters"
    return {list: "a list", dict: "an object", type(None): "null", bool: "a boolean"}.get(type(value), "a number")
