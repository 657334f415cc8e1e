"""Variables and includes: `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`, each also inside another; `$$` is a dollar.

Follows confmap's expand.go of the Collector. A file is looked for from the working directory, as the Collector does, and then
beside the file that includes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as Variables
from dataclasses import dataclass, replace
from pathlib import Path

from otel_autopilot.collector.nodes import Entry, Mapping, Mark, Node, Scalar, Sequence
from otel_autopilot.collector.reading import NODE_LIMIT, SIZE_LIMIT, read
from otel_autopilot.collector.secret_keys import holds_secret
from otel_autopilot.errors import CollectorError

#: Includes within includes.
_INCLUDE_LIMIT = 20
#: References within references.
_REFERENCE_LIMIT = 20
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Text:
    """What became of a text: ``include`` is set where the whole of it is one included file."""

    text: str
    known: bool = True
    include: Node | None = None
    files: tuple[Path, ...] = ()


class Expander:
    """Resolves what a configuration refers to; keeps the text of every file read."""

    def __init__(self, variables: Variables[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._parsed: dict[Path, Node] = {}
        self._budget = NODE_LIMIT
        #: The text of each file that was read, by the name that findings give.
        self.sources: dict[str, str] = {}

    def load(self, file: str) -> Node:
        """Read a file named on the command line; raises CollectorError where it can't be."""
        return self._load(Path(file), file)

    def expand(self, node: Node) -> Node:
        """The node with everything resolved; raises CollectorError where an include is missing or includes itself."""
        self._budget = NODE_LIMIT
        return self._expand(node, (), ())

    def _load(self, path: Path, file: str) -> Node:
        if path not in self._parsed:
            try:
                if path.is_file() and path.stat().st_size > SIZE_LIMIT:
                    raise CollectorError(f"{file}: expected at most {SIZE_LIMIT:,} bytes, got {path.stat().st_size:,}")
                content = path.read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or str(error)
                raise CollectorError(f"{file}: expected a file of YAML, got none: {why}") from error
            self.sources[file] = content
            self._parsed[path] = read(content, file)
        return self._parsed[path]

    def _expand(self, node: Node, keys: tuple[str, ...], files: tuple[Path, ...]) -> Node:
        self._budget -= 1
        if self._budget < 0:
            raise CollectorError(f"{node.mark}: expected at most {NODE_LIMIT:,} values with all includes, got more")
        if isinstance(node, Mapping):
            return Mapping(
                node.mark,
                {
                    key: Entry(key, entry.mark, self._expand(entry.value, (*keys, key), files))
                    for key, entry in node.entries.items()
                },
            )
        if isinstance(node, Sequence):
            return Sequence(node.mark, tuple(self._expand(item, keys, files) for item in node.items))
        if "$" not in node.raw:
            return node
        try:
            result = self._text(node.raw, node.mark, keys, files, 0)
        except RecursionError as error:
            raise CollectorError(f"{node.mark}: expected fewer references within references") from error
        if result.include is not None and not isinstance(result.include, Scalar):
            return result.include
        if result.include is not None:  # a secret or a word from a file: it stands where the reference stands
            return replace(node, text=result.include.text, known=result.include.known, null=result.include.null)
        whole = node.raw.startswith("${") and result.known and result.text == ""
        return replace(node, text=result.text, known=result.known, null=whole)

    def _text(self, raw: str, mark: Mark, keys: tuple[str, ...], files: tuple[Path, ...], depth: int) -> _Text:
        if depth > _REFERENCE_LIMIT:
            raise CollectorError(f"{mark}: expected at most {_REFERENCE_LIMIT} references within references, got more")
        parts: list[str] = []
        known = True
        index = 0
        while index < len(raw):
            if raw.startswith("$$", index):
                parts.append("$")
                index += 2
            elif raw.startswith("${", index) and (end := _closing(raw, index)) > 0:
                inner = self._text(raw[index + 2 : end], mark, keys, files, depth + 1)
                if inner.known:
                    found = self._refer(inner.text, mark, keys, files, depth)
                    if found.include is not None and index == 0 and end == len(raw) - 1:
                        return found
                    known = known and found.known
                    parts.append(found.text)
                else:
                    known = False
                index = end + 1
            else:
                parts.append(raw[index])
                index += 1
        return _Text("".join(parts), known)

    def _refer(self, reference: str, mark: Mark, keys: tuple[str, ...], files: tuple[Path, ...], depth: int) -> _Text:
        match = _SCHEME.fullmatch(reference)
        scheme, rest = (match[1], match[2]) if match else ("env", reference)
        if scheme == "env":
            name, _, default = rest.partition(":-")
            if name in self._variables:
                return self._text(self._variables[name], mark, keys, files, depth + 1)
            return _Text(default, known=":-" in rest)
        if scheme == "file":
            return self._include(rest, mark, keys, files)
        return _Text("", known=False)  # yaml:, http: and others are not followed

    def _include(self, name: str, mark: Mark, keys: tuple[str, ...], files: tuple[Path, ...]) -> _Text:
        path, shown = Path(name), name
        if not path.is_file() and not path.is_absolute():
            beside = Path(mark.file).parent / name
            if beside.is_file():
                path, shown = beside, str(beside)
        if not path.is_file():
            if keys and holds_secret(keys):
                return _Text("", known=False)  # a secret is only where the Collector runs; missing-file speaks of it
            raise CollectorError(f"{mark}: expected the file {name} to include, got no such file here or beside {mark.file}")
        resolved = path.resolve()
        if resolved in files or len(files) >= _INCLUDE_LIMIT:
            raise CollectorError(f"{mark}: expected an include that ends, got {name}, which includes itself")
        if keys and holds_secret(keys):
            return _Text(path.read_text(encoding="utf-8", errors="replace").strip()[:1000])
        node = self._expand(self._load(path, _short(shown)), keys, (*files, resolved))
        return _Text(node.text if isinstance(node, Scalar) else "", include=node)


def _short(name: str) -> str:
    return os.path.normpath(name)


def _closing(raw: str, start: int) -> int:
    """Where the `${` at ``start`` is closed; -1 where it isn't."""
    depth = 0
    index = start
    while index < len(raw):
        if raw.startswith("${", index):
            depth += 1
            index += 2
        elif raw[index] == "}":
            depth -= 1
            if depth == 0:
                return index
            index += 1
        else:
            index += 1
    return -1
