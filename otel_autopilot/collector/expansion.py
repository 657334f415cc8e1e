"""Variables and includes: `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`, each also inside another; `$$` is a dollar.

Follows confmap's expand.go of the Collector. A file is looked for from the working directory, as the Collector does, then beside
the file that includes it, and then beside those that this one is laid over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as Variables
from dataclasses import dataclass, replace
from pathlib import Path

from otel_autopilot.collector.nodes import Entry, Mapping, Mark, Node, Scalar, Sequence
from otel_autopilot.collector.reading import NODE_LIMIT, SIZE_LIMIT, NotYaml, read
from otel_autopilot.collector.secret_keys import holds_secret
from otel_autopilot.errors import CollectorError

#: Includes within includes.
_INCLUDE_LIMIT = 20
#: References within references.
_REFERENCE_LIMIT = 20
#: Values that aren't text: numbers, booleans, nothing.
_TYPED = re.compile(r"|~|null|true|false|[-+]?[0-9][0-9_.eE+-]*", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Text:
    """What became of a text: ``include`` is set where the whole of it is one included file."""

    text: str
    known: bool = True
    assumed: bool = False
    include: Node | None = None


@dataclass(frozen=True)
class _Place:
    """Where a text stands: its mark, the keys that lead to it, the files included so far and the folders they are in."""

    mark: Mark
    keys: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether the value there is a secret."""
        return bool(self.keys) and holds_secret(self.keys)


