"""What the end of a trace waited for: the spans whose shortening would have made it end earlier.

The walk goes backwards from the end of a span. Its child that ended last before the point reached is what the span waited for;
the time between that child's end and the point is the span's own, the walk goes on at the end of the child, and from the
child's start again in the span. A child that outlasts its parent counts as having ended with it. (The method of Jaeger's
critical path and of CRISP, Zhang and others, USENIX ATC 2022.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otel_autopilot.local.queries.span_tree import Placed


@dataclass(frozen=True)
class Piece:
    """Time that the trace spent waiting for one span, in nanoseconds since 1970."""

    span_id: str
    start: int
    end: int


@dataclass
class _Frame:
    """A span that the walk is in: the time before ``point`` is still to be told."""

    node: Placed | None
    start: int
    point: int
    children: Iterator[tuple[int, int, Placed]]


def critical_path(roots: Sequence[Placed]) -> list[Piece]:
    """The pieces by time; they don't overlap, and each lies inside its span.

    A trace with several roots is taken for the work of somebody who isn't there: what lies between them belongs to nobody.
    """
    if not roots:
        return []
    start, end = min(root.start for root in roots), max(root.end for root in roots)
    pieces: list[Piece] = []
    stack = [_frame(None, roots, start, end)]
    while stack:
        frame = stack[-1]
        child = next((child for child in frame.children if child[0] <= frame.point), None)
        reached = frame.start if child is None else child[0]
        if frame.node is not None and reached < frame.point:
            pieces.append(Piece(frame.node.span.span_id, reached, frame.point))
        if child is None:
            stack.pop()
            continue
        child_end, child_start, node = child
        frame.point = child_start
        stack.append(_frame(node, node.children, child_start, child_end))
    pieces.reverse()
    return pieces


def _frame(node: Placed | None, children: Sequence[Placed], start: int, end: int) -> _Frame:
    """A span of which the walk tells what lies between ``start`` and ``end``."""
    within = ((min(child.end, end), max(child.start, start), child) for child in children)
    ended = sorted((one for one in within if one[0] > one[1]), key=lambda one: (-one[0], one[1]))
    return _Frame(node, start, end, iter(ended))
