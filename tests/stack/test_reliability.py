"""What was accepted arrives, whatever dies. Figures: docs/reliability.md."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.otlp_load import Load
from tests.stack.figures import figure
from tests.stack.lab import PATIENCE_SECONDS, Collector, Jaeger, running, wait_until

#: How long Jaeger stays away.
OUTAGE_SECONDS = 60.0
pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("binaries")]


def arrived(jaeger: Jaeger, load: Load, what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Everything that was accepted is in Jaeger."""
    spans = sum(map(len, load.accepted.values()))
    missing = jaeger.missing(load.accepted, patience)
    figure(f"{what}: {spans:,} spans accepted, {sum(missing.values()):,} missing, {load.refusals} requests refused")
    assert spans > 1_000
    assert not missing


def test_jaeger_away_for_a_minute_under_load_loses_nothing(tmp_path: Path) -> None:
    jaeger = Jaeger(tmp_path / "jaeger")
    collector = Collector(tmp_path / "collector", jaeger=jaeger.otlp)
    with running(jaeger, collector):
        with Load(collector.otlp) as load:
            time.sleep(3)
            jaeger.kill()
            time.sleep(OUTAGE_SECONDS)
            refused_meanwhile = load.refusals
            jaeger.start()
            time.sleep(3)
        arrived(jaeger, load, "Jaeger away for a minute")
        assert refused_meanwhile == 0, "the queue takes what Jaeger can't"


def test_a_killed_collector_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    jaeger = Jaeger(tmp_path / "jaeger")
    collector = Collector(tmp_path / "collector", jaeger=jaeger.otlp)
    with running(jaeger, collector):
        with Load(collector.otlp) as load:
            for _ in range(3):
                time.sleep(4)
                collector.kill()
                time.sleep(1)
                collector.start()
            time.sleep(3)
        arrived(jaeger, load, "Collector killed three times")


def test_a_collector_killed_while_jaeger_is_away_loses_nothing(tmp_path: Path) -> None:
    jaeger = Jaeger(tmp_path / "jaeger")
    collector = Collector(tmp_path / "collector", jaeger=jaeger.otlp)
    with running(jaeger, collector):
        with Load(collector.otlp) as load:
            time.sleep(3)
            jaeger.kill()
            time.sleep(5)
            for _ in range(3):
                collector.kill()
                time.sleep(1)
                collector.start()
                time.sleep(5)
            jaeger.start()
            time.sleep(3)
        arrived(jaeger, load, "Collector killed three times while Jaeger was away")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"making a small file system needs root: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_refuses_instead_of_losing(tmp_path: Path, small_disk: Path) -> None:
    """Refused is what doesn't fit; the sender keeps it, and it arrives once there is room. Queues are full before their disk is."""
    jaeger = Jaeger(tmp_path / "jaeger")
    collector = Collector(
        tmp_path / "collector",
        jaeger=jaeger.otlp,
        OTELCOL_QUEUE_DIR=str(small_disk),
        OTELCOL_QUEUE_COMPACT_MIB="4",
        OTELCOL_QUEUE_MAX_BYTES="6291456",
        OTELCOL_QUEUE_ITEMS="6000",
        OTELCOL_BATCH_MAX_ITEMS="2000",
    )
    with running(jaeger, collector):
        with Load(collector.otlp, traces_per_second=1000, traces_per_request=100) as load:
            time.sleep(2)
            jaeger.kill()
            assert wait_until(lambda: load.refusals > 5), "the disk is full, so something is refused"
            time.sleep(10)
            jaeger.start()
            before = len(load.accepted)
            assert wait_until(lambda: len(load.accepted) > before + 1000), "it takes up work again by itself"
        arrived(jaeger, load, "Disk full, queues bounded by items", patience=20)
