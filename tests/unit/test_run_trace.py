"""The trace of one email: promised ids, held spans, lost attempts, the trust rule."""

from __future__ import annotations

import time

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import StatusCode

from otel_autopilot.telemetry import names
from otel_autopilot.telemetry.holding import holding
from otel_autopilot.telemetry.propagation import extract, inject, mail_headers, mail_origin
from otel_autopilot.telemetry.run import RunIdentity, attempt, emit_lost_attempt, emit_root, new_span_id
from otel_autopilot.telemetry.spans import record_span, span
from tests.conftest import Spans

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def one_attempt(run: RunIdentity, stage: str = "email", number: int = 1, fail: bool = False) -> None:
    now = time.time_ns()
    with (
        attempt(run, stage, number, span_id=new_span_id(), workflow="w", ready_unix_nano=now - 500_000_000, started_unix_nano=now),
        span(names.EMAIL_PARSE),
    ):
        if fail:
            raise ValueError("broken")


def test_the_root_has_the_ids_that_were_promised_and_the_attempts_hang_under_it(spans: Spans) -> None:
    run = RunIdentity.from_carrier("r1", time.time_ns(), RunIdentity.new("r1", 0).to_carrier())
    one_attempt(run)
    emit_root(run, ended_unix_nano=time.time_ns(), outcome="success", workflow="w", state_name="success")
    root, stage, inner = spans.one("email pipeline"), spans.one("email"), spans.one("email.parse")
    assert (root.context.trace_id, root.context.span_id) == (run.trace_id, run.root_span_id)
    assert root.parent is None
    assert stage.parent.span_id == root.context.span_id
    assert inner.parent.span_id == stage.context.span_id
    assert {item.context.trace_id for item in spans.all} == {run.trace_id}


def test_rule_inner_spans_are_exported_when_their_attempt_ends(spans: Spans) -> None:
    run = RunIdentity.new("r", time.time_ns())
    now = time.time_ns()
    with attempt(run, "digest", 1, span_id=new_span_id(), workflow="w", ready_unix_nano=now, started_unix_nano=now):
        with span(names.DIGEST_RENDER):
            pass
        assert spans.all == []
    assert [item.name for item in spans.all] == ["digest", "digest.render"]


def test_a_run_that_lives_in_one_process_is_exported_whole_parents_first(spans: Spans) -> None:
    run = RunIdentity.new("r", time.time_ns())
    with holding():
        one_attempt(run)
        assert spans.all == []
        emit_root(run, ended_unix_nano=time.time_ns(), outcome="success", workflow="w", state_name="success")
    assert [item.name for item in spans.all] == ["email pipeline", "email", "email.parse"]


def test_queue_wait_is_not_work(spans: Spans) -> None:
    one_attempt(RunIdentity.new("r", time.time_ns()))
    stage = spans.one("email")
    assert stage.attributes["autopilot.stage.queue.duration"] == pytest.approx(0.5)
    assert stage.end_time - stage.start_time < 400_000_000


def test_a_failed_attempt_shows_what_failed_and_the_next_has_its_number(spans: Spans) -> None:
    run = RunIdentity.new("r", time.time_ns())
    with pytest.raises(ValueError, match="broken"):
        one_attempt(run, fail=True)
    one_attempt(run, number=2)
    first, second = spans.named("email")
    assert (first.attributes["autopilot.attempt"], first.attributes["autopilot.outcome"]) == (1, "failed")
    assert first.status.status_code is StatusCode.ERROR
    assert (second.attributes["autopilot.attempt"], second.attributes["autopilot.outcome"]) == (2, "success")


def test_rule_recovery_emits_the_lost_attempt_with_the_id_that_was_stored(spans: Spans) -> None:
    run, span_id, now = RunIdentity.new("r", time.time_ns()), new_span_id(), time.time_ns()
    emit_lost_attempt(
        run, "ingestion", 1, span_id=span_id, workflow="w", ready_unix_nano=now, started_unix_nano=now, lost_unix_nano=now + 5
    )
    lost = spans.one("ingestion")
    assert lost.context.span_id == span_id
    assert lost.attributes["autopilot.attempt.lost"] is True
    assert lost.attributes["autopilot.outcome"] == "lost"
    assert lost.status.status_code is StatusCode.ERROR


def test_work_timed_elsewhere_becomes_a_span_of_that_time(spans: Spans) -> None:
    run, now = RunIdentity.new("r", time.time_ns()), time.time_ns()
    with attempt(run, "ingestion", 1, span_id=new_span_id(), workflow="w", ready_unix_nano=now, started_unix_nano=now):
        record_span(names.PDF_PAGES, now + 10, now + 20, {names.PDF_FIRST_PAGE: 1, names.PDF_LAST_PAGE: None})
    pages = spans.one("pdf.pages")
    assert (pages.start_time, pages.end_time) == (now + 10, now + 20)
    assert dict(pages.attributes) == {"autopilot.pdf.page.first": 1}


