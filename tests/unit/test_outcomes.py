"""The one table of outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from otel_autopilot.workflow.outcomes import FINISHED, TABLE, as_markdown, row_of
from otel_autopilot.workflow.runs import RunState


def test_the_documentation_is_what_the_table_says() -> None:
    assert Path("docs/outcomes.md").read_text() == as_markdown(), "make generated"


def test_rule_outcomes_every_state_has_its_row_and_a_state_without_one_is_a_key_error() -> None:
    assert {row_of(state).state for state in get_args(RunState)} == set(get_args(RunState))
    with pytest.raises(KeyError):
        row_of("lost")


def test_success_a_good_email_an_unset_status_and_exit_code_0_are_the_same_thing() -> None:
    for row in TABLE:
        assert (row.outcome == "success") == (row.email_delivered == "good") == (row.exit_code == 0) == (row.span_status == "UNSET")


def test_an_unfinished_run_has_no_verdict_yet() -> None:
    for row in TABLE:
        if row.state not in FINISHED:
            assert (row.outcome, row.span_status, row.email_delivered, row.exit_code) == (None, None, None, None)


def test_a_run_that_failed_in_delivery_has_made_its_digest() -> None:
    assert (row_of("failed", "delivery").digest_made, row_of("failed", "delivery").delivery_made) == ("good", "bad")
    assert (row_of("failed", "ingestion").digest_made, row_of("failed", "ingestion").delivery_made) == ("bad", None)


def test_cancelling_what_hangs_does_not_heal_the_objective() -> None:
    assert row_of("cancelled").email_delivered == "bad"
