"""YAML to nodes.

Built from parser events rather than from PyYAML's own composer, which calls itself for each level: a file that nests deeply
or repeats aliases of aliases gets an error with a line, in time that is linear in its length. Nothing is constructed from tags.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from otel_autopilot.collector.nodes import Entry, Mapping, Mark, Node, Scalar, Sequence
from otel_autopilot.errors import CollectorError

#: The parser in C is ten times as quick, where PyYAML was built with it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Levels of maps and lists; the Collector's own go to about ten.
DEPTH_LIMIT = 60
#: Nodes of one document once its aliases are written out: a configuration of several thousand lines has some ten thousand.
NODE_LIMIT = 200_000
#: Bytes of a file.
SIZE_LIMIT = 8_000_000


class NotYaml(CollectorError):
    """The text isn't YAML at all."""


@dataclass
class _Open:
    """A map or list that isn't closed yet."""

    mark: Mark
    anchor: str | None
    is_map: bool
    children: list[tuple[Node, Mark]] = field(default_factory=list)
    weight: int = 1


def read(text: str, file: str) -> Node:
    """The first document in a text as nodes; ``file`` is the name that errors and findings give.

    Raises NotYaml where the text isn't YAML, CollectorError where it holds more than one document, repeats a key, nests too deeply or grows
    too large by its aliases.
    """
    try:
        return _Reader(file).read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        indented = "".join(text.splitlines()[line - 1 : line]).lstrip(" ")
        problem = "got a tab: indent with spaces" if indented.startswith("\t") else error.problem or error.context
        raise NotYaml(f"{file}:{line}: expected YAML: {problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise NotYaml(f"{file}:1: expected YAML: {str(error).splitlines()[0] if str(error) else 'unreadable'}") from error


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._root: Node | None = None
        self._weight = 0

    def read(self, text: str) -> Node:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            start = event.start_mark
            mark = Mark(self._file, start.line + 1 if start else 1)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise CollectorError(
                        f"{mark}: expected one YAML document, got another: the Collector reads the first only, "
                        "so give each a file of its own"
                    )
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self._anchors:
                    raise CollectorError(f"{mark}: expected an anchor that is complete before its alias, got *{event.anchor}")
                node, weight = self._anchors[event.anchor]
                self._add(node, mark, weight)
            elif isinstance(event, yaml.ScalarEvent):
                null = event.style in (None, "") and event.value in ("", "~", "null", "Null", "NULL") and event.implicit[0]
                self._close(Scalar(mark, event.value, event.value, null=null), mark, event.anchor, 1)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if len(self._open) >= DEPTH_LIMIT:
                    raise CollectorError(f"{mark}: expected at most {DEPTH_LIMIT} levels of nesting, got more")
                self._open.append(_Open(mark, event.anchor, isinstance(event, yaml.MappingStartEvent)))
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                done = self._open.pop()
                node = self._mapping(done) if done.is_map else Sequence(done.mark, tuple(item for item, _ in done.children))
                self._close(node, done.mark, done.anchor, done.weight)
        return self._root or Scalar(Mark(self._file, 1), "", "", null=True)

    def _close(self, node: Node, mark: Mark, anchor: str | None, weight: int) -> None:
        if anchor:
            self._anchors[anchor] = (node, weight)
        self._add(node, mark, weight)

    def _add(self, node: Node, mark: Mark, weight: int) -> None:
        if weight > NODE_LIMIT:
            raise CollectorError(f"{mark}: expected at most {NODE_LIMIT:,} values once aliases are written out, got more")
        if self._open:
            self._open[-1].children.append((node, mark))
            self._open[-1].weight += weight
        else:
            self._root = node

    def _mapping(self, done: _Open) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        pairs = zip(done.children[::2], done.children[1::2], strict=True)
        for (key, mark), (content, _) in pairs:
            if not isinstance(key, Scalar):
                raise CollectorError(f"{mark}: expected text as a key, got a {'map' if isinstance(key, Mapping) else 'list'}")
            if key.raw == "<<":
                merged.append(content)
            elif key.raw in entries:
                first = entries[key.raw].mark.line
                raise CollectorError(f"{mark}: expected each key once, got {key.raw!r} again (first in line {first})")
            else:
                entries[key.raw] = Entry(key.raw, mark, content)
        for content in merged:
            for source in content.items if isinstance(content, Sequence) else (content,):
                if not isinstance(source, Mapping):
                    raise CollectorError(f"{done.mark}: expected a map behind `<<`, got something else")
                for each in source.entries.values():
                    entries.setdefault(each.key, each)
        return Mapping(done.mark, entries)
