"""A trace as a waterfall on the terminal: a pure function from spans and logs to lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from otel_autopilot.local.facts import facts_of
from otel_autopilot.local.model import LogRecordRow, SpanRecord
from otel_autopilot.local.tree import STAGES, Node, Tree, build_tree
from otel_autopilot.local.visible import visible

#: Lines of a waterfall at most; what is left out is counted.
MOST_LINES = 400

#: Colours of the stages: (stage span, inner span).
COLOURS = {
    "email": ("bright_blue", "blue"),
    "ingestion": ("bright_magenta", "magenta"),
    "digest": ("bright_yellow", "yellow"),
    "delivery": ("bright_green", "green"),
    "": ("bright_white", "cyan"),
}


@dataclass(frozen=True)
class Glyphs:
    """What bars and guides are drawn with."""

    work: str = "█"
    inner: str = "▄"
    wait: str = "·"
    lost: str = "░"
    tiny: str = "▏"
    branch: str = "├╴"
    corner: str = "└╴"
    line: str = "│ "
    fail: str = "✗"
    link: str = "↗"
    note: str = "•"
    many: str = "×"
    rule: str = "─"
    tick: str = "┬"
    dots: str = "…"


UNICODE = Glyphs()
ASCII = Glyphs("#", "=", ".", "~", "|", "|-", "`-", "| ", "x", "->", "*", "x", "-", "+", "...")


@dataclass(frozen=True)
class _Columns:
    """Widths for a terminal of that many columns."""

    name: int
    bar: int
    width: int

    @classmethod
    def of(cls, width: int, tree: Tree) -> _Columns:
        width = max(60, min(width, 200))
        numbers = 9 + 9 + 5
        longest = max(
            (2 * node.depth + cell_len(_label(node)) + (3 if node.span.failed else 1) for node in _some(tree)), default=10
        )
        name = max(16, min(longest, int(width * 0.36)))
        return cls(name, width - name - numbers - 2, width)


def _some(tree: Tree) -> Iterator[Node]:
    for number, node in enumerate(tree.walk()):
        if number >= MOST_LINES:
            return
        yield node


def render_waterfall(
    spans: Sequence[SpanRecord], logs: Sequence[LogRecordRow] = (), *, width: int = 80, glyphs: Glyphs = UNICODE
) -> list[Text]:
    """The lines of a waterfall, none wider than ``width``. One line says so when there are no spans."""
    if not spans:
        return [Text("no spans", style="dim")]
    tree = build_tree(spans, logs)
    columns = _Columns.of(width, tree)
    lines = [*_header(tree, glyphs, columns), Text(), _axis(tree, columns)]
    shown = 0
    for node in tree.walk():
        if len(lines) >= MOST_LINES:
            break
        shown += node.folded
        lines.append(_row(node, tree, columns, glyphs))
        lines += _below(node, tree, columns, glyphs)
    if shown < tree.spans:
        lines.append(Text(f"{glyphs.dots} and {tree.spans - shown} more spans", style="dim"))
    summary = _summary(tree, columns, glyphs)
    if summary:
        lines += [Text(), *summary]
    return [_fit(line, columns.width, glyphs) for line in lines]


def _header(tree: Tree, glyphs: Glyphs, columns: _Columns) -> list[Text]:
    root = tree.top.span
    outcome = visible(str(root.attributes.get("autopilot.outcome") or ("failed" if root.failed else "ok")))
    started = datetime.fromtimestamp(tree.start_unix_nano / 1e9).astimezone()
    title = Text()
    if tree.under_way:
        outcome = "running"
    title.append("email pipeline" if tree.under_way else visible(root.name), style="bold")
    title.append("  ")
    title.append(
        outcome,
        style={"success": "bold green", "ok": "bold green", "rejected": "bold yellow", "running": "bold cyan"}.get(
            outcome, "bold red"
        ),
    )
    title.append(f"  {duration(tree.length_nano)}", style="bold")
    title.append(f"  {started:%Y-%m-%d %H:%M:%S}.{started.microsecond // 1000:03d}", style="dim")
    run = root.attributes.get("autopilot.run.id")
    parts = [f"run {visible(str(run)[:12])}"] if run else []
    parts.append(f"trace {root.trace_id}")
    workflow = root.attributes.get("autopilot.workflow")
    if workflow and columns.width >= 100:
        parts.append(f"workflow {visible(str(workflow))}")
    parts.append(f"{tree.spans} spans")
    lines = [title, *(Text(piece, style="dim") for piece in _pack(parts, columns.width))]
    for node in _some(tree):
        for link in node.span.links:
            lines.append(Text(f"{glyphs.link} linked to trace {link.trace_id}", style="dim"))
    if tree.under_way:
        lines.append(Text("its root span comes when the run ends", style="dim"))
    elif tree.orphans:
        lines.append(Text(f"{len(tree.orphans)} spans hang under a parent that is not in the store", style="yellow"))
    return lines


def _axis(tree: Tree, columns: _Columns) -> Text:
    """Ticks at even times, and the heads of the columns."""
    ticks = 4 if columns.bar < 50 else 6
    bar = ""
    for index in range(ticks):
        at = round(index * columns.bar / ticks)
        label = duration(round(tree.length_nano * index / ticks)) if index else "0"
        if not bar or (len(bar) < at and at + len(label) <= columns.bar):
            bar = bar.ljust(at) + label
    line = Text(" " * columns.name + " ", style="dim")
    line.append(bar.ljust(columns.bar), style="dim")
    line.append(f"{'time':>9}{'self':>9}{'%':>5}", style="dim")
    return line


def _label(node: Node) -> str:
    label = node.span.name
    if node.folded > 1:
        label += f" ×{node.folded}"
    if node.attempt > 1 or node.lost:
        label += f" #{node.attempt}"
    return label + (" lost" if node.lost else "")


def _row(node: Node, tree: Tree, columns: _Columns, glyphs: Glyphs) -> Text:
    strong, light = COLOURS[node.stage]
    is_stage = node.span.name in STAGES and node.depth == 1
    style = "red" if node.span.failed else strong if is_stage or node.depth == 0 else light
    line = Text()
    guides = "".join(glyphs.line if goes_on else "  " for goes_on in node.guides)
    mark = ("" if node.depth == 0 else glyphs.corner if node.last else glyphs.branch) if node.depth else ""
    line.append(guides + mark, style="dim")
    label = _label(node).replace("×", glyphs.many)
    if node.span.failed:
        label = f"{glyphs.fail} {label}"
    if node.span.span_id in tree.orphans and not tree.under_way:
        label += " (orphan)"
    room = columns.name - cell_len(guides + mark)
    line.append(_cut(label, room, glyphs), style=f"bold {style}" if is_stage or node.depth == 0 else style)
    line.append(" ")
    _bar(line, node, tree, columns, glyphs, style)
    share = 100 * node.covered_nano / tree.length_nano
    line.append(f"{duration(node.duration_nano):>9}")
    line.append(f"{duration(node.self_nano):>9}", style="dim")
    line.append(f"{_percent(share):>5}", style="dim")
    return line


def _percent(share: float) -> str:
    return f"{share:.0f}%" if share >= 1 or not share else "<1%"


def _position(node: Node, tree: Tree, columns: _Columns) -> tuple[int, int, int]:
    """Where the wait, the bar and what is behind it begin."""
    scale = columns.bar / tree.length_nano
    start = min(columns.bar - 1, max(0, int((node.span.start_unix_nano - tree.start_unix_nano) * scale)))
    end = min(columns.bar, max(start + 1, round((node.end_unix_nano - tree.start_unix_nano) * scale)))
    wait = max(1, round(node.wait_nano * scale)) if node.wait_nano * scale >= 0.5 and node.depth else 0
    return start - min(wait, start), start, end


def _bar(line: Text, node: Node, tree: Tree, columns: _Columns, glyphs: Glyphs, style: str) -> None:
    ready, start, end = _position(node, tree, columns)
    glyph = glyphs.lost if node.lost else glyphs.work if node.depth <= 1 else glyphs.inner
    if (node.end_unix_nano - node.span.start_unix_nano) * columns.bar / tree.length_nano < 0.5:
        glyph = glyphs.tiny
    text, place, room = _facts(node), _place(node, tree, columns), columns.bar - end
    line.append(" " * (ready - cell_len(text) - 1) + text + " " if place == "before" else " " * ready, style="dim")
    line.append(glyphs.wait * (start - ready), style="dim")
    line.append(glyph * (end - start), style=style)
    line.append(set_cell_size(" " + _cut(text, room - 2, glyphs), room) if place == "after" else " " * room, style="dim")


def _place(node: Node, tree: Tree, columns: _Columns) -> Literal["after", "before", "below"] | None:
    """Where the facts of a span stand: behind its bar, before it where only there they fit whole, or on a line of their own."""
    ready, _, end = _position(node, tree, columns)
    needed, behind = cell_len(_facts(node)) + 2, columns.bar - end
    if needed == 2:
        return None
    if behind < needed <= ready:
        return "before"
    return "after" if behind >= 12 else "below"


def _facts(node: Node) -> str:
    return "" if node.folded > 1 or node.depth == 0 else facts_of(node.span.attributes)


def _below(node: Node, tree: Tree, columns: _Columns, glyphs: Glyphs) -> list[Text]:
    """What is told under a span: its error, its events and the logs written in it."""
    told: list[tuple[str, str]] = [(_facts(node), "dim")] if _place(node, tree, columns) == "below" else []
    exception = next((event for event in node.span.events if event.name == "exception"), None)
    if node.span.failed:
        kind = str(
            node.span.attributes.get("error.type") or (exception.attributes.get("exception.type") if exception else "") or "error"
        )
        message = node.span.status_message or (str(exception.attributes.get("exception.message", "")) if exception else "")
        repeated = any(child.span.failed and child.span.status_message == node.span.status_message for child in node.children)
        if not repeated:
            told.append((f"{kind.rpartition('.')[2]}: {message}" if message else kind, "red"))
    fallback = node.span.attributes.get("autopilot.digest.fallback")
    if fallback:
        told.append((f"the extractive digest took the place of the model's: {fallback}", "yellow"))
    for event in node.span.events:
        if event.name != "exception":
            told.append((f"{glyphs.note} {_offset(event.time_unix_nano, tree)} {event.name}", "dim"))
    for log in node.logs[:20]:
        style = "red" if log.severity_number >= 17 else "yellow" if log.severity_number >= 13 else "dim"
        told.append((f"{glyphs.note} {_offset(log.time_unix_nano, tree)} {log.severity_text or 'LOG'} {log.body}", style))
    if len(node.logs) > 20:
        told.append((f"{glyphs.note} and {len(node.logs) - 20} more log lines", "dim"))
    guides = "".join(glyphs.line if goes_on else "  " for goes_on in node.guides)
    if node.depth:
        guides += "  " if node.last else glyphs.line
    guides += glyphs.line if node.children else "  "
    lines = []
    for text, style in told:
        for piece in _wrap(text, columns.width - cell_len(guides) - 1, glyphs):
            line = Text()
            line.append(guides, style="dim")
            line.append(piece, style=style)
            lines.append(line)
    return lines


def _offset(moment: int, tree: Tree) -> str:
    return f"+{duration(max(0, moment - tree.start_unix_nano))}"


def _summary(tree: Tree, columns: _Columns, glyphs: Glyphs) -> list[Text]:
    """Work, wait, share and attempts of each stage, and what the glyphs mean."""
    work: dict[str, int] = {}
    wait: dict[str, int] = {}
    attempts: dict[str, int] = {}
    for node in tree.walk():
        if node.depth == 1 and node.span.name in STAGES:
            work[node.span.name] = work.get(node.span.name, 0) + node.duration_nano
            wait[node.span.name] = wait.get(node.span.name, 0) + node.wait_nano
            attempts[node.span.name] = max(attempts.get(node.span.name, 0), node.attempt, 1)
    if not work:
        return []
    head = Text(f"{'stage':<11}{'work':>9}{'wait':>9}{'share':>7}{'attempts':>10}", style="dim")
    lines = [head]
    room = columns.width - cell_len(head.plain) - 3
    for stage in STAGES:
        if stage not in work:
            continue
        share = work[stage] / tree.length_nano
        line = Text()
        line.append(f"{stage:<11}", style=COLOURS[stage][0])
        line.append(f"{duration(work[stage]):>9}{duration(wait[stage]):>9}{_percent(100 * share):>7}{attempts[stage]:>10}")
        line.append("  ")
        line.append(glyphs.work * max(1, round(min(1.0, share) * max(4, min(room, 40)))), style=COLOURS[stage][0])
        lines.append(line)
    meanings = {
        glyphs.work: "stage", glyphs.inner: "inside it", glyphs.wait: "waiting", glyphs.lost: "lost", glyphs.fail: "failed",
        "self:": "not in a child",
    }  # fmt: skip
    legend = _pack([f"{sign} {meaning}" for sign, meaning in meanings.items()], columns.width)
    return [*lines, *(Text(line, style="dim") for line in legend)]


def duration(nanoseconds: int) -> str:
    """A duration as people read it: 12 µs, 3.4 ms, 1.25 s, 2 m 05 s."""
    if nanoseconds <= 0:
        return "0"
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e3:.0f} µs"
    if nanoseconds < 100_000_000:
        return f"{nanoseconds / 1e6:.1f} ms"
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:.0f} ms"
    if nanoseconds < 60_000_000_000:
        return f"{nanoseconds / 1e9:.2f} s"
    minutes, seconds = divmod(round(nanoseconds / 1e9), 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def _cut(text: str, room: int, glyphs: Glyphs) -> str:
    text = visible(text)
    if cell_len(text) <= room:
        return set_cell_size(text, max(0, room))
    return set_cell_size(set_cell_size(text, max(0, room - len(glyphs.dots))) + glyphs.dots, max(0, room))


def _wrap(text: str, room: int, glyphs: Glyphs) -> list[str]:
    """At most four lines of that width."""
    lines: list[str] = []
    current = ""
    for word in visible(text).split(" "):
        if current and cell_len(current) + 1 + cell_len(word) > room:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    lines.append(current)
    if len(lines) > 4:
        lines = [*lines[:3], lines[3] + " " + glyphs.dots]
    return [_cut(line, room, glyphs).rstrip() if cell_len(line) > room else line for line in lines]


def _pack(parts: Sequence[str], room: int) -> list[str]:
    """The parts side by side, and on a further line what has no room."""
    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1]) + 2 + cell_len(part) <= room:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return lines


def _fit(line: Text, width: int, glyphs: Glyphs) -> Text:
    if glyphs is not UNICODE and not line.plain.isascii():
        line = Text.assemble(*((span_text, style) for span_text, style in _pieces(line)))
    line.rstrip()
    line.truncate(width)
    return line


def _pieces(line: Text) -> Iterator[tuple[str, str]]:
    """The line in pieces of one style, in ASCII."""
    for piece in line.divide(sorted({offset for span in line.spans for offset in (span.start, span.end)})):
        style = str(piece.spans[0].style) if piece.spans else str(line.style)
        yield piece.plain.replace("µs", "us").encode("ascii", "replace").decode("ascii"), style
