"""One configuration laid over another, as `--config A --config B` does it: maps merge, anything else is replaced.

The Collector merges before it resolves includes: a map laid over `${file:...}` replaces the whole include.
"""

from __future__ import annotations

from dataclasses import dataclass

from otel_autopilot.collector.nodes import Entry, Mapping, Mark, Node


@dataclass(frozen=True)
class Replaced:
    """A value of an earlier file that a later one replaced: where in the configuration, and by what."""

    path: tuple[str, ...]
    mark: Mark
    before: Node
    after: Node


def merge(base: Mapping, overlay: Mapping) -> tuple[Mapping, list[Replaced]]:
    """The configuration that results, and what was replaced on the way."""
    replaced: list[Replaced] = []
    return _merge(base, overlay, (), replaced), replaced


def _merge(base: Mapping, overlay: Mapping, path: tuple[str, ...], replaced: list[Replaced]) -> Mapping:
    entries = dict(base.entries)
    for key, later in overlay.entries.items():
        earlier = entries.get(key)
        if earlier is None:
            entries[key] = later
        elif isinstance(earlier.value, Mapping) and isinstance(later.value, Mapping):
            entries[key] = Entry(key, earlier.mark, _merge(earlier.value, later.value, (*path, key), replaced))
        else:
            replaced.append(Replaced((*path, key), later.mark, earlier.value, later.value))
            entries[key] = later
    return Mapping(base.mark, entries)
