"""Comments that allow a finding: `# lint: allow RULE because REASON`, on its line or on lines of comments right above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from otel_autopilot.collector.findings import Finding

_COMMENT = re.compile(r"(?:^|\s)#\s*lint:\s*allow\b[ \t]*(?P<rule>[\w-]*)[ \t]*(?:because\b[ \t]*(?P<reason>.*))?")


def suppress(findings: Iterable[Finding], sources: dict[str, str], rules: Collection[str]) -> list[Finding]:
    """The findings that no comment allows, and one for each comment that gives no reason or allows nothing."""
    left = set(findings)
    for file, source in sources.items():
        lines = source.splitlines()
        for index, line in enumerate(lines):
            match = _COMMENT.search(line)
            if match is None:
                continue
            rule = match["rule"]
            if not (match["reason"] or "").strip():
                message = f"expected `# lint: allow {rule or 'RULE'} because REASON`, got no reason: nothing is allowed"
                left.add(Finding(file, index + 1, "suppression-without-reason", message))
                continue
            allowed = {each for each in left if (each.file, each.rule) == (file, rule) and each.line in _lines(lines, index)}
            here = "".join(each for number in _lines(lines, index) for each in lines[number - 1 : number])
            if not allowed and not (rule in rules and ":-" in here):  # with another variable's value there may be a finding
                message = f"nothing here is found by {rule}" if rule in rules else f"no rule is called {rule or '(nothing)'}"
                left.add(Finding(file, index + 1, "unused-suppression", f"{message}: take the comment away"))
            left -= allowed
    return sorted(left)


def _lines(lines: list[str], index: int) -> tuple[int, ...]:
    """The lines, counted from 1, that a comment in the line with this index speaks of."""
    if not lines[index].lstrip().startswith("#"):
        return (index + 1,)
    after = index + 1
    while after < len(lines) and lines[after].lstrip().startswith("#"):
        after += 1
    return (index + 1, after + 1)
