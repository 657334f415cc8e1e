"""HTML mail to readable Markdown, in a child process: headings, links, lists and data tables stay, furniture goes.

Newsletters are laid out with tables: one that holds other blocks, or a single cell a row, is layout and is unrolled; one of
short cells in two columns or more is data and stays a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree, html

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.messages import Blob, Document, Link

#: Most text kept of one part, in characters.
TEXT_LIMIT = 20_000_000
#: Below this depth an element gives its bare text: nobody nests a mail that deep on purpose.
DEPTH_LIMIT = 150
# Not "form" and "button": newsletters wrap their text in both.
_SKIP = {"script", "style", "head", "title", "meta", "link", "noscript", "template", "object", "embed", "iframe", "svg", "canvas",
         "select", "textarea", "map", "audio", "video", "base"}  # fmt: skip
_BLOCKS = {"p", "div", "section", "article", "header", "footer", "main", "aside", "nav", "center", "address", "figure", "figcaption",
           "fieldset", "dl", "dt", "dd", "details", "summary", "body", "html", "td", "th", "tr", "caption", "form"}  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|font-size\s*:\s*0(?:px|pt|em)?\s*(?:;|$|!)|max-height\s*:\s*0(?:px)?\s*(?:;|$)"
    r"|opacity\s*:\s*0\s*(?:;|$)",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[\s\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u2007]+")


@dataclass
class _Writer:
    lines: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    tables: int = 0
    prefix: str = ""
    length: int = 0

    def say(self, text: str) -> None:
        if text and self.length < TEXT_LIMIT:
            self.length += len(text)
            self.inline.append(text)

    def end_block(self, mark: str = "") -> None:
        text = _SPACES.sub(" ", "".join(self.inline)).strip() if self.inline else ""
        self.inline.clear()
        text = re.sub(r" ?\x00 ?", "\n" + self.prefix, text)
        if text:
            self.lines.append(f"{self.prefix}{mark}{text}")

    def gap(self) -> None:
        self.end_block()
        if self.lines and self.lines[-1] != self.prefix.rstrip():
            self.lines.append(self.prefix.rstrip())


def extract_html(blob: Blob, part: str, filename: str, blobs_root: Path) -> Document:
    """Turn an HTML part into Markdown, with the title, links and number of data tables that it holds."""
    markdown, title, links, tables = to_markdown(blob.read_text())
    return Document(
        part=part, kind="html", title=title, filename=filename, text=BlobStore(blobs_root).put_text(markdown),
        characters=len(markdown), tables=tables, links=links,
    )  # fmt: skip


def to_markdown(text: str) -> tuple[str, str, tuple[Link, ...], int]:
    """Markdown of an HTML text, its title, its links and how many data tables it has. Never raises on broken markup."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text[: TEXT_LIMIT * 2]).replace("\x00", "")
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True, encoding="utf-8")
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError):
        return "", "", (), 0
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        return _bare(text), "", (), 0
    title = root.findtext(".//title") or ""
    writer = _Writer()
    _walk(root, writer)
    writer.end_block()
    markdown = re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip()
    links = tuple(Link(text=name[:300], url=url) for url, name in writer.links.items())[:500]
    return markdown[:TEXT_LIMIT], _SPACES.sub(" ", title).strip()[:300], links, writer.tables


def _bare(text: str) -> str:
    """What stands between the tags: for markup nested deeper than the parser goes, which would cut the rest off."""
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", " ", text)
    blocks = re.split(r"(?i)</?(?:p|div|tr|td|li|br|h[1-6]|table|ul|ol)\b[^>]*>", text)
    lines = (" ".join(unescape(re.sub(r"<[^>]*>", " ", block)).split()) for block in blocks)
    return "\n\n".join(_escape(line) for line in lines if line)[:TEXT_LIMIT]


def _walk(element: html.HtmlElement, writer: _Writer, depth: int = 0) -> None:
    tag = element.tag if isinstance(element.tag, str) else ""
    if not tag or tag in _SKIP or _is_hidden(element):
        return
    if depth > DEPTH_LIMIT:
        writer.say(_escape(element.text_content()))
        return
    if tag in _HEADINGS:
        writer.gap()
        _children(element, writer, depth)
        writer.end_block("#" * _HEADINGS[tag] + " ")
        writer.gap()
    elif tag == "a":
        _link(element, writer, depth)
    elif tag == "img":
        _image(element, writer)
    elif tag == "br":
        writer.say("\x00")
    elif tag == "hr":
        writer.gap()
        writer.lines.append(f"{writer.prefix}---")
        writer.gap()
    elif tag in ("ul", "ol"):
        _list(element, writer, depth)
    elif tag == "table":
        _table(element, writer, depth)
    elif tag == "blockquote":
        writer.gap()
        before, writer.prefix = writer.prefix, (writer.prefix + "> ")[:200]
        _children(element, writer, depth)
        writer.end_block()
        writer.prefix = before
        writer.gap()
    elif tag == "pre":
        writer.gap()
        for line in "".join(element.itertext()).strip("\n").split("\n"):
            writer.lines.append(f"{writer.prefix}    {line.rstrip()}")
        writer.gap()
    elif tag in ("b", "strong") and len(element) == 0:
        text = _SPACES.sub(" ", element.text or "").strip()
        if text:
            writer.say(f"**{text}**" if "*" not in text else text)
        else:
            _children(element, writer, depth)
    elif tag in _BLOCKS:
        writer.gap()
        _children(element, writer, depth)
        writer.gap()
    else:
        _children(element, writer, depth)


