"""OTLP's JSON becomes the same messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_autopilot.local.receiver.attributes import Room
from otel_autopilot.local.receiver.decode import spans
from otel_autopilot.local.receiver.otlp_json import parse
from otel_autopilot.local.receiver.refusals import Malformed

SPAN: dict[str, Any] = {
    "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "EEE19B7EC3C1B173",
    "name": "I'm a server span", "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000, "kind": 2,
    "status": {"code": 2, "message": "broken"}, "droppedAttributesCount": 3, "later": {"unknown": [1]}, "traceState": None,
    "attributes": [
        {"key": "text", "value": {"stringValue": "some value"}}, {"key": "int", "value": {"intValue": "9223372036854775807"}},
        {"key": "small", "value": {"intValue": -5}}, {"key": "double", "value": {"doubleValue": "NaN"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": True}, {}]}}}, {"key": "empty", "value": {"arrayValue": {}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "traceId", "value": {"stringValue": "zz"}}]}}},
        {"key": "bytes", "value": {"bytesValue": "aGk="}},
    ],
    "events": [{"timeUnixNano": "1544712660500000000", "name": "event"}],
    "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b175"}],
}  # fmt: skip


def request(span: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib"}, "spans": [span]}]}]}).encode()


def test_a_span_is_read_as_the_protocol_writes_it() -> None:
    (span,) = spans(parse(request(SPAN), ExportTraceServiceRequest()), Room()).items
    assert (span.trace_id, span.span_id, span.parent_span_id) == (
        "5b8efff798038103d269b633813fc60c",
        "eee19b7ec3c1b174",
        "eee19b7ec3c1b173",
    )
    assert (span.name, span.kind, span.status_code, span.scope.name) == (
        "I'm a server span",
        "SPAN_KIND_SERVER",
        "STATUS_CODE_ERROR",
        "lib",
    )
    assert (span.start_unix_nano, span.end_unix_nano) == (1544712660000000000, 1544712661000000000)
    assert span.attributes.pop("double") != 0
    assert span.attributes == {
        "text": "some value", "int": 9223372036854775807, "small": -5, "list": [True, None], "empty": [], "map": {"traceId": "zz"},
        "bytes": b"hi",
    }  # fmt: skip
    assert (span.events[0].time_unix_nano, span.links[0].span_id) == (1544712660500000000, "eee19b7ec3c1b175")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got something else in line 1"),
        (b'{"resourceSpans": [}', "got something else in line 1, column 20"),
        (b"\xff\xfe{}", "JSON in UTF-8, got other bytes at position 0"),
        (b"[]", "expected a JSON object, got a list"),
        (b"[" * 100_000, "nesting beyond all measure"),
        (b"1" * 10_000, "beyond all measure"),
        (request({**SPAN, "traceId": "not hex"}), r"resourceSpans\[0\].scopeSpans\[0\].spans\[0\].traceId: expected hexadecimal digits, got other text of 7"),
        (request({**SPAN, "links": [{"spanId": 7}]}), r"spans\[0\].links\[0\].spanId: expected hexadecimal digits, got a number"),
        (request({**SPAN, "startTimeUnixNano": "soon"}), "startTimeUnixNano"),
        (request({**SPAN, "startTimeUnixNano": -1}), "startTimeUnixNano"),
        (request({**SPAN, "attributes": {"a": 1}}), "expected ExportTraceServiceRequest as JSON"),
        (request([1]), "expected ExportTraceServiceRequest as JSON"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_that_says_where(content: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse(content, ExportTraceServiceRequest())


def test_an_id_of_the_wrong_length_rejects_its_span_alone() -> None:
    decoded = spans(parse(request({**SPAN, "traceId": "abcd"}), ExportTraceServiceRequest()), Room())
    assert (decoded.items, dict(decoded.rejected)) == ([], {"trace id": 1})


def test_halves_of_characters_become_replacement_characters() -> None:
    content = request({**SPAN, "name": "\ud800x\udfff", "attributes": [{"key": "\udc00", "value": {"stringValue": "\ud83d"}}]})
    (span,) = spans(parse(content, ExportTraceServiceRequest()), Room()).items
    assert (span.name, span.attributes) == ("\ufffdx\ufffd", {"\ufffd": "\ufffd"})


def test_values_nested_beyond_protobuf_are_refused() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(200):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(Malformed):
        parse(request({**SPAN, "attributes": [{"key": "deep", "value": value}]}), ExportTraceServiceRequest())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "attributes", "key", "value", "stringValue", "intValue", "events", "x"]),
            inner, max_size=4,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_whatever_json_comes_it_is_read_or_refused(value: Any) -> None:
    try:
        found = parse(json.dumps({"resourceSpans": value}).encode(), ExportTraceServiceRequest())
    except Malformed:
        return
    json_format.MessageToDict(found)
    spans(found, Room())
