"""Attribute values as text in the store, and as strict JSON outside of it.

OpenTelemetry values are text, numbers, booleans, bytes, null, and lists and mappings of them. Whatever else an SDK hands over
degrades to something readable: nothing here raises because of a value.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    import orjson
except ImportError:  # the library alone has no need of it
    orjson = None  # type: ignore[assignment]

#: Marks bytes inside the stored JSON: an object with this only key, its value in base64.
_BYTES = "\x00bytes"
#: Deepest nesting that is kept.
_MOST_LEVELS = 32
#: Integers of more bits are kept as hexadecimal text: Python refuses to write and read very long decimal numbers.
_MOST_BITS = 4096

_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def mapping_of(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The dictionary inside the SDK's mapping (which takes a lock for every look at it), or the mapping itself."""
    if not attributes:
        return {}
    inner = getattr(attributes, "_dict", None)
    return inner if type(inner) is dict else attributes


def plain(value: Any, level: int = 0) -> Any:
    """The value made of None, bool, int, float, str, bytes, list and dict alone.

    Sequences become lists, sets become lists, keys become text; what is nested deeper than 32 levels, and what is none of
    these, becomes text.
    """
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MOST_BITS else hex(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if level >= _MOST_LEVELS:
        return "(nested deeper)"
    if isinstance(value, Mapping):
        return {_key(key): plain(item, level + 1) for key, item in mapping_of(value).items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item, level + 1) for item in value]
    return f"({type(value).__qualname__})"


def plain_mapping(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes by name, each value `plain`."""
    return {_key(key): plain(value) for key, value in mapping_of(attributes).items()}


def _key(key: Any) -> str:
    return str(key) if isinstance(key, str) else f"({type(key).__qualname__})" if not isinstance(key, int) else hex(key)


def _bytes(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    inner = getattr(value, "_dict", None)  # the SDK's mapping, nested
    if type(inner) is dict:
        return inner
    raise TypeError


# ASCII throughout: text with lone surrogates comes back as it was, and SQLite sees valid UTF-8.
_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_bytes)
#: What orjson has an opinion of its own about is left to `plain`.
_LEAVE = (
    0 if orjson is None else orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def encode(value: Any) -> str:
    """The value as JSON text for the store; `decode` gives back what `plain` makes of it."""
    if orjson is not None:
        try:
            quick = orjson.dumps(value, _bytes, _LEAVE)
        except (TypeError, ValueError, RecursionError):
            pass  # lone surrogates, integers beyond 64 bits, keys that are no text: the long way
        else:
            if b"null" not in quick:  # orjson writes it for NaN and infinities too
                return quick.decode()
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return _encoder.encode(plain(value))


def _object(pairs: dict[str, Any]) -> Any:
    if len(pairs) == 1 and _BYTES in pairs:
        try:
            return base64.b64decode(pairs[_BYTES], validate=True)
        except (ValueError, TypeError):
            return pairs
    return pairs


_decoder = json.JSONDecoder(object_hook=_object)


def decode(text: str | None) -> Any:
    """What `encode` wrote; None for None. Raises ValueError when it isn't JSON."""
    return None if text is None else json.loads(text) if _BYTES_ESCAPED not in text else _decoder.decode(text)


_BYTES_ESCAPED = "\\u0000bytes"


def text(value: str | None) -> str:
    """Text that SQLite takes: lone surrogates become question marks."""
    if not value:
        return ""
    if value.isascii():
        return str(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return str(value)


def strict(value: Any) -> Any:
    """A plain value as RFC 8259 JSON can carry it: as in OTLP's JSON, bytes become base64 and NaN and infinities text."""
    if isinstance(value, float) and not math.isfinite(value):
        return _NON_FINITE.get(value, "NaN")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value
