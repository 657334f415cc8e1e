"""Whatever a mail says, its digest is text: no structure, link, script or picture of the mail's making."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_autopilot.pipeline.digest.columns import columns, wrap
from otel_autopilot.pipeline.digest.render import escape, render_html, render_markdown, render_text, unescape
from otel_autopilot.pipeline.messages import Figure, KeyPoint, Link, SkippedPart

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "![pixel](https://evil.example/p.gif)", "# Forged heading",
    "## Not read", "- forged item", "1. forged", "> quoted", "| a | b |", "```\ncode\n```", "**bold** _it_ ~~no~~", "<https://evil.example>", "&lt;script&gt;",
    "[x]: https://evil.example", "a\n\n# b", "\\", "\\[x](https://evil.example)", "](https://evil.example)", "$$x$$", "\u202ereversed", "===", "---", "<!--", "<![CDATA[",
    "\x00\x1b[31m", "</p></ul><h1>", "`", "*", "_", "https://evil.example/bare", "data:text/html,<b>", "a&amp;b", "\u2028# x", "\t# x", "    code", "www.evil.example", "+ x", "12) x",
]  # fmt: skip
hostile = st.one_of(
    st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE), min_size=2, max_size=4).map("".join), st.text(max_size=60)
)
urls = st.one_of(
    st.sampled_from(
        ["https://a.example/x", "javascript:alert(1)", "data:text/html,x", "https://a.example/)>[x](javascript:alert(1)"]
    ),
    hostile.map("https://a.example/".__add__),
    hostile,
)


class Seen(HTMLParser):
    """Every tag and attribute of a fragment, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def render(title: str, points: list[str], link_items: list[tuple[str, str]], words: list[str], filename: str) -> str:
    return render_markdown(
        title,
        [KeyPoint(text=text, part="2") for text in points],
        [Figure(value=text, context=text) for text in points],
        [Link(text=text, url=url) for text, url in link_items],
        words,
        [SkippedPart(number="3", content_type=filename, reason="encrypted")],
        {"2": filename},
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    hostile, st.lists(hostile, max_size=3), st.lists(st.tuples(hostile, urls), max_size=3), st.lists(hostile, max_size=2), hostile
)
def test_rule_loopback_nothing_hostile_gets_through(
    title: str, points: list[str], links: list[tuple[str, str]], words: list[str], filename: str
) -> None:
    markdown = render(title, points, links, words, filename)
    html = render_html(markdown)
    seen = Seen(html)
    assert set(seen.tags) <= {"h1", "h2", "p", "ul", "li", "strong", "em", "a"}
    assert {name for name, _ in seen.attributes} <= {"href", "rel"}
    assert all(re.match(r"https?://", value) for name, value in seen.attributes if name == "href")
    assert seen.tags.count("a") <= len(links)
    assert seen.tags.count("h1") == 1
    assert seen.tags.count("h2") == len([line for line in markdown.split("\n") if line.startswith("## ")])
    assert "<script" not in html.lower()
    assert not re.search(r"<[^>]*\sonerror\s*=", html.lower())
    assert not re.search(r"href=[\"']?\s*(javascript|data)", html.lower())
    assert all(
        line.startswith(("# ", "## ", "- ")) or line == "" or not line.startswith(("#", ">", "|", "`", "<"))
        for line in markdown.split("\n")
    )


@given(st.text(max_size=200))
def test_what_is_escaped_can_be_read_again(text: str) -> None:
    assert (
        unescape(escape(text)).split()
        == re.sub(
            r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]", " ", text
        ).split()
    )


@given(hostile)
def test_a_title_reads_as_it_was_written(text: str) -> None:
    shown = Seen(render_html(f"# {escape(text)}\n")).text.split()
    assert shown == unescape(escape(text)).split()


def test_every_section_reads_well() -> None:
    markdown = render_markdown(
        "Report *final*",
        [KeyPoint(text="We lost 3 % of [it].", part="2"), KeyPoint(text="Nobody noticed.", part="1")],
        [Figure(value="3 %", context="We lost 3 %")],
        [Link(text="The plan (draft)", url="https://a.example/plan_(draft)?a=1&b=2")],
        ["plan", "loss"],
        [
            SkippedPart(number="3", content_type="application/pdf", size_bytes=2_500_000, reason="encrypted"),
            SkippedPart(number="4", content_type="image/png", reason="unsupported_type"),
            SkippedPart(number="5", content_type="application/pkcs7-signature", reason="signature"),
        ],
        {"2": "report_q3.pdf"},
    )
    assert markdown == (
        "# Report \\*final\\*\n\n- We lost 3 % of \\[it\\]. *(report\\_q3.pdf)*\n- Nobody noticed.\n\n## Figures\n\n- **3 %** – We lost 3 %\n\n"
        "## Links\n\n- [The plan (draft)](<https://a.example/plan_(draft)?a=1&b=2>)\n\n## Keywords\n\nplan, loss\n\n"
        "## Not read\n\n- PDF (application/pdf, 2.5 MB): encrypted\n- Picture (image/png): not a kind of text\n"
    )
    assert render_html(markdown) == (
        "<h1>Report *final*</h1>\n<ul>\n<li>We lost 3 % of [it]. <em>(report_q3.pdf)</em></li>\n<li>Nobody noticed.</li>\n</ul>\n"
        "<h2>Figures</h2>\n<ul>\n<li><strong>3 %</strong> – We lost 3 %</li>\n</ul>\n<h2>Links</h2>\n<ul>\n"
        '<li><a href="https://a.example/plan_(draft)?a=1&amp;b=2" rel="noopener noreferrer">The plan (draft)</a></li>\n</ul>\n'
        "<h2>Keywords</h2>\n<p>plan, loss</p>\n<h2>Not read</h2>\n<ul>\n<li>PDF (application/pdf, 2.5 MB): encrypted</li>\n"
        "<li>Picture (image/png): not a kind of text</li>\n</ul>\n"
    )
    assert render_text(markdown) == (
        "Report *final*\n==============\n\n- We lost 3 % of [it]. (report_q3.pdf)\n- Nobody noticed.\n\nFigures\n-------\n\n- 3 % – We lost 3 %\n\n"
        "Links\n-----\n\n- The plan (draft)\n  https://a.example/plan_(draft)?a=1&b=2\n\nKeywords\n--------\n\nplan, loss\n\nNot read\n--------\n\n"
        "- PDF (application/pdf, 2.5 MB): encrypted\n- Picture (image/png): not a kind of text\n"
    )


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=400), st.integers(10, 90))
def test_lines_are_as_wide_as_asked_unless_a_word_is_wider(text: str, width: int) -> None:
    for line in wrap(text, width):
        assert columns(line) <= width + 2 * 12 or len(line.split()) <= 1 or max(columns(word) for word in line.split()) > 4


def test_japanese_is_wrapped_without_spaces_and_counted_double() -> None:
    lines = list(wrap("大阪倉庫の移転は、予定どおり四月に開始します。" * 3, 20))
    assert all(columns(line) <= 22 for line in lines)
    assert not any(line.startswith(("、", "。")) for line in lines)
