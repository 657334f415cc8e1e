"""Routing rules: which workflow a mail goes through.

    default: email-digest
    rules:
      - name: invoices
        workflow: email-digest
        priority: 10
        from_domain: example.com
        has_attachment: true
        attachment_type: application/pdf
        all_conditions: true

The rule with the highest priority that matches wins; of equals, the first in the file. ``all_conditions`` (the default)
asks for every condition, otherwise one is enough. A rule without conditions matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.messages import Email

#: Characters of a subject that a regular expression looks at.
SUBJECT_LIMIT = 1_000
#: Times that a repetition without a small bound may appear: each adds a power to the time that a subject can take.
_REPEATS_LIMIT = 3
#: Repetitions of a group that may hold another repetition: `(\\d{1,3}[.]){3}` does no harm.
_FEW = 4
#: More than so many repetitions count as unbounded.
_SMALL_BOUND = 20


class Rule(BaseModel):
    """One routing rule; conditions that are None are not asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    workflow: str = Field(min_length=1)
    priority: int = 0
    from_domain: str | None = None
    from_email: str | None = None
    subject_contains: str | None = None
    subject_regex: str | None = None
    has_attachment: bool | None = None
    attachment_type: str | None = None
    all_conditions: bool = True

    @field_validator("subject_regex")
    @classmethod
    def _bounded(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"expected a regular expression: {error}") from error
        if _takes_for_ever(pattern):
            raise ValueError(
                "expected a regular expression without a repetition or alternative inside a repetition, and with at most "
                f"{_REPEATS_LIMIT} repetitions: this one can take for ever"
            )
        return pattern

    def matches(self, email: Email) -> bool:
        """Whether the mail meets the rule's conditions."""
        asked = list(self._conditions(email))
        return bool(asked) and (all(asked) if self.all_conditions else any(asked))

    def _conditions(self, email: Email) -> list[bool]:
        address = email.sender.address.lower() if email.sender else ""
        domain = address.rpartition("@")[2]
        subject = email.subject[:SUBJECT_LIMIT]
        types = [part.content_type for part in email.attachments]
        names = [part.filename.lower() for part in email.attachments]
        asked: list[bool] = []
        if self.from_domain is not None:
            wanted = self.from_domain.lower().lstrip("@")
            asked.append(domain == wanted or domain.endswith("." + wanted))
        if self.from_email is not None:
            asked.append(address == self.from_email.lower())
        if self.subject_contains is not None:
            asked.append(self.subject_contains.lower() in subject.lower())
        if self.subject_regex is not None:
            asked.append(re.search(self.subject_regex, subject, re.IGNORECASE) is not None)
        if self.has_attachment is not None:
            asked.append(bool(email.attachments) is self.has_attachment)
        if self.attachment_type is not None:
            wanted = self.attachment_type.lower()
            asked.append(
                any(wanted in (kind, kind.rpartition("/")[2]) for kind in types)
                or any(name.endswith("." + wanted) for name in names)
            )
        return asked


@dataclass(frozen=True)
class Route:
    """The rule that matched and the workflow that it names."""

    rule: str
    workflow: str


class Routes:
    """Routing rules in the order in which they are tried."""

    def __init__(self, rules: tuple[Rule, ...], default: str) -> None:
        self._rules = tuple(sorted(rules, key=lambda rule: -rule.priority))
        self._default = default

    @classmethod
    def default(cls) -> Routes:
        """No rules: every mail goes through the built-in workflow."""
        return cls((), "email-digest")

    @classmethod
    def load(cls, path: Path) -> Routes:
        """Read a rules file; raises SettingsError naming file, line and field."""
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            content = yaml.safe_load(text)
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            raise SettingsError(
                f"{path}:{mark.line + 1 if mark else 1}: expected YAML: {getattr(error, 'problem', error)}"
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("rules", []), list) or set(content) - {"rules", "default"}:
            raise SettingsError(
                f"{path}:1: expected a mapping with `rules` (a list) and `default` (a workflow), got {_shape(content)}"
            )
        lines = _lines_of_rules(node)
        rules = []
        for index, item in enumerate(content.get("rules") or []):
            try:
                rules.append(Rule.model_validate(item))
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in problem["loc"]) or "rule"
                line = lines[index] if index < len(lines) else 1
                raise SettingsError(
                    f"{path}:{line}: rule {index + 1}: {where}: {problem['msg']}, got {problem.get('input')!r}"
                ) from error
        return cls(tuple(rules), str(content.get("default") or "email-digest"))

    @property
    def workflows(self) -> tuple[str, ...]:
        """The workflows that the rules and the default name, each once."""
        return tuple(dict.fromkeys((*(rule.workflow for rule in self._rules), self._default)))

    @property
    def has_patterns(self) -> bool:
        """Whether a rule has a regular expression: then `choose` is work for a child process."""
        return any(rule.subject_regex is not None for rule in self._rules)

    def choose(self, email: Email) -> Route:
        """The route of a mail; rule "default" where none matches."""
        for rule in self._rules:
            if rule.matches(email):
                return Route(rule.name, rule.workflow)
        return Route("default", self._default)


def _takes_for_ever(pattern: str) -> bool:
    """Whether some subject makes the pattern take exponential time, or a high power of its length; errs on the safe side."""
    repeats = 0

    def look(items: Iterable[tuple[Any, Any]], inside: bool) -> bool:
        nonlocal repeats
        for operator, argument in items:
            name = str(operator)
            if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                low, high, inner = argument
                wide = int(high) > _SMALL_BOUND
                repeats += wide
                if (inside and int(high) != int(low)) or look(inner, inside or int(high) > _FEW):
                    return True
            elif name == "BRANCH":
                if inside or any(look(branch, inside) for branch in argument[1]):
                    return True
            elif isinstance(argument, tuple) and any(
                look(inner, inside)
                for inner in argument
                if isinstance(inner, re._parser.SubPattern)  # type: ignore[attr-defined]
            ):
                return True
        return False

    parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    return look(parsed, inside=False) or repeats > _REPEATS_LIMIT


def _shape(content: Any) -> str:
    return f"keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__


def _lines_of_rules(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
