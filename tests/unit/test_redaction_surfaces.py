"""Personal data planted in every place of real spans, log records and metrics is gone from what is exported."""

from __future__ import annotations

import base64
import json
import quopri
import re
import urllib.parse
from collections.abc import Callable
from email.header import Header
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from otel_autopilot.telemetry.known_values import KnownValues
from otel_autopilot.telemetry.patterns import luhn
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.redaction import RedactingLogExporter, RedactingMetricExporter, RedactingSpanExporter

SUBJECT = "Re: [board] Übernahme der Nordwind GmbH"
BARE = "Übernahme der Nordwind GmbH"
KNOWN = (
    SUBJECT,
    "Jörg Müller <joerg.mueller@nordwind.example>",
    "<20261121.abc$1@mail.nordwind.example>",
    "Nordwind_Angebot 3.pdf",
)

emails = st.builds(
    lambda local, tag, domain: f"{local}{tag}@{domain}",
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9._]{0,12}[a-zA-Z0-9]", fullmatch=True),
    st.sampled_from(["", "+news", "-x"]),
    st.sampled_from(["example.org", "mail.example.co.uk", "xn--bcher-kva.example", "bücher.example"]),
)
phones = st.sampled_from(
    ["+49 30 1234567", "+1 (212) 555-0147", "+44 20 7946 0958", "+4915112345678", "(030) 123 45 67", "212-555-0147", "030/1234567",
     "06 12 34 56 78", "0049 30 901820", "+33 (0)1 23 45 67 89"]
)  # fmt: skip


def _with_check_digit(digits: str) -> str:
    return next(digits + str(check) for check in range(10) if luhn(digits + str(check)))


cards = st.builds(
    lambda prefix, rest, separator: separator.join(
        _with_check_digit((prefix + rest)[:15])[start : start + 4] for start in range(0, 16, 4)
    ),
    st.sampled_from(["4", "51", "55", "2221"]),
    st.text("0123456789", min_size=15, max_size=15),
    st.sampled_from(["", " ", "-"]),
)
tokens = st.sampled_from(
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "sk-proj-9aB8cD7eF6gH5iJ4kL3mN2",
        "ghp_9aB8cD7eF6gH5iJ4kL3mN2oP1qR0", "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789012-abcDEF",
        "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZkdISktMTU5PUFE5",
    ]
)  # fmt: skip
secrets = st.one_of(emails, phones, cards, tokens)


def plain(text: str) -> str:
    return text


