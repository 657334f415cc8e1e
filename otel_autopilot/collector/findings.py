"""What rules find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from otel_autopilot.collector.configuration import Configuration
from otel_autopilot.collector.nodes import Mark


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake: where it is, by which rule, and what to do about it."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


#: What a rule yields: a place and a message.
Problems: TypeAlias = Iterator[tuple[Mark, str]]
#: A rule; its function's name, with hyphens, is the name of the rule.
Rule: TypeAlias = Callable[[Configuration], Iterable[tuple[Mark, str]]]


def rule_name(rule: Rule) -> str:
    """The name that findings give: `bind_all` is bind-all."""
    return str(getattr(rule, "__name__", "")).replace("_", "-")
