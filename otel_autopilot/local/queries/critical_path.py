"""What the end of a trace waited for: the spans whose shortening would have made it end earlier.

The walk goes backwards from the end of a span. Its child that ended last before the point reached is what the span waited for;
the time between that child's end and the point is the span's own, the walk goes on at the end of the child, and from the
child's start again in the span. A child that outlasts its parent counts as having ended with it. (The method of Jaeger's
critical path and of CRISP, Zhang and others, USENIX ATC 2022.)

Nobody above waits for what outlasts the root, but the end of the trace does: the walk begins at the last end of all, and goes
on in whoever was above that span and ran when it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otel_autopilot.local.queries.span_tree import Placed, depth_first

#: Spans above one that outlasts the root, in a row, that didn't run when it began: behind so many nobody is looked for.
_MOST_MISSED = 100


@dataclass(frozen=True)
class Piece:
    """Time that the trace spent waiting for one span, in nanoseconds since 1970."""

    span_id: str
    start: int
    end: int


@dataclass
class _Frame:
    """A span that the walk is in: the time before ``point`` is still to be told."""

    node: Placed
    start: int
    point: int
    children: Iterator[tuple[int, int, Placed]]


def critical_path(roots: Sequence[Placed]) -> list[Piece]:
    """The pieces by time; they don't overlap, and each lies inside its span.

    A trace with several roots is taken for the work of somebody who isn't there: what lies between them belongs to nobody.
    """
    whole = [(root, depth_first([root])) for root in roots]
    ended = [(max(node.end for node in nodes), root, nodes) for root, nodes in whole]
    pieces: list[Piece] = []
    point = max((end for end, _, _ in ended), default=0)
    for end, root, nodes in sorted(ended, key=lambda one: (-one[0], one[1].start)):
        if root.start < end <= point:
            pieces += _backwards(root, nodes)
            point = root.start
    pieces.reverse()
    return pieces


def _backwards(root: Placed, nodes: Sequence[Placed]) -> Iterator[Piece]:
    """The pieces of a root and what is below it, the last first."""
    parents = {child: node for node in nodes for child in node.children}
    late = sorted((node for node in nodes if node.end > root.end), key=lambda node: (-node.end, node.start))
    point = late[0].end if late else root.end
    for node in late:
        if point <= root.end:
            break
        if node.end > point:
            continue
        above, point, missed = node, node.end, 0
        while above is not root and missed < _MOST_MISSED:
            start = max(above.start, root.start)
            missed += 1
            if start < point <= above.end:
                yield from _walk(above, start, point)
                point, missed = start, 0
            above = parents[above]
    yield from _walk(root, root.start, min(point, root.end))


def _walk(top: Placed, start: int, end: int) -> Iterator[Piece]:
    """What a span waited for between two moments, the last first."""
    stack = [_frame(top, start, end)]
    while stack:
        frame = stack[-1]
        child = next((child for child in frame.children if child[0] <= frame.point), None)
        reached = frame.start if child is None else child[0]
        if reached < frame.point:
            yield Piece(frame.node.span.span_id, reached, frame.point)
        if child is None:
            stack.pop()
            continue
        child_end, child_start, node = child
        frame.point = child_start
        stack.append(_frame(node, child_start, child_end))


def _frame(node: Placed, start: int, end: int) -> _Frame:
    """A span of which the walk tells what lies between ``start`` and ``end``."""
    within = ((min(child.end, end), max(child.start, start), child) for child in node.children)
    ended = sorted((one for one in within if one[0] > one[1]), key=lambda one: (-one[0], one[1]))
    return _Frame(node, start, end, iter(ended))
