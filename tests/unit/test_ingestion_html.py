"""HTML mail becomes text that a person would read: links, lists and tables stay, furniture and tricks go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_autopilot.pipeline.ingestion.html import to_markdown


def markdown(text: str) -> str:
    return to_markdown(text)[0]


def test_headings_paragraphs_and_emphasis_are_told_apart() -> None:
    assert markdown("<h2>Results</h2><p>All <b>went</b> well.</p><p>Next year.</p>").split("\n\n")[0] == "## Results"
    assert "All" in markdown("<h2>Results</h2><p>All <b>went</b> well.</p>")


def test_links_keep_their_address_and_are_listed() -> None:
    text, _, links, _ = to_markdown('<p>See <a href="https://example.com/a?b=1">the report</a>.</p>')
    assert "[the report](https://example.com/a?b=1)" in text.replace("<https", "https").replace(">)", ")")
    assert [(link.text, link.url) for link in links] == [("the report", "https://example.com/a?b=1")]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"])
def test_links_that_could_run_something_are_no_links(url: str) -> None:
    text, _, links, _ = to_markdown(f'<p><a href="{url}">click here</a></p>')
    assert url not in text
    assert links == ()
    assert "click here" in text


def test_lists_keep_their_items_and_their_depth() -> None:
    lines = markdown("<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul><ol><li>first</li><li>second</li></ol>").splitlines()
    marks = {line.strip() for line in lines if line.strip()}
    assert {"- one", "- inner", "- two", "1. first", "2. second"} <= marks
    assert next(line for line in lines if "inner" in line).startswith(" ")


def test_a_table_of_data_stays_a_table_and_a_layout_is_unrolled() -> None:
    text, _, _, tables = to_markdown(
        "<table><tr><th>Stage</th><th>Share</th></tr><tr><td>Ingestion</td><td>52 %</td></tr><tr><td>Digest</td><td>30 %</td></tr></table>"
    )
    assert tables == 1
    assert [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")] == ["Ingestion", "52 %"]
    layout, _, _, none = to_markdown("<table><tr><td><p>A long paragraph.</p><p>Another one.</p></td></tr></table>")
    assert none == 0
    assert "|" not in layout
    assert "Another one." in layout


def test_what_the_reader_does_not_see_is_not_read() -> None:
    hidden = (
        "<style>p{}</style><script>alert('x')</script><p style='display:none'>preheader</p><div hidden>secret</div>"
        "<p>Seen.</p><!-- a comment --><img src='t.gif' width=1 height=1>"
    )
    text = markdown(f"<html><head><title>Title here</title></head><body>{hidden}</body></html>")
    assert text == "Seen."


def test_the_title_is_given_apart() -> None:
    assert to_markdown("<title> Weekly\n report </title><p>Text.</p>")[:2] == ("Text.", "Weekly report")


def test_entities_and_broken_markup_are_read_as_browsers_do() -> None:
    text = markdown("<p>5 &lt; 6 &amp; 7&nbsp;euros<p>unclosed <b>bold")
    assert text.split("\n\n")[0] == "5 < 6 & 7 euros"
    assert text.split("\n\n")[1].replace("*", "") == "unclosed bold"


@pytest.mark.parametrize("depth", [500, 20_000])
def test_markup_that_is_nested_deeper_than_the_parser_goes_keeps_its_text(depth: int) -> None:
    text = markdown(
        "<p>before</p><script>no()</script>" + "<div>" * depth + "in the depth &amp; dark" + "</div>" * depth + "<p>after</p>"
    )
    assert "before" in text
    assert "in the depth & dark" in text
    assert "after" in text
    assert "no()" not in text


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>/=\"'&;! abtdprlionhek\n\x00é-"), max_size=400))
def test_whatever_comes_there_is_text_and_no_exception(text: str) -> None:
    found, title, links, tables = to_markdown(text)
    assert isinstance(found, str)
    assert "\x00" not in found + title
    assert tables >= 0
    assert all(link.url.startswith(("http://", "https://", "mailto:")) for link in links)
