"""The generated corpus through the real command: every kind of mail, realistic and hostile, in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from otel_autopilot.telemetry import names
from tests.mail.make_mail import KINDS, make, write
from tests.mail.planted import Sample

STAGES = ["email", "ingestion", "digest", "delivery"]
#: Clocks of the processes that share one trace may differ by this much.
SLACK_NANO = 1_000_000


@dataclass(frozen=True)
class Traced:
    """What the command printed for each mail, and all that it left on disk."""

    lines: list[tuple[Sample, dict[str, Any]]]
    stored: bytes
    stderr: str


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    folder, home = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("home")
    samples = {str(path): sample for path, sample in write(folder, seed=7)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "trace", str(folder), "--json"],
        env={**clean, "HOME": str(home), "XDG_DATA_HOME": str(home)}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 1, "some mails of the corpus have to fail"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["file"] for line in lines) == sorted(samples), "one line for each mail"
    stored = b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())
    return Traced([(samples[line["file"]], line) for line in lines], stored, done.stderr)


@pytest.mark.timeout(300)
def test_every_kind_of_mail_ends_as_it_must(traced: Traced) -> None:
    wrong = {
        sample.kind: (sample.expected, line["outcome"], line["error"])
        for sample, line in traced.lines
        if line["outcome"] != sample.expected
    }
    assert {kind: found for kind, found in wrong.items() if found[0] != "any"} == {}
    assert all(line["error"]["message"] for _, line in traced.lines if line["outcome"] != "success")
    assert "Traceback" not in traced.stderr


@pytest.mark.timeout(300)
def test_every_trace_is_whole_and_nested_in_time(traced: Traced) -> None:
    for sample, line in traced.lines:
        by_id = {span["span_id"]: span for span in line["spans"]}
        (root,) = [span for span in line["spans"] if span["parent_span_id"] is None]
        for span in line["spans"]:
            assert span["start_unix_nano"] <= span["end_unix_nano"], sample.kind
            if span is not root:
                parent = by_id[span["parent_span_id"]]
                assert span["start_unix_nano"] >= parent["start_unix_nano"] - SLACK_NANO, (sample.kind, span["name"])
                assert span["end_unix_nano"] <= parent["end_unix_nano"] + SLACK_NANO, (sample.kind, span["name"])
        below = [span["name"] for span in line["spans"] if span["parent_span_id"] == root["span_id"]]
        assert below == STAGES[: len(below)], sample.kind
        assert line["outcome"] != "success" or below == STAGES, sample.kind


@pytest.mark.timeout(300)
def test_rule_personal_data_nothing_that_was_planted_is_in_a_span_log_or_metric(traced: Traced) -> None:
    stored = traced.stored.lower()
    assert b"email pipeline" in stored, "what is searched is text"
    for sample, line in traced.lines:
        shown = json.dumps([line["spans"], line["error"]], ensure_ascii=False).lower()
        for secret in sample.secrets:
            assert secret.lower() not in shown, (sample.kind, secret)
            for form in (secret.lower(), json.dumps(secret.lower())[1:-1]):
                assert form.encode() not in stored, (sample.kind, secret)


def test_the_same_seed_makes_the_same_mail_and_another_seed_makes_another() -> None:
    first, again, other = (list(make(seed=seed)) for seed in (3, 3, 4))
    assert first == again
    assert len({sample.kind for sample in first}) == len(KINDS)
    assert sum(one.content != two.content for one, two in zip(first, other, strict=True)) > len(KINDS) - 10


def test_no_two_mails_share_planted_data_and_every_subject_can_be_found() -> None:
    seen: set[str] = set()
    for sample in make(2 * len(KINDS)):
        assert seen.isdisjoint(sample.secrets), sample.kind
        seen.update(sample.secrets)
        assert len(sample.secrets[0]) >= 15


@pytest.mark.timeout(300)
def test_rule_identity_every_span_and_attribute_that_is_emitted_is_in_the_schema(traced: Traced) -> None:
    known = {span.name: {attribute.name for attribute in span.attributes} for span in names.SPANS}
    unknown = {
        (span["name"], key)
        for _, line in traced.lines
        for span in line["spans"]
        for key in (*span["attributes"], "")
        if span["name"] not in known or (key and key not in known[span["name"]] | {"error.type"})
    }
    assert unknown == set()
