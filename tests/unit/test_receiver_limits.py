"""How much the receiver takes at once, and several requests in one transaction."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.errors import StoreError
from otel_autopilot.local.receiver.group_commit import GroupCommit
from otel_autopilot.local.receiver.http_app import gunzip
from otel_autopilot.local.receiver.limits import TokenBucket, UnderWay, Unfolded
from otel_autopilot.local.receiver.refusals import Busy, Malformed, TooLarge
from tests.integration.receiver_harness import wait_for


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 250)), max_size=60))
def test_over_any_time_no_more_is_taken_than_the_rate_and_one_request_allow(asked: list[tuple[float, int]]) -> None:
    now = [100.0]
    bucket, taken, largest = TokenBucket(100, lambda: now[0]), 0, 0
    for pause, count in asked:
        now[0] += pause
        try:
            bucket.take(count)
        except Busy:
            pass
        else:
            taken, largest = taken + count, max(largest, count)
    assert taken <= 100 * (now[0] - 100.0) + 100 + largest


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_whoever_waits_as_long_as_told_is_let_in(first: int, second: int) -> None:
    now = [0.0]
    bucket = TokenBucket(100, lambda: now[0])
    bucket.take(first)
    try:
        bucket.take(second)
    except Busy as refusal:
        now[0] += (refusal.retry_seconds or 0) + 1e-6
        bucket.take(second)


def test_bytes_under_way_are_shared_and_given_back() -> None:
    room = UnderWay(10)
    with room.holding(6):
        with pytest.raises(Busy):
            room.take(5)
        room.take(4)
        room.give_back(4)
    room.take(10)


def test_who_unfolds_waits_for_room_and_more_than_there_is_goes_alone() -> None:
    room, order = Unfolded(10), []

    def hold(count: int) -> None:
        with room.holding(count):
            order.append(count)

    with ThreadPoolExecutor(2) as pool:
        with room.holding(6):
            hold(4)
            waiting = pool.submit(hold, 25)
            hold(3)
        waiting.result(30)
    assert order == [4, 3, 25]
    hold(10)


def test_many_items_of_one_request_are_written_in_pieces() -> None:
    written: list[int] = []
    GroupCommit(lambda items: written.append(len(items))).store(list(range(25_000)))
    assert written == [10_000, 10_000, 5_000]


def test_requests_that_wait_together_are_written_together() -> None:
    written: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def write(items: list[int]) -> None:
        written.append(items)
        begun.set()
        go_on.wait(30)

    commit = GroupCommit(write)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commit.store, [1])
        begun.wait(30)
        others = [pool.submit(commit.store, [number]) for number in (2, 3, 4)]
        wait_for(lambda: len(commit._waiting) == 3)
        go_on.set()
        for done in (first, *others):
            done.result()
    assert written[0] == [1]
    assert sorted(written[1]) == [2, 3, 4]


def test_what_one_request_cannot_store_does_not_refuse_the_others() -> None:
    stored: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def write(items: list[str]) -> None:
        if items == ["first"]:
            begun.set()
            go_on.wait(30)
        if "poison" in items:
            raise StoreError("not stored")
        stored.extend(items)

    commit = GroupCommit(write)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commit.store, ["first"])
        begun.wait(30)
        good, bad, better = (pool.submit(commit.store, [item]) for item in ("good", "poison", "better"))
        wait_for(lambda: len(commit._waiting) == 3)
        go_on.set()
        for done in (first, good, better):
            done.result()
        with pytest.raises(StoreError):
            bad.result()
    assert sorted(stored) == ["better", "first", "good"]


def test_an_unexpected_error_is_nobodys_success() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(items: list[int]) -> None:
        begun.set()
        go_on.wait(30)
        raise OverflowError

    commit = GroupCommit(write)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commit.store, [1])
        begun.wait(30)
        others = [pool.submit(commit.store, [number]) for number in (2, 3)]
        wait_for(lambda: len(commit._waiting) == 2)
        go_on.set()
        for done in (first, *others):
            with pytest.raises(OverflowError):
                done.result()


def test_gzip_is_taken_in_one_or_more_members_up_to_the_limit() -> None:
    content = b"x" * 1000
    assert gunzip(gzip.compress(content), 1000) == content
    assert gunzip(gzip.compress(content[:400]) + gzip.compress(content[400:]), 1000) == content
    assert gunzip(gzip.compress(b""), 1000) == b""
    for bomb in (gzip.compress(content + b"x"), gzip.compress(content) + gzip.compress(b"x"), gzip.compress(bytes(50_000_000))):
        with pytest.raises(TooLarge):
            gunzip(bomb, 1000)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"x" * 1000)[:-9], b"no gzip", gzip.compress(b"x") + b"trailing", b"\x1f\x8b", b""],
    ids=["cut", "none", "more behind it", "a beginning", "nothing"],
)
def test_gzip_that_is_none_or_ends_in_the_midst_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        gunzip(content, 1000)
