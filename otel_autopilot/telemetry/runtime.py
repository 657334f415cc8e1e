"""Metrics of the process and of the machine it runs on: ``process.*``, ``system.*`` and ``cpython.gc.*``.

Names and units are those of the semantic conventions. psutil tells bytes on the network for the machine only, so there is
``system.network.io`` and no ``process.network.io``. What the platform or a container doesn't tell is left out.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_autopilot.telemetry import names

if sys.platform != "win32":
    import resource

#: One look at the process and the machine serves every instrument, and every reader that comes within this many seconds.
FRESH_SECONDS = 0.5

#: Fields of psutil's CPU times and the modes they count for. Guest time is part of user time already.
_MODES = {
    "user": "user", "system": "system", "nice": "nice", "idle": "idle", "iowait": "iowait", "steal": "steal",
    "irq": "interrupt", "softirq": "interrupt", "interrupt": "interrupt", "dpc": "interrupt",
}  # fmt: skip

T = TypeVar("T")
#: Values of one metric: by the value of its attribute, or under None where it has no attribute.
Values = Mapping[str | int | None, float]


def _told(probe: Callable[[], T]) -> T | None:
    """What a probe says; None where the platform, a container or missing rights keep it from saying anything."""
    try:
        return probe()
    except (psutil.Error, OSError, NotImplementedError, AttributeError, RuntimeError):
        return None


@dataclass
class _Look:
    """One look at the process and the machine."""

    at: float = field(default_factory=time.monotonic)
    values: dict[str, Values] = field(default_factory=dict)


class RuntimeMetrics:
    """Registers observable instruments on ``meter``; nothing is read until a metric reader collects.

    Right after ``os.fork`` the child reports itself, not its parent.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._started = self._registered = False
        self._forget()
        _living.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._process: psutil.Process | None = None
        self._last: _Look | None = None

    def start(self) -> RuntimeMetrics:
        """Begin to report; a second call does nothing."""
        self._started = True
        if not self._registered:
            self._registered = True
            for metric in names.METRICS:
                if metric.name in _ATTRIBUTE_OF:
                    self._register(metric)
        return self

    def stop(self) -> None:
        """Report nothing from now on (OpenTelemetry has no way to remove an instrument)."""
        self._started = False

    def _register(self, metric: names.Metric) -> None:
        create = {
            "counter": self._meter.create_observable_counter,
            "updowncounter": self._meter.create_observable_up_down_counter,
            "gauge": self._meter.create_observable_gauge,
        }[metric.instrument]
        key = _ATTRIBUTE_OF[metric.name]

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            if not self._started:
                return []
            values = self._look().values.get(metric.name, {})
            return [Observation(number, {} if key is None else {key: value}) for value, number in values.items()]

        create(metric.name, [observe], unit=metric.unit, description=metric.brief)

    def _look(self) -> _Look:
        with self._lock:
            last = self._last
            if last is None or time.monotonic() - last.at >= FRESH_SECONDS:
                if self._process is None:
                    self._process = _told(psutil.Process)
                self._last = look = _Look()
                if self._process is not None:
                    look.values.update(_of_process(self._process))
                look.values.update(_of_system())
                look.values.update(_of_gc())
                if last is not None:
                    look.values.update(_utilization(last, look))
                return look
            return last


_living: weakref.WeakSet[RuntimeMetrics] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_living):
        one._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

#: Each metric that is reported here, and the name of its attribute.
_ATTRIBUTE_OF: dict[str, str | None] = {
    metric.name: metric.attributes[0].name if metric.attributes else None
    for metric in names.METRICS
    if metric.name.startswith(("process.", "system.", "cpython."))
}


