"""The spans of a trace as a tree, with what a reader wants to know of each: self time, wait, attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.roots import EMAIL_ROOT, rank

STAGES = ("email", "ingestion", "digest", "delivery")

#: More children of one name in a row than this are folded into one line.
FOLD_ABOVE = 6


@dataclass
class Node:
    """A span, or several of one name that were folded; ``logs`` are those written in it."""

    span: SpanRecord
    depth: int
    stage: str
    children: list[Node] = field(default_factory=list)
    logs: list[LogRecordRow] = field(default_factory=list)
    folded: int = 1
    last: bool = False
    guides: tuple[bool, ...] = ()
    """For each level above: whether a line goes on there."""

    @property
    def end_unix_nano(self) -> int:
        """End of the span, or of the last folded one."""
        return self._end if self.folded > 1 else max(self.span.end_unix_nano, self.span.start_unix_nano)

    _end: int = 0
    _busy: int | None = None
    _covered: int | None = None

    @property
    def duration_nano(self) -> int:
        """Length, or the sum of the folded ones."""
        return self._busy if self._busy is not None else self.span.duration_nano

    @property
    def covered_nano(self) -> int:
        """Length; of folded ones the time in which at least one of them ran."""
        return self._covered if self._covered is not None else self.span.duration_nano

    @property
    def self_nano(self) -> int:
        """Time in which none of its children ran."""
        if self.folded > 1:
            return self.duration_nano
        covered, reached = 0, self.span.start_unix_nano
        for child in sorted(self.children, key=lambda node: node.span.start_unix_nano):
            start = max(reached, child.span.start_unix_nano)
            end = min(child.end_unix_nano, self.span.end_unix_nano)
            if end > start:
                covered += end - start
                reached = end
        return max(0, self.duration_nano - covered)

    @property
    def wait_nano(self) -> int:
        """How long the stage was ready before it started."""
        value = self.span.attributes.get("autopilot.stage.queue.duration")
        return int(value * 1e9) if isinstance(value, (int, float)) and value > 0 else 0

    @property
    def lost(self) -> bool:
        """Whether the process that worked on it died."""
        return self.span.attributes.get("autopilot.attempt.lost") is True

    @property
    def attempt(self) -> int:
        """Number of the attempt; 0 where that is no matter."""
        value = self.span.attributes.get("autopilot.attempt")
        return value if isinstance(value, int) else 0

    def walk(self) -> Iterator[Node]:
        """This node and all below it, depth first."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


@dataclass(frozen=True)
class Tree:
    """The roots of a trace: one where it is whole; spans whose parent isn't there are roots too, marked as orphans."""

    roots: tuple[Node, ...]
    orphans: frozenset[str]
    start_unix_nano: int
    end_unix_nano: int
    spans: int

    def walk(self) -> Iterator[Node]:
        """Every node, depth first."""
        for root in self.roots:
            yield from root.walk()

    @property
    def under_way(self) -> bool:
        """Whether this is a run of ours whose root is still to come: it is emitted when the run ends."""
        promised = (
            root.span.name in STAGES and root.span.span_id in self.orphans and root.span.attributes.get("autopilot.run.id")
            for root in self.roots
        )
        return rank(self.top.span) != EMAIL_ROOT and any(promised)

    @property
    def top(self) -> Node:
        """The root of the email, wherever it hangs; the first root in a trace of none."""
        return next((node for node in self.walk() if rank(node.span) == EMAIL_ROOT), self.roots[0])

    @property
    def length_nano(self) -> int:
        """From the first start to the last end; 1 at the least."""
        return max(1, self.end_unix_nano - self.start_unix_nano)


