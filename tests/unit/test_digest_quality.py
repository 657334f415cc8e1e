"""Digests of the mails in tests/data/digest hold what a person would want of them, and nothing that a person would wish away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.digest_cases import Case, complaints, digest_case, load_cases

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_digest_says_what_a_person_would_want(case: Case, tmp_path: Path) -> None:
    digest = digest_case(case, tmp_path)
    assert complaints(case, digest) == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_digest_is_short_whole_and_the_same_each_time(case: Case, tmp_path: Path) -> None:
    digest = digest_case(case, tmp_path)
    assert digest == digest_case(case, tmp_path)
    assert 1 <= len(digest.key_points) <= 7
    assert len({point.text for point in digest.key_points}) == len(digest.key_points)
    assert len(digest.figures) <= 8
    assert len(digest.links) <= 10
    assert len(digest.keywords) <= 8
    for point in digest.key_points:
        assert point.text[0] == point.text[0].upper()
        assert 4 <= len(point.text) <= 450


def test_fewer_key_points_are_asked_for_and_given(tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "incident")
    assert len(digest_case(case, tmp_path, key_points=2).key_points) == 2