def _of_process(process: psutil.Process) -> dict[str, Values]:
    values: dict[str, Values] = {}
    with process.oneshot():
        cpu = _told(process.cpu_times)
        if cpu is not None:
            values[names.PROCESS_CPU_TIME.name] = {"user": cpu.user, "system": cpu.system}
        memory = _told(process.memory_info)
        if memory is not None:
            values[names.PROCESS_MEMORY_USAGE.name] = {None: memory.rss}
            values[names.PROCESS_MEMORY_VIRTUAL.name] = {None: memory.vms}
        threads = _told(process.num_threads)
        if threads is not None:
            values[names.PROCESS_THREAD_COUNT.name] = {None: threads}
        descriptors = _told(lambda: process.num_fds())
        if descriptors is not None:
            values[names.PROCESS_FILE_DESCRIPTORS.name] = {None: descriptors}
        switches = _told(process.num_ctx_switches)
        if switches is not None:
            values[names.PROCESS_CONTEXT_SWITCHES.name] = {"voluntary": switches.voluntary, "involuntary": switches.involuntary}
        disk = _told(lambda: process.io_counters())
        if disk is not None:
            values[names.PROCESS_DISK_IO.name] = {"read": disk.read_bytes, "write": disk.write_bytes}
        began = _told(process.create_time)
        if began is not None:
            values[names.PROCESS_UPTIME.name] = {None: max(0.0, time.time() - began)}
    if sys.platform != "win32":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values[names.PROCESS_PAGING_FAULTS.name] = {"major": usage.ru_majflt, "minor": usage.ru_minflt}
    return values


def _of_system() -> dict[str, Values]:
    values: dict[str, Values] = {}
    cpu = _told(psutil.cpu_times)
    if cpu is not None:
        modes: dict[str | int | None, float] = {}
        for name, seconds in cpu._asdict().items():
            if name in _MODES:
                modes[_MODES[name]] = modes.get(_MODES[name], 0.0) + seconds
        values[names.SYSTEM_CPU_TIME.name] = modes
    memory = _told(psutil.virtual_memory)
    if memory is not None and memory.total:
        states: dict[str | int | None, float] = {
            state: getattr(memory, state) for state in ("free", "cached", "buffers") if hasattr(memory, state)
        }
        states["used"] = max(0, memory.total - sum(states.values()))
        values[names.SYSTEM_MEMORY_USAGE.name] = states
        values[names.SYSTEM_MEMORY_UTILIZATION.name] = {state: size / memory.total for state, size in states.items()}
    disk = _told(psutil.disk_io_counters)
    if disk is not None:
        values[names.SYSTEM_DISK_IO.name] = {"read": disk.read_bytes, "write": disk.write_bytes}
    network = _told(psutil.net_io_counters)
    if network is not None:
        values[names.SYSTEM_NETWORK_IO.name] = {"transmit": network.bytes_sent, "receive": network.bytes_recv}
    return values


def _of_gc() -> dict[str, Values]:
    generations = list(enumerate(gc.get_stats()))
    return {
        metric.name: {number: stats[key] for number, stats in generations}
        for metric, key in (
            (names.GC_COLLECTIONS, "collections"),
            (names.GC_COLLECTED, "collected"),
            (names.GC_UNCOLLECTABLE, "uncollectable"),
        )
    }


def _available_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity is not None else os.cpu_count()) or 1


def _utilization(before: _Look, now: _Look) -> dict[str, Values]:
    """Shares of CPU time between two looks, each between 0 and 1."""
    values: dict[str, Values] = {}
    elapsed = now.at - before.at
    spent = _spent(names.PROCESS_CPU_TIME.name, before, now)
    if spent and elapsed > 0:
        available = elapsed * _available_cpus()
        values[names.PROCESS_CPU_UTILIZATION.name] = {mode: min(1.0, seconds / available) for mode, seconds in spent.items()}
    spent = _spent(names.SYSTEM_CPU_TIME.name, before, now)
    total = sum(spent.values())
    if total > 0:
        values[names.SYSTEM_CPU_UTILIZATION.name] = {mode: seconds / total for mode, seconds in spent.items()}
    return values


def _spent(name: str, before: _Look, now: _Look) -> Values:
    earlier = before.values.get(name, {})
    return {mode: max(0.0, seconds - earlier.get(mode, 0.0)) for mode, seconds in now.values.get(name, {}).items()}
