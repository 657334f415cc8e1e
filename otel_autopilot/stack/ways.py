"""Which way the stack is started: binaries that are there, containers, or a build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from otel_autopilot.errors import StackError
from otel_autopilot.stack.binaries import Binary, built, present
from otel_autopilot.stack.build import source_of
from otel_autopilot.stack.components import Component, Plan
from otel_autopilot.stack.containers import Containers


class Way(StrEnum):
    """What ``--from`` takes."""

    BINARIES = "binaries"
    CONTAINERS = "containers"
    BUILD = "build"


@dataclass(frozen=True)
class Chosen:
    """The way taken: containers, or a binary for each component."""

    containers: Containers | None
    binaries: dict[str, Binary]


def choose_way(
    wanted: Sequence[Component], plan: Plan, forced: Way | None, say: Callable[[str], None], *, whole: bool = True
) -> Chosen:
    """Prefer what is there, then containers, then a build; ``say`` is told which way was taken and why.

    Containers are for a ``whole`` stack only, not for what is missing beside processes that run.

    Raises StackError when the way that is forced leads nowhere, BuildError when a build fails, SettingsError when a variable
    names no executable.
    """
    if forced is Way.CONTAINERS:
        return Chosen(_containers(plan), {})
    found: dict[str, Binary] = {}
    missing: dict[str, list[str]] = {}
    for component in wanted:
        binary, passed_over = (None, []) if forced is Way.BUILD else present(component, plan)
        if binary is None:
            missing[component.name] = passed_over
        else:
            found[component.name] = binary
            reasons = f" ({'; '.join(passed_over)})" if passed_over else ""
            say(f"{component.title} {binary.version} from {_from(binary)}{reasons}")
    if not missing:
        return Chosen(None, found)
    reasons = "\n".join(f"  {name}: {'; '.join(why)}" for name, why in missing.items())
    if forced is Way.BINARIES:
        raise StackError(f"no binary that will do:\n{reasons}\nbuild them by `otel-autopilot stack up --from build`")
    if forced is None:
        say(f"no binary that will do:\n{reasons}")
        containers, why_not = Containers.find(plan.configuration) if whole else (None, "the others run as processes")
        if containers is not None:
            say(f"taking containers by {containers.engine}")
            return Chosen(containers, {})
        minutes = sum(source_of(component.binary).minutes for component in wanted if component.name in missing)
        say(f"no containers either: {why_not}\nbuilding, about {minutes:.0f} minutes on two cores, once")
    for component in wanted:
        if component.name in missing:
            found[component.name] = built(component)
            say(f"{component.title} {found[component.name].version} from {_from(found[component.name])}")
    return Chosen(None, found)


def _containers(plan: Plan) -> Containers:
    containers, why_not = Containers.find(plan.configuration)
    if containers is None:
        raise StackError(f"no containers can be started: {why_not}")
    return containers


def _from(binary: Binary) -> str:
    return {"cache": "the cache", "built": "the cache (built just now)", "PATH": binary.path}.get(
        binary.origin, f"{binary.origin} ({binary.path})"
    )