def test_rule_email_pipeline_is_the_only_root_whatever_surrounds_it(spans: Spans) -> None:
    run = RunIdentity.new("r", time.time_ns())
    with span(names.SMTP_RECEIVE):
        one_attempt(run)
        emit_root(run, ended_unix_nano=time.time_ns(), outcome="success", workflow="w", state_name="success")
    roots = [item.name for item in spans.all if item.parent is None]
    assert sorted(roots) == ["email pipeline", "smtp receive"]
    assert spans.one("smtp receive").context.trace_id != run.trace_id


def test_rule_baggage_from_outside_is_dropped(spans: Spans) -> None:
    run, now = RunIdentity.new("r", time.time_ns()), time.time_ns()
    token = context.attach(baggage.set_baggage("user", "grace"))
    try:
        with attempt(run, "email", 1, span_id=new_span_id(), workflow="w", ready_unix_nano=now, started_unix_nano=now):
            assert baggage.get_all() == {}
    finally:
        context.detach(token)


@pytest.mark.parametrize("trusted", [True, False])
def test_rule_traceparent_in_a_mail_is_a_link_unless_the_sender_is_trusted(spans: Spans, trusted: bool) -> None:
    origin = mail_origin(REMOTE, None, trusted=trusted)
    assert (origin.parent is not None) is trusted
    assert (origin.link is not None) is not trusted
    run = RunIdentity.new("r", time.time_ns(), origin.parent)
    links = (origin.link,) if origin.link else ()
    emit_root(run, ended_unix_nano=time.time_ns(), outcome="success", workflow="w", state_name="success", links=links)
    root = spans.one("email pipeline")
    assert (root.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C) is trusted


@pytest.mark.parametrize("value", ["", "garbage", "00-00000000000000000000000000000000-b7ad6b7169203331-01", REMOTE + "x" * 9000])
def test_a_broken_traceparent_amounts_to_nothing(value: str) -> None:
    origin = mail_origin(value, None, trusted=True)
    assert origin.parent is None
    assert origin.link is None


def test_rule_outgoing_mail_carries_traceparent_only_to_allow_listed_domains(spans: Spans) -> None:
    with span(names.SMTP_SEND) as current:
        carried = mail_headers("ops@Example.org", ["example.org"])
        assert f"{current.get_span_context().trace_id:032x}" in carried["traceparent"]
        assert mail_headers("ops@example.org.evil.test", ["example.org"]) == {}
        assert mail_headers("ops@sub.example.org", ["@example.org"]) == {}
        assert mail_headers("nobody", [""]) == {}


def test_inject_and_extract_round_trip(spans: Spans) -> None:
    carrier: dict[str, str] = {}
    with span(names.SMTP_SEND) as current:
        inject(carrier)
    found = trace.get_current_span(extract(carrier)).get_span_context()
    assert found.span_id == current.get_span_context().span_id


def test_a_carrier_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a W3C traceparent"):
        RunIdentity.from_carrier("r", 0, {})


def test_rule_identity_metrics_use_the_keys_of_spans(spans: Spans, metric_reader: InMemoryMetricReader) -> None:
    run = RunIdentity.new("r", time.time_ns())
    one_attempt(run)
    emit_root(run, ended_unix_nano=time.time_ns(), outcome="success", workflow="w", state_name="success")
    stage, root = spans.one("email"), spans.one("email pipeline")
    data = metric_reader.get_metrics_data()
    assert data is not None
    reported = {
        metric.name: metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    }
    for metric, span_of_it, keys in (
        (names.STAGE_DURATION, stage, {"autopilot.stage", "autopilot.outcome", "autopilot.workflow"}),
        (names.STAGE_QUEUE_DURATION, stage, {"autopilot.stage", "autopilot.workflow"}),
        (names.EMAIL_DURATION, root, {"autopilot.outcome", "autopilot.workflow"}),
    ):
        found = [dict(point.attributes) for point in reported[metric.name].data.data_points]
        assert all(set(attributes) == keys for attributes in found)
        assert {key: span_of_it.attributes[key] for key in keys} in found


def test_rule_top_of_the_trace_it_ends_when_the_last_delivery_does(spans: Spans) -> None:
    run = RunIdentity.new("r", time.time_ns())
    one_attempt(run, "delivery")
    accepted = spans.one("delivery").end_time
    time.sleep(0.01)  # whatever the process does before it writes the root
    emit_root(run, ended_unix_nano=accepted, outcome="success", workflow="w", state_name="success")
    assert spans.one("email pipeline").end_time == accepted