class Expander:
    """Resolves what a configuration refers to; keeps the text of every file read."""

    def __init__(self, variables: Variables[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._parsed: dict[Path, Node] = {}
        self._budget = NODE_LIMIT
        #: The text of each file that was read, by the name that findings give.
        self.sources: dict[str, str] = {}
        #: Included files that the Collector takes as they are, though they hold more than their value.
        self.verbatim: dict[Mark, str] = {}

    def load(self, file: str) -> Node:
        """Read a file named on the command line; raises CollectorError where it can't be."""
        return self._load(Path(file), file)

    def expand(self, node: Node, folders: tuple[Path, ...] = ()) -> Node:
        """The node with everything resolved; ``folders`` are where includes are looked for last.

        Raises CollectorError where an include is missing or includes itself.
        """
        self._budget = NODE_LIMIT
        return self._expand(node, _Place(node.mark, folders=folders))

    def _load(self, path: Path, file: str) -> Node:
        if path not in self._parsed:
            self.sources[file] = content = _content(path, file)
            self._parsed[path] = read(content, file)
        return self._parsed[path]

    def _load_included(self, path: Path, file: str) -> Node:
        """As `load`, but a text that is one string, or no YAML, is taken verbatim: NewRetrievedFromYAML of confmap does so."""
        if path in self._parsed:
            return self._parsed[path]
        mark = Mark(file, 1)
        try:
            node = self._load(path, file)
        except NotYaml as error:
            content = self.sources[file]
            if "\n" in content or content.startswith(("#", "'", '"')):  # else it is a bare value, which needn't be YAML
                self.verbatim[mark] = (
                    f"the Collector takes this file as it is, as one text with its comments and line breaks: {str(error).partition(': ')[2]}"
                )
            node = Scalar(mark, content, content)
            self._parsed[path] = node
            return node
        if isinstance(node, Scalar) and not _TYPED.fullmatch(node.raw):
            content = self.sources[file]
            if content != node.raw:
                what = "a line break at the end" if content.rstrip("\r\n") == node.raw else "comments, quotes and line breaks"
                self.verbatim[mark] = (
                    f"the Collector takes a file that is one text as it is, with {what}: write the bare value only"
                )
            node = Scalar(mark, content, content)
        self._parsed[path] = node
        return node

    def _expand(self, node: Node, place: _Place) -> Node:
        self._budget -= 1
        if self._budget < 0:
            raise CollectorError(f"{node.mark}: expected at most {NODE_LIMIT:,} values with all includes, got more")
        if isinstance(node, Mapping):
            inner = {
                key: Entry(key, each.mark, self._expand(each.value, replace(place, keys=(*place.keys, key))))
                for key, each in node.entries.items()
            }
            return Mapping(node.mark, inner)
        if isinstance(node, Sequence):
            return Sequence(node.mark, tuple(self._expand(item, place) for item in node.items))
        return self._scalar(node, replace(place, mark=node.mark)) if "$" in node.raw else node

    def _scalar(self, node: Scalar, place: _Place) -> Node:
        found = self._text(node.raw, place, 0)
        if found.include is not None and not isinstance(found.include, Scalar):
            return found.include
        if found.include is not None:  # a word from a file stands where the reference to it stands
            return replace(node, text=found.include.text, known=found.include.known, null=found.include.null)
        if found.known and _closings(node.raw).get(0) == len(node.raw) - 1:
            return self._typed(replace(node, text=found.text, assumed=found.assumed))
        return replace(node, text=found.text, known=found.known, assumed=found.assumed)

    def _typed(self, node: Scalar) -> Node:
        """What one whole reference stands for: the Collector reads a variable's value as YAML, so it may be a list."""
        try:
            value = read(node.text, node.mark.file)
        except CollectorError:
            return node
        return self._stand_in(value, node)

    def _stand_in(self, value: Node, node: Scalar) -> Node:
        """A value from elsewhere, at the place of the reference to it."""
        if isinstance(value, Mapping):
            entries = {key: Entry(key, node.mark, self._stand_in(each.value, node)) for key, each in value.entries.items()}
            return Mapping(node.mark, entries)
        if isinstance(value, Sequence):
            return Sequence(node.mark, tuple(self._stand_in(item, node) for item in value.items))
        return replace(node, text=value.text, null=value.null)

    def _text(self, raw: str, place: _Place, depth: int) -> _Text:
        if depth > _REFERENCE_LIMIT:
            raise CollectorError(f"{place.mark}: expected at most {_REFERENCE_LIMIT} references within references, got more")
        parts: list[str] = []
        known, assumed = True, False
        closings = _closings(raw)
        index = 0
        while index < len(raw):
            end = closings.get(index, -1)
            if raw.startswith("$$", index):
                parts.append("$")
                index += 2
            elif end > 0:
                inner = self._text(raw[index + 2 : end], place, depth + 1)
                found = self._refer(inner.text, place, depth) if inner.known else _Text("", known=False)
                if found.include is not None and (index, end) == (0, len(raw) - 1):
                    return found
                known, assumed = known and found.known, assumed or inner.assumed or found.assumed
                parts.append(found.text)
                index = end + 1
            else:
                after = raw.find("$", index + 1)
                parts.append(raw[index : after if after > 0 else len(raw)])
                index = after if after > 0 else len(raw)
        return _Text("".join(parts), known, assumed)

    def _refer(self, reference: str, place: _Place, depth: int) -> _Text:
        match = _SCHEME.fullmatch(reference)
        scheme, rest = (match[1], match[2]) if match and not reference.partition(":")[2].startswith("-") else ("env", reference)
        if scheme == "env":
            name, _, default = rest.partition(":-")
            if name in self._variables:
                return self._text(self._variables[name], place, depth + 1)
            return _Text(default, known=":-" in rest, assumed=True)
        if scheme == "file":
            return self._include(rest, place)
        return _Text("", known=False)  # yaml:, http: and others are not followed

    def _include(self, name: str, place: _Place) -> _Text:
        folders = tuple(dict.fromkeys((Path(place.mark.file).parent, *place.folders)))
        try:
            path = next((path for path in (Path(name), *(folder / name for folder in folders)) if path.is_file()), None)
        except (OSError, ValueError):
            path = None
        if path is None and place.secret:
            return _Text("", known=False)  # a secret is only where the Collector runs; missing-file speaks of it
        if path is None:
            raise CollectorError(
                f"{place.mark}: expected the file {name} to include, got no such file in the working directory or beside "
                f"{place.mark.file}"
            )
        resolved = path.resolve()
        if resolved in place.files or len(place.files) >= _INCLUDE_LIMIT:
            raise CollectorError(f"{place.mark}: expected an include that ends, got {name}, which includes itself")
        if place.secret:
            return _Text(path.read_text(encoding="utf-8", errors="replace").strip())
        content = self._load_included(path, os.path.normpath(path))
        node = self._expand(content, replace(place, files=(*place.files, resolved), folders=folders))
        return _Text(node.text if isinstance(node, Scalar) else "", include=node)


def _content(path: Path, file: str) -> str:
    if path.is_dir():
        raise CollectorError(f"{file or '(an empty name)'}: expected a file of YAML, got a folder: name the files in it")
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise CollectorError(f"{file}: expected at most {SIZE_LIMIT:,} bytes of YAML, got more")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise CollectorError(f"{file}: expected a file of YAML in UTF-8, got other bytes") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CollectorError(f"{file}: expected a file that can be read, got: {why}") from error


def _closings(raw: str) -> dict[int, int]:
    """Where each `${` of a text is closed, by where it stands; those that aren't closed are left out."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for match in re.finditer(r"\$\$|\$\{|\}", raw):
        if match[0] == "${":
            waiting.append(match.start())
        elif match[0] == "}" and waiting:
            found[waiting.pop()] = match.start()
    return found
