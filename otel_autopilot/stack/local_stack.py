"""The stack on this machine: started in the background, looked at, stopped. Collector, Jaeger and Prometheus on loopback."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otel_autopilot.errors import SettingsError, StackError
from otel_autopilot.stack.binaries import Binary
from otel_autopilot.stack.components import COMPONENT, COMPONENTS, Component, Plan
from otel_autopilot.stack.configuration import collector_folder, effective_prometheus
from otel_autopilot.stack.containers import Containers
from otel_autopilot.stack.interrupts import Interrupts
from otel_autopilot.stack.lock import locked
from otel_autopilot.stack.ports import PORTS, check_free, choose
from otel_autopilot.stack.processes import ProcessRef, spawn, stop
from otel_autopilot.stack.state import Running, State, load_state
from otel_autopilot.stack.ways import Way, choose_way

#: How long a component may take to be healthy, in seconds.
START_SECONDS = 60.0
#: How long a component may take to end after SIGTERM, in seconds: the Collector sends what it holds in memory.
STOP_SECONDS = 20.0
#: Seconds between two health checks of a component that starts.
LOOK_SECONDS = 0.1
#: Logs of earlier starts that are kept of each component.
OLD_LOGS = 3
#: How much of a log an error shows.
LOG_LINES = 20


@dataclass(frozen=True)
class ComponentStatus:
    """How a component does."""

    component: str
    title: str
    healthy: bool
    pid: int | None
    version: str | None
    addresses: dict[str, str]
    """Its URLs by the names of their ports: ``otlp_grpc``, ``otlp_http``, ``jaeger``, ``prometheus``."""
    uptime_seconds: float | None
    binary: str | None
    origin: str | None
    """Where the binary came from: ``cache``, ``built``, ``PATH``, a variable, ``container``."""
    log: str | None


class LocalStack:
    """The stack that keeps its state in ``folder``. Every change is made under a lock: a second one waits for the first.

    ``say`` is told what happens, a line at a time.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], configuration: Path | None = None) -> None:
        self.folder = folder
        self._say = say
        self._interrupts = Interrupts()
        self._configuration = configuration or collector_folder()

    def up(self, asked: Mapping[str, int], overlays: Sequence[Path] = (), forced: Way | None = None) -> list[ComponentStatus]:
        """Start what doesn't run and wait until all of it is healthy; what runs already is left alone.

        ``asked`` are ports that somebody chose (see `ports.asked_for`), ``overlays`` configurations of the Collector that are
        merged over ours. Raises PortBusy, BuildError, SettingsError when a running stack differs from what is asked, and
        StackError with the end of its log when a component doesn't start; what was started by then is stopped again.
        """
        for file in overlays:
            if not file.is_file():
                raise SettingsError(f"--config: expected a file, {file} is none")
        files = [str(file.absolute()) for file in overlays]
        with self._locked(), self._interrupts.watched():
            state = load_state(self._state_file)
            if state is None or (state.way == "binaries" and not state.alive()):
                state = State("binaries", choose(asked), files)
            else:
                _check_same(state, asked, files, forced)
            if state.way == "binaries":
                self._up(state, forced)
            else:
                self._containers().up(state.ports)
            return self._look(state)

    def down(self, *, erase: bool) -> list[str]:
        """Stop what runs, the Collector first; with ``erase`` remove all that it kept. Returns what was stopped."""
        if not self.folder.exists():
            return []
        with self._locked():
            state = load_state(self._state_file)
            if state is None:
                stopped = []
            elif state.way == "containers":
                self._containers().down(state.ports, erase=erase)
                stopped = ["containers"]
            else:
                stopped = self._stop(state, state.alive())
            self._state_file.unlink(missing_ok=True)
            if erase:
                for item in self.folder.iterdir():
                    if item.is_dir():
                        shutil.rmtree(item)
                    elif item != self._lock_file:
                        item.unlink()
        return stopped

    def status(self) -> list[ComponentStatus]:
        """How each component does; none runs where none was started."""
        state = load_state(self._state_file)
        return [] if state is None else self._look(state)

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def _lock_file(self) -> Path:
        return self.folder / "lock"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with locked(self._lock_file, lambda: self._say("another `stack` command is at work; waiting for it")):
            yield

    def _plan(self, state: State) -> Plan:
        return Plan(self.folder, self._configuration, state.ports, tuple(Path(file) for file in state.overlays))

    def _containers(self) -> Containers:
        containers, why_not = Containers.find(self._configuration)
        if containers is None:
            raise StackError(f"the stack runs in containers, and they can't be reached: {why_not}")
        return containers

    def _up(self, state: State, forced: Way | None) -> None:
        alive = state.alive()
        wanted = [component for component in COMPONENTS if component.name not in alive]
        plan = self._plan(state)
        if not wanted:
            self._say("the stack runs already")
        else:
            chosen = choose_way(wanted, plan, forced, self._say, whole=not alive)
            if chosen.containers is not None:
                self._up_in_containers(chosen.containers, state)
                return
            check_free(state.ports, [component.name for component in wanted])  # now: a build may have taken minutes
            _prepare(plan)
            started: set[str] = set()
            try:
                for component in wanted:
                    started.add(component.name)
                    self._start(component, chosen.binaries[component.name], plan, state)
                self._await(wanted, plan, state, self._say)
            except BaseException:
                self._say(f"stopped again: {', '.join(self._stop(state, started))}")
                raise
        self._await(COMPONENTS, plan, state, lambda _: None)

    def _up_in_containers(self, containers: Containers, state: State) -> None:
        if state.overlays:
            raise SettingsError("--config: expected none where the stack runs in containers; edit compose.yaml's command instead")
        state.way = "containers"
        state.save(self._state_file)
        try:
            containers.up(state.ports)
        except BaseException:
            containers.down(state.ports, erase=False)
            self._state_file.unlink()
            raise

    def _start(self, component: Component, binary: Binary, plan: Plan, state: State) -> None:
        log = component.log(plan)
        _rotate(log)
        command = [binary.path, *component.arguments(plan)]
        with self._interrupts.wait():
            try:
                process = spawn(command, environment=component.environment(plan), folder=self.folder, log=log)
            except OSError as error:
                raise StackError(f"{component.title}: {binary.path} can't be started: {error.strerror}") from error
            state.components[component.name] = Running(process, binary, time.time())
            state.save(self._state_file)

    def _await(self, components: Sequence[Component], plan: Plan, state: State, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        waiting = list(components)
        while waiting:
            self._interrupts.check()
            for component in list(waiting):
                process = state.components[component.name].process
                if not process.alive:
                    code = process.exit_code
                    how = "ended" if code is None else f"ended with exit code {code}"
                    raise StackError(f"{component.title} {how} before it was ready; its log {_tail(component.log(plan))}")
                if component.healthy(plan):
                    waiting.remove(component)
                    say(f"{component.title} is healthy after {time.monotonic() - began:.1f} s")
                elif time.monotonic() - began > START_SECONDS:
                    raise StackError(
                        f"{component.title} was not healthy after {START_SECONDS:.0f} s; its log {_tail(component.log(plan))}"
                    )
            if waiting:
                time.sleep(LOOK_SECONDS)

    def _stop(self, state: State, names: set[str]) -> list[str]:
        """Stop those and forget them: the Collector first, since it sends to the others what it still holds."""
        stopped = []
        for group in (("collector",), ("jaeger", "prometheus")):
            running: dict[str, ProcessRef] = {
                name: state.components[name].process for name in group if name in names and name in state.components
            }
            killed = stop(list(running.values()), STOP_SECONDS)
            for name, process in running.items():
                if process in killed:
                    self._say(f"{COMPONENT[name].title} did not end within {STOP_SECONDS:.0f} s and was killed")
                stopped.append(COMPONENT[name].title)
                del state.components[name]
        if state.components:
            state.save(self._state_file)
        else:
            self._state_file.unlink(missing_ok=True)
        return stopped

    def _look(self, state: State) -> list[ComponentStatus]:
        plan = self._plan(state)
        if state.way == "containers":
            return _in_containers(self._containers().status(state.ports), plan)
        return [_status(component, state.components.get(component.name), plan) for component in reversed(COMPONENTS)]


def _check_same(state: State, asked: Mapping[str, int], overlays: list[str], forced: Way | None) -> None:
    """A running stack can't be moved: say so instead of ignoring what was asked."""
    if forced is not None and (forced is Way.CONTAINERS) != (state.way == "containers"):
        raise SettingsError(f"--from {forced}: the stack runs already, as {state.way}; stop it first: otel-autopilot stack down")
    for port in PORTS:
        wanted = asked.get(port.name, 0)
        if wanted not in (0, state.ports[port.name]):
            raise SettingsError(
                f"{port.option or port.variable} {wanted}: the stack runs already, with {state.ports[port.name]} for {port.purpose}; "
                "stop it first: otel-autopilot stack down"
            )
    if overlays and overlays != state.overlays:
        raise SettingsError("--config: the stack runs already with other files; stop it first: otel-autopilot stack down")


def _prepare(plan: Plan) -> None:
    """Make the folders, and Prometheus' configuration with the ports in force."""
    for folder in (plan.logs, *(plan.data / name for name in ("collector", "jaeger", "prometheus", "logs"))):
        folder.mkdir(parents=True, exist_ok=True)
    moved = {port.number: plan.ports[port.name] for port in PORTS}
    plan.prometheus_file.write_text(effective_prometheus(plan.configuration / "prometheus.yaml", moved))


def _rotate(log: Path) -> None:
    """Move what earlier starts wrote out of the way, and drop the oldest."""
    for number in range(OLD_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)


def _tail(log: Path) -> str:
    """Where the log is and how it ends."""
    if not log.exists():
        return f"{log} is not there"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    return f"{log} ends:\n" + "\n".join(f"  {line}" for line in lines) if lines else f"{log} is empty"


def _status(component: Component, running: Running | None, plan: Plan) -> ComponentStatus:
    alive = running is not None and running.process.alive
    addresses = {port: plan.url(port) for port in component.addresses}
    log = str(component.log(plan))
    if running is None:
        return ComponentStatus(component.name, component.title, False, None, None, addresses, None, None, None, log)
    return ComponentStatus(
        component.name,
        component.title,
        healthy=alive and component.healthy(plan),
        pid=running.process.pid if alive else None,
        version=running.binary.version,
        addresses=addresses,
        uptime_seconds=max(0.0, time.time() - running.since) if alive else None,
        binary=running.binary.path,
        origin=running.binary.origin,
        log=log,
    )


def _in_containers(healthy: Mapping[str, bool], plan: Plan) -> list[ComponentStatus]:
    return [
        ComponentStatus(
            name, COMPONENT[name].title if name in COMPONENT else name, state, None, None,
            {port: plan.url(port) for port in COMPONENT[name].addresses} if name in COMPONENT else {},
            None, None, "container", None,
        )
        for name, state in healthy.items()
    ]  # fmt: skip
