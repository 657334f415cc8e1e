"""Which emails are of a seldom kind."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.telemetry.rarity import Rarity


def test_the_first_few_of_each_kind_are_rare_and_the_many_after_them_are_not() -> None:
    rarity = Rarity(window=100, share=0.03)
    assert [rarity.is_rare("newsletter") for _ in range(6)] == [True, True, True, False, False, False]
    assert rarity.is_rare("fax")


def test_a_kind_that_became_seldom_is_rare_again() -> None:
    rarity = Rarity(window=100, share=0.01)
    for _ in range(50):
        rarity.is_rare("fax")
    assert not rarity.is_rare("fax")
    for _ in range(100):
        rarity.is_rare("newsletter")
    assert rarity.is_rare("fax")


@given(st.lists(st.integers(0, 5)), st.integers(1, 20), st.floats(0.01, 0.5))
def test_it_agrees_with_counting_the_latest(kinds: list[int], window: int, share: float) -> None:
    rarity = Rarity(window, share)
    for number, kind in enumerate(kinds, 1):
        latest = Counter(kinds[max(0, number - window) : number])
        assert rarity.is_rare(kind) == (latest[kind] <= max(1, int(window * share)))
