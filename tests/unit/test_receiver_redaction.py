"""What was received is stored without personal data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, MetricPoint, Scope, SpanRecord
from otel_autopilot.local.receiver.redaction import _HARMLESS, TOO_MUCH, Redaction
from otel_autopilot.telemetry.pseudonyms import pseudonym
from otel_autopilot.telemetry.redactor import RedactionRules, Redactor

ADDRESS = "ann.miller@example.org"
SECRET = "p4ssw0rd-of-ann"


def span(**fields: Any) -> SpanRecord:
    return SpanRecord(**{"trace_id": "1" * 32, "span_id": "2" * 16, "parent_span_id": None, "name": "n", "kind": "k", "start_unix_nano": 1, "end_unix_nano": 2} | fields)  # fmt: skip


def cleaned(value: Any, key: str = "some.key") -> Any:
    attributes = {key: value}
    Redaction().attributes(attributes)
    return attributes[key]


def test_no_part_of_a_span_keeps_an_address() -> None:
    dirty = {"a": f"to {ADDRESS}", "list": [ADDRESS], "map": {"deep": {ADDRESS: [ADDRESS.encode()]}}, ADDRESS: 1}
    record = span(
        name=f"mail {ADDRESS}", status_message=f"550 {ADDRESS}", attributes=dict(dirty), resource=dict(dirty),
        events=(EventRecord(ADDRESS, 1, dict(dirty)),), links=(LinkRecord("3" * 32, "4" * 16, dict(dirty)),),
        scope=Scope(ADDRESS, ADDRESS, dict(dirty)),
    )  # fmt: skip
    (clean,) = Redaction().spans([record])
    assert ADDRESS not in repr(clean)
    assert clean.attributes["a"] == f"to [email:{pseudonym(ADDRESS)}]"


def test_no_part_of_a_log_record_or_of_a_metric_point_keeps_an_address() -> None:
    dirty = {"k": ADDRESS}
    log = LogRecordRow(1, severity_text=ADDRESS, body={"text": [ADDRESS]}, event_name=ADDRESS, attributes=dict(dirty), resource=dict(dirty), scope=Scope(ADDRESS))  # fmt: skip
    exemplar = {"value": 1, "time_unix_nano": 1, "trace_id": None, "span_id": None, "attributes": dict(dirty)}
    point = MetricPoint(ADDRESS, "gauge", 1, unit=ADDRESS, description=ADDRESS, exemplars=(exemplar,), attributes=dict(dirty), resource=dict(dirty), scope=Scope(ADDRESS))  # fmt: skip
    redaction = Redaction()
    assert ADDRESS not in repr(redaction.logs([log])) + repr(redaction.points([point]))
    assert ADDRESS not in repr(redaction.logs([LogRecordRow(1, body=f"to {ADDRESS}")]))


@pytest.mark.parametrize("key", ["password", "user.email", "http.request.header.authorization", "email.subject", "enduser.id"])
@pytest.mark.parametrize(
    "value", [SECRET, 4711, 3.5, [SECRET], {"a": SECRET}, SECRET.encode()], ids=lambda value: type(value).__name__
)
def test_what_is_personal_by_name_goes_whole_whatever_it_is(key: str, value: Any) -> None:
    assert cleaned(value, key) == "[redacted]"
    assert SECRET not in repr(cleaned({"outer": [{key: value}]}))


def test_a_name_inside_of_a_map_counts_together_with_those_around_it() -> None:
    assert cleaned({"id": 7, "tier": "gold"}, "user") == {"id": "[redacted]", "tier": "gold"}
    (log,) = Redaction().logs([LogRecordRow(1, body={"user": {"id": 7}})])
    assert log.body == {"user": {"id": "[redacted]"}}


@pytest.mark.parametrize("value", [None, "", True, "[redacted]", "[mail text]"])
def test_what_holds_nothing_stays_under_a_personal_name(value: Any) -> None:
    assert cleaned(value, "user.email") == value


def test_pseudonyms_stay_so_that_one_can_search_by_them() -> None:
    made = pseudonym(ADDRESS)
    assert cleaned(made, "autopilot.email.sender") == made
    assert cleaned(f"[email:{made}]", "user.email") == f"[email:{made}]"


def test_our_own_names_are_no_pass_for_values_of_others() -> None:
    assert cleaned(ADDRESS, "autopilot.run.id") != ADDRESS
    assert cleaned(f"<abc@{ADDRESS}>", "autopilot.email.message_id") == "[redacted]"


def test_what_a_user_adds_to_the_policy_counts_here_too() -> None:
    redaction = Redaction(RedactionRules(patterns=[r"order"], keep_keys=["plain.contact"]))
    attributes = {"note": "order", "plain.contact": ADDRESS}
    redaction.attributes(attributes)
    assert attributes == {"note": "[redacted]", "plain.contact": ADDRESS}


def test_what_is_harmless_is_handed_on_as_it_is() -> None:
    attributes = {
        "http.method": "GET",
        "http.route": "/api/orders",
        "n": 5,
        "ok": True,
        "id": "0af7651916cd43dd8448eb211c80319c",
        "f": 0.5,
    }
    record = span(name="GET /api/orders", attributes=attributes, scope=Scope("lib", "1.2"))
    before = dict(attributes)
    assert Redaction().spans([record])[0] is record
    assert attributes == before


@given(st.from_regex(_HARMLESS, fullmatch=True))
def test_what_is_taken_for_harmless_at_a_glance_the_redactor_leaves_alone_too(text: str) -> None:
    assert Redactor().text(text) == text


@given(
    st.lists(
        st.sampled_from(
            [ADDRESS, f"x {ADDRESS} y", "plain", "/a/b", "Bearer abcdefgh12345678", "4111 1111 1111 1111", "+49 30 1234567"]
        ),
        max_size=50,
    )
)
def test_a_remembered_text_is_answered_as_a_new_one(texts: list[str]) -> None:
    redaction, redactor = Redaction(), Redactor()
    assert [redaction.text(text) for text in texts * 2] == [redactor.text(text) for text in texts * 2]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_autopilot.local.receiver.redaction._MOST_REMEMBERED", 10)
    redaction = Redaction()
    for number in range(50):
        redaction.text(f"Text {number}")
    assert len(redaction._remembered) <= 10
    redaction.text("Long " * 1000)
    assert not any(re.match("Long", text) for text in redaction._remembered)


def test_a_long_text_is_cut_says_so_and_keeps_nothing_personal_at_the_cut() -> None:
    for length in (16_384 - 10, 16_384 + 1_024 - 10, 40_000):
        text = "word " * (length // 5) + "." * (length % 5) + ADDRESS + " and more" * 3_000
        for clean in (cleaned(text), cleaned([text])[0], cleaned(text.encode()).decode()):
            assert clean.startswith("word word")
            assert clean.endswith(f"(cut: {len(text)} {'bytes' if clean.endswith('bytes)') else 'characters'})")
            assert len(clean) < 16_384 + 50
            assert "ann" not in clean
            assert "miller" not in clean
    (log,) = Redaction().logs([LogRecordRow(1, body="a@" * 4_000_000)])
    assert len(log.body) < 16_384 + 50


def test_texts_beyond_the_time_of_a_request_are_left_out_and_the_next_request_has_its_own() -> None:
    seconds = iter(range(1_000_000))
    redaction = Redaction(clock=lambda: float(next(seconds)))
    dirty = {f"key.{number}": [f"{number} {ADDRESS}"] for number in range(50)}
    (clean,) = redaction.spans([span(name=f"of {ADDRESS}", attributes=dict(dirty))])
    assert TOO_MUCH in repr(clean.attributes)
    assert ADDRESS not in repr(clean)
    assert len(clean.attributes) < 50
    (clean,) = redaction.spans([span(name="n", attributes={"known": f"to {ADDRESS}"})])
    assert clean.attributes == {"known": f"to [email:{pseudonym(ADDRESS)}]"}


@pytest.mark.parametrize("kind", [int, float])
def test_a_payment_card_is_found_whatever_kind_of_number_it_is(kind: type) -> None:
    assert cleaned(kind(4111111111111111)) == "[card]"
    assert cleaned([kind(4111111111111111)]) == ["[card]"]
    for other in (kind(4111111111111112), kind(1_763_755_932_000), kind(10**18), 4111111111111.5, float("inf")):
        assert cleaned(other) is other
    assert str(cleaned(float("nan"))) == "nan"
    assert Redactor().attributes({"n": kind(4111111111111111), "f": 0.5}) == {"n": "[card]", "f": 0.5}
    assert Redactor().attributes({"n": kind(4111111111111112), "f": 0.5, "nan": float("nan"), "b": True}) is None
