"""Metrics of the process and the machine, read through the real SDK."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import psutil
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_autopilot.telemetry import names, runtime
from otel_autopilot.telemetry.event_loop import watch_event_loop
from otel_autopilot.telemetry.runtime import RuntimeMetrics


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    yield (reader := InMemoryMetricReader())
    reader.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {metric.name: metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics}


def meter(reader: InMemoryMetricReader) -> Any:
    return MeterProvider([reader], shutdown_on_exit=False).get_meter(names.SCOPE)


def work_until_the_next_look(metrics: RuntimeMetrics) -> None:
    """Use CPU time, which is told in ticks of 10 ms, until what was looked at is no longer fresh."""
    assert metrics._last is not None
    before = psutil.cpu_times(), psutil.Process().cpu_times()
    while (
        time.monotonic() - metrics._last.at < runtime.FRESH_SECONDS
        or psutil.cpu_times() == before[0]
        or psutil.Process().cpu_times() == before[1]
    ):
        sum(range(100_000))


def test_every_declared_runtime_metric_is_reported_with_its_unit_and_attributes(reader: InMemoryMetricReader) -> None:
    metrics = RuntimeMetrics(meter(reader)).start()
    collected(reader)
    work_until_the_next_look(metrics)
    found = collected(reader)
    declared = {metric.name: metric for metric in names.METRICS if metric.name.startswith(("process.", "system.", "cpython."))}
    assert found.keys() == declared.keys()
    for name, metric in found.items():
        assert metric.unit == declared[name].unit
        assert metric.data.data_points
        keys = {attribute.name for attribute in declared[name].attributes}
        assert all(set(point.attributes) == keys for point in metric.data.data_points)
        assert all(point.value >= 0 for point in metric.data.data_points)
        kind = declared[name].instrument
        assert hasattr(metric.data, "is_monotonic") == (kind in ("counter", "updowncounter"))
        if kind != "gauge":
            assert metric.data.is_monotonic == (kind == "counter")


def test_names_and_units_are_those_of_the_semantic_conventions() -> None:
    from opentelemetry.semconv._incubating.metrics import cpython_metrics, process_metrics, system_metrics

    conventions = {
        value
        for module in (cpython_metrics, process_metrics, system_metrics)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    assert {metric.name for metric in names.METRICS if not metric.name.startswith("autopilot.")} <= conventions


def test_the_values_are_those_of_this_process(reader: InMemoryMetricReader) -> None:
    RuntimeMetrics(meter(reader)).start()
    own = psutil.Process()
    before = own.num_threads()
    found = collected(reader)
    (memory,) = found["process.memory.usage"].data.data_points
    assert memory.value == pytest.approx(own.memory_info().rss, rel=0.5)
    (threads,) = found["process.thread.count"].data.data_points
    assert min(before, own.num_threads()) <= threads.value <= max(before, own.num_threads())
    (uptime,) = found["process.uptime"].data.data_points
    assert uptime.value == pytest.approx(time.time() - own.create_time(), abs=30)


def test_utilization_comes_from_the_second_look_on_and_is_a_share(reader: InMemoryMetricReader) -> None:
    metrics = RuntimeMetrics(meter(reader)).start()
    assert "process.cpu.utilization" not in collected(reader)
    work_until_the_next_look(metrics)
    found = collected(reader)
    for name in ("process.cpu.utilization", "system.cpu.utilization", "system.memory.utilization"):
        assert 0 <= sum(point.value for point in found[name].data.data_points) <= 1.000001


def test_garbage_collections_are_counted_by_generation(reader: InMemoryMetricReader) -> None:
    metrics = RuntimeMetrics(meter(reader)).start()

    def of_generation_2() -> float:
        points = collected(reader)["cpython.gc.collections"].data.data_points
        return next(point.value for point in points if point.attributes == {"cpython.gc.generation": 2})

    before = of_generation_2()
    gc.collect()
    work_until_the_next_look(metrics)
    assert of_generation_2() >= before + 1


def test_nothing_is_reported_after_stop_and_again_after_start(reader: InMemoryMetricReader) -> None:
    metrics = RuntimeMetrics(meter(reader)).start()
    metrics.stop()
    assert not collected(reader)
    metrics.start()
    assert collected(reader)


def test_one_look_serves_all_instruments(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    RuntimeMetrics(meter(reader)).start()
    looks = []
    real = runtime._of_process
    monkeypatch.setattr(runtime, "_of_process", lambda process: looks.append(process) or real(process))
    collected(reader)
    collected(reader)
    assert len(looks) == 1
    reader.shutdown()


@pytest.mark.parametrize(
    "error", [psutil.AccessDenied(), PermissionError(), FileNotFoundError("/proc/diskstats"), NotImplementedError()]
)
def test_what_a_container_does_not_tell_is_left_out(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(psutil.Process, "io_counters", refuse)
    monkeypatch.setattr(psutil, "disk_io_counters", refuse)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    RuntimeMetrics(meter(reader)).start()
    found = collected(reader)
    assert "process.cpu.time" in found
    assert not {"process.disk.io", "system.disk.io", "system.network.io"} & found.keys()


def _report_own_pid(metrics: RuntimeMetrics, answer: Connection) -> None:
    look = metrics._look()
    assert metrics._process is not None
    answer.send((metrics._process.pid, os.getpid(), look.values["process.uptime"][None]))
    answer.close()


def test_after_fork_the_child_reports_itself(reader: InMemoryMetricReader) -> None:
    metrics = RuntimeMetrics(meter(reader)).start()
    collected(reader)
    ours, theirs = multiprocessing.Pipe()
    with metrics._lock:  # held by another thread at the moment of the fork: the child must not wait for it
        child = multiprocessing.get_context("fork").Process(target=_report_own_pid, args=(metrics, theirs))
        child.start()
    theirs.close()
    assert ours.poll(30)
    reported, pid, uptime = ours.recv()
    child.join()
    assert reported == pid == child.pid
    assert uptime < 60


async def test_a_blocked_event_loop_shows_its_lag() -> None:
    reader = InMemoryMetricReader()
    stop = watch_event_loop(meter=meter(reader))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.4)  # the thing to be measured: a callback that blocks the loop beyond the next look
        await asyncio.sleep(0)
        found = collected(reader)
        if "autopilot.event_loop.lag" in found:
            (point,) = found["autopilot.event_loop.lag"].data.data_points
            if point.max >= 0.05:
                break
    else:
        pytest.fail("no lag was recorded")
    stop()
    reader.shutdown()


def test_watching_ends_with_the_loop_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    async def short() -> None:
        watch_event_loop()

    asyncio.run(short())
    assert capfd.readouterr() == ("", "")
