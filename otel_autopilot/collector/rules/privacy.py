"""Personal data that is meant to be redacted, or that nobody meant to write down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from otel_autopilot.collector.configuration import Component, Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.nodes import Mark, Node, Scalar, entries, entry, flag, items, scalars, text, value

_NAMED_FOR_IT = re.compile(r"redact|mask|scrub|privacy|pseudonym|anonym|saniti|personal|(^|[/_-])pii", re.IGNORECASE)
_MASK = re.compile(
    r"""replace_(all_)?(patterns?|match(es)?)\(.*["'][^"']*(\*\*\*|redacted|masked|removed|hidden|\[[a-z_ -]+\]|<[a-z_ -]+>)[^"']*["']""",
    re.IGNORECASE | re.DOTALL,
)
_HASH = re.compile(r"\b(SHA1|SHA256|SHA512|MD5|FNV|Murmur3Hash|Murmur3Hash128)\(")
_DELETE = re.compile(
    r"(delete_(key|keys|matching_keys)|keep_(keys|matching_keys))\(.*"
    r"(mail|address|subject|recipient|sender|password|token|cookie|authorization|secret|phone|user|body|query)",
    re.IGNORECASE | re.DOTALL,
)
#: Characters of a statement that are looked at: people write shorter ones, and a search takes the square of it.
_LENGTH = 10_000
_OPEN = ("ignore", "silent")


def redacts(component: Component) -> bool:
    """Whether a transform is there to redact: by its name, a mask that it writes, a hash, or what it deletes."""
    if _NAMED_FOR_IT.search(component.id):
        return True
    return any(_statement_redacts(scalar.text) for scalar in scalars(component.settings))


def _statement_redacts(statement: str) -> bool:
    return any(pattern.search(statement[:_LENGTH]) for pattern in (_MASK, _HASH, _DELETE))


def redaction_fails_open(config: Configuration) -> Problems:
    """A statement that fails under error_mode ignore or silent lets the value through as it came.

    `ignore` is the default of 0.158.0 (gate processor.transform.defaultErrorModeIgnore). `propagate` refuses the data instead.
    """
    for component in config.used("processors"):
        if component.type == "transform" and redacts(component):
            for mark, mode in _modes(component):
                yield (
                    mark,
                    f"{component.id} redacts under error_mode {mode}, which lets pass what it fails on: set error_mode: propagate",
                )


def _modes(component: Component) -> Iterator[tuple[Mark, str]]:
    """Where statements that redact run under a mode that lets errors pass, and which."""
    top = entry(component.settings, "error_mode")
    default = "ignore" if top is None else text(top.value)
    named = _NAMED_FOR_IT.search(component.id) is not None
    reported = False
    for each in entries(component.settings):
        if not each.key.endswith("_statements"):
            continue
        for group in items(each.value):
            if not named and not any(_statement_redacts(scalar.text) for scalar in scalars(group)):
                continue
            own: Node | None = None if isinstance(group, Scalar) else value(group, "error_mode")
            mode = default if own is None else text(own)
            if own is not None and mode in _OPEN:
                yield own.mark, str(mode)
            elif own is None and mode in _OPEN and not reported:
                reported = True
                yield component.mark if top is None else top.mark, str(mode)


def redaction_does_nothing(config: Configuration) -> Problems:
    """allow_all_keys switches the list of keys off; without blocked values or key patterns nothing is left to do."""
    for component in config.used("processors"):
        if component.type != "redaction" or flag(value(component.settings, "allow_all_keys"), False) is not True:
            continue
        work = ("blocked_values", "blocked_key_patterns", "url_sanitizer", "db_sanitizer")
        if not any(value(component.settings, key) is not None and _filled(value(component.settings, key)) for key in work):
            yield component.mark, f"{component.id} allows all keys and blocks nothing: set blocked_values or blocked_key_patterns"


def _filled(node: Node | None) -> bool:
    return bool(items(node)) or bool(entries(node))


def detailed_debug(config: Configuration) -> Problems:
    """The debug exporter at `detailed` writes every attribute, and so personal data, into the Collector's log."""
    for component in config.used("exporters"):
        verbosity = value(component.settings, "verbosity")
        if component.type == "debug" and verbosity is not None and text(verbosity) == "detailed":
            yield verbosity.mark, f"{component.id} writes all telemetry into the log: use verbosity: basic"
