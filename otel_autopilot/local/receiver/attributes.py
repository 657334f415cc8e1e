"""OTLP's values as plain Python ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

#: Deepest nesting of lists and maps that is kept. Protobuf itself refuses more than 100 messages inside of each other.
DEEPEST = 32


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by name; where a name comes twice the last one counts."""
    found = {}
    for pair in pairs:
        value = pair.value
        # Most values are text or a number, and to ask for one is quicker than to ask which kind it is.
        found[pair.key] = value.string_value or value.int_value or any_value(value)
    return found


def any_value(value: AnyValue, level: int = 0) -> Any:
    """The value made of None, bool, int, float, str, bytes, list and dict; what lies deeper than `DEEPEST` becomes text."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        if level >= DEEPEST:
            return "(nested deeper)"
        return [any_value(item, level + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        if level >= DEEPEST:
            return "(nested deeper)"
        return {pair.key: any_value(pair.value, level + 1) for pair in value.kvlist_value.values}
    return None if kind is None or kind not in _SCALARS else getattr(value, kind)


_SCALARS = frozenset({"string_value", "bool_value", "int_value", "double_value", "bytes_value"})