def build_tree(spans: Sequence[SpanRecord], logs: Sequence[LogRecordRow] = ()) -> Tree:
    """Hang the spans of one trace under each other, in order of their start."""
    by_id = {span.span_id: span for span in spans}
    below: dict[str | None, list[SpanRecord]] = defaultdict(list)
    orphans: set[str] = set()
    for span in sorted(by_id.values(), key=lambda span: (span.start_unix_nano, -span.end_unix_nano)):
        parent = span.parent_span_id
        if parent is not None and (parent not in by_id or parent == span.span_id):
            if rank(span) != EMAIL_ROOT:  # it joined the trace of a sender who reports elsewhere
                orphans.add(span.span_id)
            parent = None
        below[parent].append(span)
    logs_of: dict[str, list[LogRecordRow]] = defaultdict(list)
    for log in sorted(logs, key=lambda log: log.time_unix_nano):
        logs_of[log.span_id or ""].append(log)
    tops = [_node(span, 0, span.name if span.name in STAGES else "", logs_of) for span in below[None]]
    stack, seen = list(tops), {node.span.span_id for node in tops}
    unseen = sorted(by_id.values(), key=lambda span: span.start_unix_nano)
    while stack or len(seen) < len(by_id):
        if not stack:  # spans that are each other's ancestors: the first of them is taken for an orphan
            lone = next(span for span in unseen if span.span_id not in seen)
            orphans.add(lone.span_id)
            seen.add(lone.span_id)
            tops.append(_node(lone, 0, "", logs_of))
            stack.append(tops[-1])
        node = stack.pop()
        children = [span for span in below.get(node.span.span_id, ()) if span.span_id not in seen]
        seen.update(span.span_id for span in children)
        for span in children:
            stage = span.name if span.name in STAGES else node.stage
            node.children.append(_node(span, node.depth + 1, stage, logs_of))
        stack.extend(node.children)
    for top in tops:
        _fold_below(top)
        _guide(top)
    start = min((span.start_unix_nano - _wait(span) for span in spans), default=0)
    end = max((max(span.end_unix_nano, span.start_unix_nano) for span in spans), default=0)
    return Tree(tuple(tops), frozenset(orphans), start, end, len(by_id))


def _wait(span: SpanRecord) -> int:
    if span.parent_span_id is None:
        return 0
    value = span.attributes.get("autopilot.stage.queue.duration")
    return int(value * 1e9) if isinstance(value, (int, float)) and value > 0 else 0


def _node(span: SpanRecord, depth: int, stage: str, logs_of: dict[str, list[LogRecordRow]]) -> Node:
    return Node(span, depth, stage, logs=logs_of.get(span.span_id, []))


def _fold_below(top: Node) -> None:
    """Fold long rows of childless spans of one name that all went well."""
    for node in list(top.walk()):
        children: list[Node] = []
        index = 0
        while index < len(node.children):
            run = [node.children[index]]
            while index + len(run) < len(node.children) and _alike(run[0], node.children[index + len(run)]):
                run.append(node.children[index + len(run)])
            index += len(run)
            if len(run) <= FOLD_ABOVE:
                children += run
                continue
            first = run[0]
            first.folded = len(run)
            first._end = max(item.span.end_unix_nano for item in run)
            first._busy = sum(item.span.duration_nano for item in run)
            first._covered = _union((item.span.start_unix_nano, item.span.end_unix_nano) for item in run)
            first.logs = [log for item in run for log in item.logs]
            children.append(first)
        node.children = children


def _union(intervals: Iterable[tuple[int, int]]) -> int:
    """How much time the intervals cover together."""
    covered, reached = 0, 0
    for start, end in sorted(intervals):
        if end > reached:
            covered += end - max(start, reached)
            reached = end
    return covered


def _alike(one: Node, other: Node) -> bool:
    return one.span.name == other.span.name and not (one.children or other.children or one.span.failed or other.span.failed)


def _guide(top: Node) -> None:
    stack = [top]
    while stack:
        node = stack.pop()
        for index, child in enumerate(node.children):
            child.last = index == len(node.children) - 1
            child.guides = (*node.guides, not node.last) if node.depth else ()
            stack.append(child)
