"""The spans of one trace in the order of its tree, every one of them, however deep and however broken the tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from otel_autopilot.local.model import SpanRecord
from otel_autopilot.local.roots import EMAIL_ROOT, rank
from otel_autopilot.telemetry.names import STAGES


@dataclass(eq=False)
class Placed:
    """A span in its place."""

    span: SpanRecord
    depth: int
    stage: str
    """The stage whose attempt it is, or is part of; empty elsewhere."""
    orphan: bool
    """Whether it has a parent that isn't there, or is its own ancestor; the root of an email that joined a sender's trace is none."""
    children: list[Placed] = field(default_factory=list)

    @property
    def start(self) -> int:
        """Start in nanoseconds since 1970."""
        return self.span.start_unix_nano

    @property
    def end(self) -> int:
        """End, never before the start."""
        return max(self.span.start_unix_nano, self.span.end_unix_nano)

    @property
    def self_nano(self) -> int:
        """How long none of its children ran."""
        covered, reached = 0, self.start
        for child in self.children:
            start, end = max(reached, child.start), min(child.end, self.end)
            if end > start:
                covered += end - start
                reached = end
        return self.end - self.start - covered


def placed(spans: Sequence[SpanRecord]) -> list[Placed]:
    """The roots: spans without a parent or whose parent isn't there; below them the others, children by their start."""
    by_id = {span.span_id: span for span in reversed(spans)}
    ordered = sorted(by_id.values(), key=lambda span: (span.start_unix_nano, -span.end_unix_nano, span.span_id))
    below: defaultdict[str | None, list[SpanRecord]] = defaultdict(list)
    for span in ordered:
        parent = span.parent_span_id
        below[parent if parent in by_id and parent != span.span_id else None].append(span)
    roots: list[Placed] = []
    seen: set[str] = set()
    # Spans that are each other's ancestors hang under no root: the first of them is taken for one.
    for span in (*below[None], *ordered):
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        root = Placed(span, 0, _stage(span, ""), span.parent_span_id is not None and rank(span) != EMAIL_ROOT)
        roots.append(root)
        stack = [root]
        while stack:
            node = stack.pop()
            for child in below.get(node.span.span_id, ()):
                if child.span_id not in seen:
                    seen.add(child.span_id)
                    node.children.append(Placed(child, node.depth + 1, _stage(child, node.stage), orphan=False))
            stack += node.children
    return roots


def _stage(span: SpanRecord, above: str) -> str:
    return span.name if span.name in STAGES and span.attributes.get("autopilot.stage") == span.name else above


def depth_first(roots: Sequence[Placed]) -> list[Placed]:
    """All of them, a parent before its children."""
    found: list[Placed] = []
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(node.children))
    return found
