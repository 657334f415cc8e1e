"""A digest as Markdown, HTML and plain text. Nothing of the mail's own markup gets through."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import nh3
from markdown_it import MarkdownIt

from otel_autopilot.pipeline.messages import Figure, KeyPoint, Link, SkippedPart

#: Why a part was not read, for people.
_REASONS = {
    "tnef": "Outlook's own format (winmail.dat)",
    "unsupported_type": "a type that holds no text",
    "encrypted": "encrypted",
    "image_only": "pictures without text",
    "empty": "empty",
    "signature": "a signature",
    "too_deep": "nested too deep",
    "too_many_parts": "past the limit on parts",
    "undecodable": "not decodable",
}
#: Reasons that a reader gains nothing from.
_QUIET = {"empty", "signature"}
_TAGS = {"h1", "h2", "h3", "p", "ul", "ol", "li", "strong", "em", "a", "code", "blockquote", "br", "hr"}
_WIDTH = 78


def render_markdown(
    title: str,
    key_points: Sequence[KeyPoint],
    figures: Sequence[Figure],
    links: Sequence[Link],
    keywords: Sequence[str],
    skipped: Sequence[SkippedPart],
    sources: dict[str, str],
) -> str:
    """The digest in Markdown; ``sources`` names the attachment that a part number stands for."""
    blocks = [f"# {escape(title) or 'Untitled'}"]
    if key_points:
        points = []
        for point in key_points:
            source = sources.get(point.part, "")
            points.append(f"- {escape(point.text)}" + (f" *({escape(source)})*" if source else ""))
        blocks.append("\n".join(points))
    if figures:
        blocks.append("## Figures\n\n" + "\n".join(f"- **{escape(item.value)}**: {escape(item.context)}" for item in figures))
    if links:
        blocks.append(
            "## Links\n\n" + "\n".join(f"- [{escape(link.text) or escape(_host(link.url))}](<{_url(link.url)}>)" for link in links)
        )
    if keywords:
        blocks.append("## Keywords\n\n" + ", ".join(escape(word) for word in keywords))
    unread = [part for part in skipped if part.reason not in _QUIET]
    if unread:
        lines = [f"- {escape(part.content_type)}: {_REASONS[part.reason]}" for part in unread[:10]]
        if len(unread) > 10:
            lines.append(f"- and {len(unread) - 10} more")
        blocks.append("## Not read\n\n" + "\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def render_html(markdown: str) -> str:
    """A sanitised HTML fragment: headings, lists, links to http and https, nothing else."""
    html = MarkdownIt("commonmark", {"html": False}).render(markdown)
    return nh3.clean(html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https"}, link_rel="noopener noreferrer")


def render_text(markdown: str) -> str:
    """Plain text, wrapped at 78 columns; URLs stand whole below their names."""
    lines: list[str] = []
    for line in markdown.split("\n"):
        link = re.fullmatch(r"- \[(.*)\]\(<(.*)>\)", line)
        if line.startswith("# "):
            title = unescape(line[2:])
            lines += [*textwrap.wrap(title, _WIDTH), "=" * min(_WIDTH, max(len(title), 3))]
        elif line.startswith("## "):
            lines += [unescape(line[3:]), "-" * len(unescape(line[3:]))]
        elif link:
            lines += [*textwrap.wrap(f"- {unescape(link[1])}", _WIDTH, subsequent_indent="  "), f"  {link[2]}"]
        elif line.startswith("- "):
            plain = unescape(re.sub(r"(?<!\\)\*\*?", "", line))
            lines += textwrap.wrap(plain, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]
        else:
            lines += textwrap.wrap(unescape(line), _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(lines).strip() + "\n"


_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def escape(text: str) -> str:
    """Text of a mail so that it reads as text: it can forge neither structure nor links."""
    text = re.sub(r"[\x00-\x1f\x7f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+", " ", text)
    text = _SPECIAL.sub(r"\\\1", text.strip())
    text = re.sub(r"^(\s*\d{1,9})([.)])(\s)", r"\1\\\2\3", text)
    return re.sub(r"^([-+=])", r"\\\1", text)


def unescape(text: str) -> str:
    """The text that `escape` was given."""
    return re.sub(r"\\([\\`*_{}\[\]<>#|~!&.)\-+=])", r"\1", text)


def _url(url: str) -> str:
    return re.sub(r"[<>\s\\]", lambda match: f"%{ord(match.group()):02X}", url)


def _host(url: str) -> str:
    match = re.match(r"https?://([^/?#]+)", url)
    return match[1] if match else url