def percent(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def quoted_printable(text: str) -> str:
    return quopri.encodestring(text.encode(), quotetabs=True).decode().replace("@", "=40")


def base64_text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def base64_shifted(text: str) -> str:
    return base64.b64encode(f">{text}".encode()).decode()


def encoded_word_b(text: str) -> str:
    return Header(text.replace("\n", " "), "utf-8", maxlinelen=70).encode()


def encoded_word_q(text: str) -> str:
    octets = "".join("_" if byte == 32 else f"={byte:02X}" for byte in text.encode())
    return f"=?utf-8?Q?{octets}?="


def json_escape(text: str) -> str:
    return json.dumps(text)


def entities(text: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else f"&#{ord(character)};" for character in text)


def python_repr(text: str) -> str:
    return repr(text.encode())


ENCODINGS = [
    plain, percent, quoted_printable, base64_text, base64_shifted, encoded_word_b, encoded_word_q, json_escape, entities,
    python_repr,
]  # fmt: skip


class Everything(Exception):
    """An exception whose text is whatever it is given."""


def _raised(text: str) -> Everything:
    try:
        raise Everything(text)
    except Everything as error:
        return error


def exported_span(text: str, known: KnownValues | None = None) -> ReadableSpan:
    """A span with the text in every place, as the exporter behind the redaction gets it."""
    memory = InMemorySpanExporter()
    of_process = "set before any mail came" if known else text
    provider = TracerProvider(resource=Resource({"host.owner": of_process}), shutdown_on_exit=False)

    class Tie(SimpleSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            span._autopilot_known = known  # type: ignore[attr-defined]
            super().on_end(span)

    provider.add_span_processor(Tie(RedactingSpanExporter(memory)))
    tracer = provider.get_tracer(f"scope {of_process}", of_process, attributes={"scope.attribute": of_process})
    state = TraceState([("vendor", re.sub(r"[^!-~]|[,=]", " ", text).strip() or "x")])
    remote = SpanContext(1, 2, True, TraceFlags(1), state)
    link = Link(remote, {"link.text": text})
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    span = tracer.start_span(f"GET {text}", context, links=[link], attributes={
        "text": text, "list": ["clean", text], "bytes": text.encode(), "nested": {"deep": [{"deeper": text}]},
        f"key {text}": 1, "n": 7,
    })  # fmt: skip
    span.add_event(f"event {text}", {"event.text": text})
    span.record_exception(_raised(text))
    span.set_status(Status(StatusCode.ERROR, f"failed: {text}"))
    span.end()
    (span_exported,) = memory.get_finished_spans()
    return span_exported


def everything_of_span(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    assert scope is not None
    assert span.context is not None
    assert span.parent is not None
    return "\n".join(
        str(part)
        for part in (
            span.name, dict(span.attributes or {}), [(event.name, dict(event.attributes or {})) for event in span.events],
            [(dict(link.attributes or {}), link.context.trace_state.items()) for link in span.links], span.status.description,
            dict(span.resource.attributes), scope.name, scope.version, dict(scope.attributes or {}),
            span.context.trace_state.items(),
            span.parent.trace_state.items(),
        )
    )  # fmt: skip


def exported_log(text: str, known: KnownValues | None = None) -> str:
    memory = InMemoryLogRecordExporter()
    of_process = "set before any mail came" if known else text
    provider = LoggerProvider(resource=Resource({"host.owner": of_process}), shutdown_on_exit=False)

    class Tie(SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            log_record.log_record._autopilot_known = known
            super().on_emit(log_record)

    provider.add_log_record_processor(Tie(RedactingLogExporter(memory)))
    provider.get_logger(f"scope {of_process}", of_process).emit(
        body={"message": text, "parts": [text, {"inner": text}], "raw": text.encode()},
        attributes={"text": text, "map": {"inner": [text]}},
        event_name=f"event {text}",
        severity_text=text,
        exception=Everything(text),
    )
    (record,) = memory.get_finished_logs()
    inner = record.log_record
    scope = record.instrumentation_scope
    assert scope is not None
    assert inner.exception is None
    return "\n".join(
        str(part)
        for part in (
            inner.body, dict(inner.attributes or {}), inner.event_name, inner.severity_text, dict(record.resource.attributes),
            scope.name, scope.version,
        )
    )  # fmt: skip


class KeepMetrics(MetricExporter):
    def __init__(self) -> None:
        super().__init__(preferred_temporality={})
        self.kept: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.kept.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


def exported_metrics(text: str) -> str:
    keep = KeepMetrics()
    reader = PeriodicExportingMetricReader(RedactingMetricExporter(keep), export_interval_millis=float("inf"))
    provider = MeterProvider(
        [reader], resource=Resource({"host.owner": text}), shutdown_on_exit=False, exemplar_filter=AlwaysOnExemplarFilter(),
        views=[View(instrument_name="durations", attribute_keys={"kept"})],
    )  # fmt: skip
    meter = provider.get_meter(f"scope {text}", attributes={"scope.attribute": text})
    meter.create_counter("counter", description=f"counts {text}").add(1, {"label": text, "list": [text]})
    meter.create_histogram("durations").record(0.5, {"kept": text, "filtered": text})
    provider.force_flush()
    provider.shutdown()
    return str(keep.kept)


def forms_of(text: str) -> list[str]:
    return [text, percent(text), base64_text(text)]


COMMON = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@COMMON
@example(secret="Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZkdISktMTU5PUFE5", encode=plain, around="x={}")
@given(
    secret=secrets,
    encode=st.sampled_from(ENCODINGS),
    around=st.sampled_from(["{}", "for {} again", "<{}>", '"{}"', "x={}", "a\n{}\tb"]),
)
def test_no_address_number_or_token_is_left_in_any_place_of_a_span(secret: str, encode: Callable[[str], str], around: str) -> None:
    planted = encode(secret)
    if encode in (base64_text, base64_shifted, encoded_word_b, encoded_word_q) and secret.startswith(
        ("eyJ", "sk-", "ghp", "AKIA", "xox", "Zm9")
    ):
        planted = secret  # a token inside of base64 is an opaque run like any other, or too short to be told from one
    seen = everything_of_span(exported_span(around.format(planted)))
    for form in {*forms_of(secret), planted}:
        assert form not in seen


@COMMON
@given(secret=secrets, encode=st.sampled_from([plain, percent, entities]), around=st.sampled_from(["{}", "for {} again"]))
def test_no_address_number_or_token_is_left_in_any_place_of_a_log_record(
    secret: str, encode: Callable[[str], str], around: str
) -> None:
    seen = exported_log(around.format(encode(secret)))
    assert secret not in seen
    assert encode(secret) not in seen


@COMMON
@given(secret=secrets)
def test_no_address_number_or_token_is_left_in_any_place_of_a_metric(secret: str) -> None:
    seen = exported_metrics(secret)
    for form in forms_of(secret):
        assert form not in seen
    assert "filtered_attributes={'filtered'" in seen


@pytest.mark.parametrize("encode", ENCODINGS, ids=lambda encode: encode.__name__)
@pytest.mark.parametrize(
    "value", [SUBJECT, BARE, BARE.upper(), "Jörg Müller", "joerg.mueller", "Nordwind_Angebot 3.pdf", "Nordwind Angebot 3", KNOWN[2]]
)
@pytest.mark.parametrize("around", ["{}", "can't file: {} (1)"])
def test_no_known_value_is_left_in_any_place(value: str, encode: Callable[[str], str], around: str) -> None:
    known = KnownValues()
    known.add(*KNOWN)
    planted = around.format(encode(value))
    for seen in (everything_of_span(exported_span(planted, known)), exported_log(planted, known)):
        for form in (value, encode(value), percent(value), base64_text(value)):
            assert form not in seen


def test_rule_identity_equal_addresses_have_equal_pseudonyms_in_every_encoding() -> None:
    wanted = f"[email:{pseudonym('ann@example.org')}]"
    for encode in (plain, percent, base64_text, encoded_word_b, entities):
        span = exported_span(encode("Ann@Example.org"))
        assert (span.attributes or {})["text"] == wanted


def test_ids_times_kind_and_counts_of_dropped_things_stay() -> None:
    span = exported_span("ann@example.org")
    assert span.context is not None
    assert span.context.trace_id == 1
    assert span.kind is trace.SpanKind.INTERNAL
    assert span.links[0].context.span_id == 2
    assert (span.attributes or {})["n"] == 7
    assert span.start_time
    assert span.end_time
    assert span.end_time >= span.start_time
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)


def test_what_the_sdk_dropped_is_still_counted() -> None:
    from opentelemetry.sdk.trace import SpanLimits

    memory = InMemorySpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=2, max_events=1), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(memory)))
    with provider.get_tracer("x").start_as_current_span("x") as span:
        span.set_attributes({"a": 1, "b": 2, "c": "ann@example.org"})
        span.add_event("one")
        span.add_event("two")
    (exported,) = memory.get_finished_spans()
    assert (exported.dropped_attributes, exported.dropped_events) == (1, 1)


def test_a_metric_exporter_keeps_its_preferred_temporality() -> None:
    from opentelemetry.sdk.metrics import Counter

    inner = KeepMetrics()
    inner._preferred_temporality = {Counter: AggregationTemporality.DELTA}
    assert RedactingMetricExporter(inner)._preferred_temporality == {Counter: AggregationTemporality.DELTA}
