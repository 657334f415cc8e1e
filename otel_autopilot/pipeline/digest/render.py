"""A digest as Markdown, HTML and plain text. Nothing of the mail's own markup gets through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import nh3
from markdown_it import MarkdownIt

from otel_autopilot.pipeline.digest.columns import columns, wrap
from otel_autopilot.pipeline.messages import Figure, KeyPoint, Link, SkippedPart

#: Why a part was not read, for people.
_REASONS = {
    "tnef": "Outlook's own format (winmail.dat)",
    "unsupported_type": "not a kind of text",
    "encrypted": "encrypted",
    "image_only": "pictures of text only",
    "empty": "empty",
    "signature": "a digital signature",
    "too_deep": "nested too deep",
    "too_many_parts": "more than are read",
    "undecodable": "damaged",
}
#: What people call these types.
_TYPES = (
    ("application/pdf", "PDF"), ("image/", "picture"), ("audio/", "sound"), ("video/", "video"), ("application/zip", "ZIP archive"),
    ("application/x-", "file"), ("application/ms-tnef", "winmail.dat"), ("application/vnd.ms-excel", "spreadsheet"),
    ("application/vnd.openxmlformats-officedocument.spreadsheet", "spreadsheet"), ("application/msword", "document"),
    ("application/vnd.openxmlformats-officedocument.wordprocessing", "document"), ("text/calendar", "calendar entry"),
    ("application/vnd.openxmlformats-officedocument.presentation", "presentation"), ("application/vnd.ms-powerpoint", "presentation"),
    ("message/", "message"), ("text/", "text"),
)  # fmt: skip
_MOST_UNREAD = 10
_TAGS = {"h1", "h2", "p", "ul", "li", "strong", "em", "a"}
_WIDTH = 78
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_LINK_LINE = re.compile(r"- \[(.*)\]\(<([^<>]*)>\)")


def render_markdown(
    title: str,
    key_points: Sequence[KeyPoint],
    figures: Sequence[Figure],
    links: Sequence[Link],
    keywords: Sequence[str],
    skipped: Sequence[SkippedPart],
    attachments: Mapping[str, str],
) -> str:
    """The digest in Markdown; ``attachments`` names those parts that are attachments, by their number."""
    blocks = [f"# {escape(title) or 'Untitled'}"]
    if key_points:
        blocks.append("\n".join(_point(point, attachments) for point in key_points))
    if figures:
        blocks.append("## Figures\n\n" + "\n".join(map(_figure, figures)))
    safe = [(link, url) for link in links if (url := _safe(link.url))]
    if safe:
        blocks.append("## Links\n\n" + "\n".join(f"- [{escape(link.text) or escape(url)}](<{url}>)" for link, url in safe))
    if keywords:
        blocks.append("## Keywords\n\n" + ", ".join(escape(word) for word in keywords))
    unread = list(_unread(skipped))
    if unread:
        blocks.append("## Not read\n\n" + "\n".join(unread))
    return "\n\n".join(blocks) + "\n"


def _point(point: KeyPoint, attachments: Mapping[str, str]) -> str:
    source = attachments.get(point.part, "")
    return f"- {escape(point.text)}" + (f" *({escape(source)})*" if source.strip() else "")


def _figure(figure: Figure) -> str:
    value = f"- **{escape(figure.value)}**"
    return value if figure.context.strip(" .") == figure.value else f"{value} – {escape(figure.context)}"


def _unread(skipped: Sequence[SkippedPart]) -> Iterator[str]:
    parts = [part for part in skipped if not _is_quiet(part)]
    for part in parts[:_MOST_UNREAD]:
        kind = next((name for prefix, name in _TYPES if part.content_type.startswith(prefix)), "file")
        size = (
            f", {part.size_bytes / 1e6:.1f} MB"
            if part.size_bytes >= 100_000
            else f", {part.size_bytes / 1e3:.0f} kB"
            if part.size_bytes >= 1_000
            else ""
        )
        if part.count > 1:
            yield f"- {part.count:,} parts: {_REASONS[part.reason]}"
            continue
        yield f"- {kind.capitalize() if kind.islower() else kind} ({escape(part.content_type)}{size}): {_REASONS[part.reason]}"
    if len(parts) > _MOST_UNREAD:
        yield f"- and {sum(part.count for part in parts[_MOST_UNREAD:]):,} more"


def _is_quiet(part: SkippedPart) -> bool:
    """A reader gains nothing from hearing of a signature or of a text without words; an empty attachment may be missed."""
    return part.reason == "signature" or (part.reason == "empty" and part.content_type.startswith("text/"))


def render_html(markdown: str) -> str:
    """A sanitised HTML fragment: headings, lists, links to http and https, nothing else."""
    html = _MARKDOWN.render(markdown)
    return nh3.clean(html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https"}, link_rel="noopener noreferrer")


def render_text(markdown: str) -> str:
    """Plain text, wrapped at 78 columns; URLs stand whole below their names."""
    lines: list[str] = []
    for line in markdown.split("\n"):
        link = _LINK_LINE.fullmatch(line)
        if line.startswith("# "):
            title = list(wrap(unescape(line[2:]), _WIDTH))
            lines += [*title, "=" * max((columns(part) for part in title), default=0)]
        elif line.startswith("## "):
            lines += [line[3:], "-" * len(line[3:])]
        elif link:
            name = unescape(link[1])
            lines += [*wrap(f"- {name}", _WIDTH, "  "), f"  {link[2]}"] if name != link[2] else [f"- {link[2]}"]
        elif line:
            plain = unescape(re.sub(r"(?<!\\)\*{1,2}", "", line))
            lines += wrap(plain, _WIDTH, "  " if line.startswith("- ") else "")
        else:
            lines.append("")
    return "\n".join(lines).strip() + "\n"


#: Control characters, line separators, and those that turn the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]+")
#: Every character that can begin markup in CommonMark, or in the tables, strike-through and bare links of others.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#|~!&$.)\-+=:])")


def escape(text: str) -> str:
    """Text of a mail so that it reads as text: it can forge neither structure nor links."""
    text = _SPECIAL.sub(r"\\\1", " ".join(_CONTROLS.sub(" ", text).split()))
    text = re.sub(r"^(\d{1,9})([.)])(?=\s|$)", r"\1\\\2", text)
    return re.sub(r"^([-+=])", r"\\\1", text)


def unescape(text: str) -> str:
    """The text that `escape` was given."""
    return _ESCAPED.sub(r"\1", text)


def _safe(url: str) -> str:
    """The URL with what could end it early percent-encoded; "" when it is none of http or https."""
    if not re.match(r"https?://[^\s/?#]", url, re.IGNORECASE):
        return ""
    return quote(_CONTROLS.sub("", url), safe="!#$%&'*+,-./:;=?@_~()[]", errors="replace")
