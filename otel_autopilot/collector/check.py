"""Checking files: which belong together, what the rules find in each configuration, what comments allow."""

from __future__ import annotations

from collections.abc import Mapping as Variables
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from otel_autopilot.collector.configuration import Configuration
from otel_autopilot.collector.expansion import Expander
from otel_autopilot.collector.findings import Finding
from otel_autopilot.collector.merging import Replaced, merge
from otel_autopilot.collector.nodes import Mapping, value
from otel_autopilot.collector.rules import RULES
from otel_autopilot.collector.suppressions import suppress
from otel_autopilot.errors import CollectorError


def check(files: Sequence[str], *, merge_all: bool = False, variables: Variables[str, str] | None = None) -> list[Finding]:
    """What is wrong with the configurations in these files, sorted by file and line.

    A file that is whole by itself is checked by itself; files after it that are not whole are laid over it, as `--config A
    --config B` does. ``merge_all`` lays every file over the first. ``variables`` are the environment's unless given.

    Raises CollectorError where a file or an include can't be read or isn't a Collector's configuration.
    """
    expander = Expander(variables)
    found: set[Finding] = set()
    try:
        for group in _groups(files, expander, merge_all):
            config = _configuration(group, expander)
            for name, rule in RULES.items():
                found |= {Finding(mark.file, mark.line, name, message) for mark, message in rule(config)}
    except RecursionError as error:
        raise CollectorError(f"{files[0]}: expected fewer levels of nesting, those of aliases and includes counted") from error
    return suppress(found, expander.sources, RULES)


def _groups(files: Sequence[str], expander: Expander, merge_all: bool) -> list[list[Mapping]]:
    groups: list[list[Mapping]] = []
    for file in files:
        node = expander.load(file)
        resolved = expander.expand(node, _folders(groups[-1]) if groups else ())
        config = Configuration.of(resolved)
        content = node if isinstance(node, Mapping) else resolved
        assert isinstance(content, Mapping)
        if not groups or (config.whole and not merge_all):
            groups.append([content])
        else:
            groups[-1].append(content)
    return groups


def _configuration(group: list[Mapping], expander: Expander) -> Configuration:
    merged, replaced, used_before = group[0], list[Replaced](), frozenset[tuple[str, str]]()
    folders = _folders(group)
    for overlay in group[1:]:
        used_before |= Configuration.of(expander.expand(merged, folders)).used_names
        merged, more = merge(merged, overlay)
        replaced += more
    root = expander.expand(merged, folders)
    if value(root, "service", "pipelines") is None:
        raise CollectorError(
            f"{root.mark}: expected a Collector configuration with service.pipelines, got none: "
            "give the file that it is laid over before it, or --merge"
        )
    config = Configuration.of(
        root,
        tuple(
            replace(each, before=expander.expand(each.before, folders), after=expander.expand(each.after, folders))
            for each in replaced
        ),
        tuple(expander.verbatim.items()),
        used_before,
    )
    return replace(config, overlays=frozenset(overlay.mark.file for overlay in group[1:]))


def _folders(group: list[Mapping]) -> tuple[Path, ...]:
    """Where the files of a configuration are: an overlay's includes are beside the file that it is laid over."""
    return tuple(dict.fromkeys(Path(each.mark.file).parent for each in group))
