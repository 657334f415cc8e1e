"""A configuration as nodes, each of which knows the file and the line that it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

#: What Go's time.ParseDuration takes as one step, in seconds.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place: a file as the user named it, and a line that counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A single value.

    ``raw`` is what stands in the file, ``text`` what becomes of it once variables are resolved. ``known`` is false when a
    variable has neither a value nor a default here, ``assumed`` is true when a default was taken for one. ``null`` tells an empty
    value from an empty string.
    """

    mark: Mark
    raw: str
    text: str
    null: bool = False
    known: bool = True
    assumed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A key of a mapping, where it stands, and its value."""

    key: str
    mark: Mark
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """A map in the order of the file."""

    mark: Mark
    entries: dict[str, Entry]


Node: TypeAlias = Scalar | Sequence | Mapping


def entry(node: Node | None, *path: str) -> Entry | None:
    """The entry that the path of keys leads to, if every step of it is there."""
    found: Entry | None = None
    for key in path:
        if not isinstance(node, Mapping) or key not in node.entries:
            return None
        found = node.entries[key]
        node = found.value
    return found


def value(node: Node | None, *path: str) -> Node | None:
    """The value at a path of keys; an empty value counts as none."""
    found = entry(node, *path)
    if found is None or (isinstance(found.value, Scalar) and found.value.null):
        return None
    return found.value


def entries(node: Node | None) -> tuple[Entry, ...]:
    """The entries of a mapping; none of anything else."""
    return tuple(node.entries.values()) if isinstance(node, Mapping) else ()


def items(node: Node | None) -> tuple[Node, ...]:
    """The items of a list; a single value is a list of one, as the Collector takes it."""
    if isinstance(node, Sequence):
        return node.items
    return (node,) if isinstance(node, Scalar) and not node.null else ()


def scalars(node: Node | None) -> Iterator[Scalar]:
    """Every single value at any depth below a node."""
    for _, scalar in keyed_scalars(node):
        yield scalar


def keyed_scalars(node: Node | None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Scalar]]:
    """Every single value at any depth, with the keys that lead to it."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from keyed_scalars(item, path)
    elif isinstance(node, Mapping):
        for each in node.entries.values():
            yield from keyed_scalars(each.value, (*path, each.key))


def mappings(node: Node | None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """Every mapping at any depth, with the keys that lead to it."""
    if isinstance(node, Sequence):
        for item in node.items:
            yield from mappings(item, path)
    elif isinstance(node, Mapping):
        yield path, node
        for each in node.entries.values():
            yield from mappings(each.value, (*path, each.key))


def text(node: Node | None) -> str | None:
    """The text of a single value; None of anything else, and of what isn't known here."""
    return node.text if isinstance(node, Scalar) and node.known and not node.null else None


def flag(node: Node | None, default: bool) -> bool | None:
    """A boolean, the default where nothing is set, None where the value isn't known here."""
    if node is None:
        return default
    if not isinstance(node, Scalar) or not node.known:
        return None
    return {"true": True, "false": False}.get(node.text.lower())


def number(node: Node | None, default: float) -> float | None:
    """A number, the default where nothing is set, None where the value isn't known here or no number."""
    if node is None:
        return default
    try:
        return float(text(node) or "")
    except ValueError:
        return None


def seconds(node: Node | None, default: float) -> float | None:
    """A duration as Go writes it, in seconds; the default where nothing is set, None where it isn't known here.

    A bare number counts nanoseconds, as the Collector takes it.
    """
    if node is None:
        return default
    written = text(node)
    if written is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", written):
        return int(written) * 1e-9
    steps = _DURATION.findall(written)
    if not steps or "".join(amount + unit for amount, unit in steps) != written:
        return None
    return float(sum(float(amount) * _UNITS[unit] for amount, unit in steps))
