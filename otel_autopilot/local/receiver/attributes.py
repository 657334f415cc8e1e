"""OTLP's values as plain Python ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_autopilot.local.receiver.refusals import TooLarge

#: Deepest nesting of lists and maps that is kept. Protobuf itself refuses more than 100 messages inside of each other.
DEEPEST = 32
#: Attributes of one span, record, point, event, link, resource or scope that are kept, and items of one list or map. An SDK keeps 128.
MOST_ATTRIBUTES = 1_024
#: How many weren't kept, under the name that the specification has for it ("Mapping to non-OTLP formats").
DROPPED = "otel.dropped_attributes_count"
#: Values of one request. 16 MiB of values of 16 bytes each.
MOST_VALUES = 1_000_000


class Room:
    """For the values that one request unfolds into: attributes, items of lists and maps, events, links and exemplars."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = self._left = most

    def take(self, count: int) -> None:
        """Raises TooLarge when there is no more."""
        self._left -= count
        if self._left < 0:
            raise TooLarge(f"expected at most {self._most} attributes, events and links in one request, got more")


def attributes(pairs: Sequence[KeyValue], room: Room) -> dict[str, Any]:
    """Attributes by name; where a name comes twice the last one counts. Of more than `MOST_ATTRIBUTES` the first are kept."""
    more = len(pairs) - MOST_ATTRIBUTES
    if more > 0:
        pairs = pairs[:MOST_ATTRIBUTES]
    room.take(len(pairs))
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Most values are text or a number, and to ask for one is quicker than to ask which kind it is.
        found[pair.key] = value.string_value or value.int_value or any_value(value, room)
    if more > 0:
        found[DROPPED] = more
    return found


def any_value(value: AnyValue, room: Room, level: int = 0) -> Any:
    """The value made of None, bool, int, float, str, bytes, list and dict; what lies deeper than `DEEPEST` becomes text."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        if level >= DEEPEST:
            return "(nested deeper)"
        values = value.array_value.values
        room.take(min(len(values), MOST_ATTRIBUTES))
        items = [any_value(item, room, level + 1) for item in values[:MOST_ATTRIBUTES]]
        return items if len(values) <= MOST_ATTRIBUTES else [*items, f"(cut: {len(values) - MOST_ATTRIBUTES} more)"]
    if kind == "kvlist_value":
        if level >= DEEPEST:
            return "(nested deeper)"
        pairs = value.kvlist_value.values
        room.take(min(len(pairs), MOST_ATTRIBUTES))
        found = {pair.key: any_value(pair.value, room, level + 1) for pair in pairs[:MOST_ATTRIBUTES]}
        return found if len(pairs) <= MOST_ATTRIBUTES else {**found, DROPPED: len(pairs) - MOST_ATTRIBUTES}
    return None if kind is None or kind not in _SCALARS else getattr(value, kind)


_SCALARS = frozenset({"string_value", "bool_value", "int_value", "double_value", "bytes_value"})