def _children(element: html.HtmlElement, writer: _Writer, depth: int) -> None:
    if element.text:
        writer.say(_escape(element.text))
    for child in element:
        _walk(child, writer, depth + 1)
        if child.tail:
            writer.say(_escape(child.tail))


def _escape(text: str) -> str:
    """Text that would read as our own markup is shown as what it is."""
    return re.sub(r"([\\`\[\]])", r"\\\1", text)


def _is_hidden(element: html.HtmlElement) -> bool:
    if element.get("hidden") is not None or element.get("aria-hidden") == "true":
        return True
    style = element.get("style")
    return bool(style and _HIDDEN.search(style))


def _image(element: html.HtmlElement, writer: _Writer) -> None:
    """The alternative text of a picture that is more than a pixel."""
    if any((element.get(name) or "").strip().rstrip("px") in ("0", "1", "2") for name in ("width", "height")):
        return
    text = _SPACES.sub(" ", element.get("alt") or "").strip()
    if 2 < len(text) < 200:
        writer.say(_escape(text))


def _link(element: html.HtmlElement, writer: _Writer, depth: int) -> None:
    inner = _Writer(prefix="", length=writer.length)
    _children(element, inner, depth)
    blocks = bool(inner.lines)
    inner.end_block()
    name = " ".join(line for line in inner.lines if line.strip()).strip()
    writer.tables += inner.tables
    writer.links.update(inner.links)
    url = (element.get("href") or "").strip()
    if not name:
        return
    if not _is_followable(url):
        writer.say(name)
        return
    plain = re.sub(r"[*#]+", "", name).strip()
    writer.links.setdefault(url, plain)
    target = url.replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    if blocks:
        writer.gap()
    writer.say(f"[{plain}]({target})" if not url.startswith("mailto:") else plain)


def _is_followable(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (parts.scheme in ("http", "https") and bool(parts.netloc)) or (parts.scheme == "mailto" and "@" in parts.path)


def _list(element: html.HtmlElement, writer: _Writer, depth: int) -> None:
    writer.gap()
    before = writer.prefix
    number = 0
    for item in element:
        if not isinstance(item.tag, str) or _is_hidden(item):
            continue
        number += 1
        mark = f"{number}. " if element.tag == "ol" else "- "
        inner = _Writer(length=writer.length)
        _children(item, inner, depth + 1)
        inner.end_block()
        writer.links.update(inner.links)
        writer.tables += inner.tables
        writer.length = inner.length
        lines = [line for line in inner.lines if line.strip()]
        for index, line in enumerate(lines):
            writer.lines.append(f"{before}{mark if index == 0 else ' ' * len(mark)}{line}")
    writer.gap()


def _table(element: html.HtmlElement, writer: _Writer, depth: int) -> None:
    rows = _rows(element)
    if not _is_data(element, rows):
        writer.gap()
        for row in rows:
            for cell in row:
                _walk(cell, writer, depth + 1)
            writer.gap()
        if not rows:
            _children(element, writer, depth)
        return
    table = []
    for row in rows:
        cells = []
        for cell in row:
            inner = _Writer(length=writer.length)
            _children(cell, inner, depth + 1)
            inner.end_block()
            writer.links.update(inner.links)
            cells.append(" ".join(line for line in inner.lines if line).replace("|", "\\|"))
        if any(cells):
            table.append(cells)
    if not table:
        return
    width = max(len(cells) for cells in table)
    writer.gap()
    writer.tables += 1
    for index, cells in enumerate(table):
        cells += [""] * (width - len(cells))
        writer.lines.append(f"{writer.prefix}| " + " | ".join(cells) + " |")
        if index == 0:
            writer.lines.append(f"{writer.prefix}|" + " --- |" * width)
    writer.gap()


def _rows(element: html.HtmlElement) -> list[list[html.HtmlElement]]:
    rows = []
    for child in element:
        if child.tag in ("thead", "tbody", "tfoot"):
            rows += _rows(child)
        elif child.tag == "tr":
            cells = [cell for cell in child if cell.tag in ("td", "th") and not _is_hidden(cell)]
            if cells:
                rows.append(cells)
    return rows


def _is_data(element: html.HtmlElement, rows: list[list[html.HtmlElement]]) -> bool:
    if element.get("role") == "presentation" or len(rows) < 2:
        return False
    if any(cell.find(".//table") is not None for row in rows for cell in row):
        return False
    filled = [[_SPACES.sub(" ", cell.text_content()).strip() for cell in row] for row in rows]
    wide = [cells for cells in filled if sum(1 for cell in cells if cell) >= 2]
    if any(cell.tag == "th" for row in rows for cell in row):
        return bool(wide)
    short = all(len(cell) <= 120 for cells in wide for cell in cells)
    return len(wide) >= 2 and len(wide) >= 0.6 * len(filled) and short
