"""How much the Collector's queues may hold on the disk that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from otel_autopilot.stack.components import FEWEST_QUEUE_ITEMS, QUEUE_BYTES_PER_ITEM, QUEUE_ITEMS, Plan


def test_queues_are_bounded_by_the_room_on_the_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    items = Plan(tmp_path, tmp_path, {}).queue_items()
    assert FEWEST_QUEUE_ITEMS <= items <= QUEUE_ITEMS
    assert items * QUEUE_BYTES_PER_ITEM <= max(free * 1.1, FEWEST_QUEUE_ITEMS * QUEUE_BYTES_PER_ITEM)


def test_the_default_is_that_of_the_configuration() -> None:
    queue = Path(__file__).parents[2] / "collector" / "fragments" / "queue.yaml"
    assert f"OTELCOL_QUEUE_ITEMS:-{QUEUE_ITEMS}}}" in queue.read_text()
