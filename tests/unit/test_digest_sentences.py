"""Sentences, paragraphs, figures, links and keywords are found where a reader would see them."""

from __future__ import annotations

import pytest

from otel_autopilot.pipeline.digest.figures import find_figures
from otel_autopilot.pipeline.digest.keywords import find_keywords
from otel_autopilot.pipeline.digest.links import best_links, links_in, without_tracking
from otel_autopilot.pipeline.digest.paragraphs import blocks, tables
from otel_autopilot.pipeline.digest.sentences import plain, sentences_of, split
from otel_autopilot.pipeline.messages import Link


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rained. We stayed.", ["It rained.", "We stayed."]),
        (
            "Dr. Lee and J. R. Moe came at 5 p.m. on 3 May. They left.",
            ["Dr. Lee and J. R. Moe came at 5 p.m. on 3 May.", "They left."],
        ),
        (
            "It costs 3.5 million. See https://a.example/x.y for more.",
            ["It costs 3.5 million.", "See https://a.example/x.y for more."],
        ),
        ("We chose unit 7. The owner agreed.", ["We chose unit 7.", "The owner agreed."]),
        ("Der Termin ist am 9. November. Bitte kommen.", ["Der Termin ist am 9. November.", "Bitte kommen."]),
        ("Das gilt z. B. für Halle 3. Alle wissen es.", ["Das gilt z. B. für Halle 3.", "Alle wissen es."]),
        ("Really?! Yes. (She said so.) Fine.", ["Really?!", "Yes.", "(She said so.)", "Fine."]),
        ("完了です。次は何ですか？はい！", ["完了です。", "次は何ですか？", "はい！"]),
        ("هل وصلت؟ نعم وصلت.", ["هل وصلت؟", "نعم وصلت."]),
        ("वह आया। वह गया।", ["वह आया।", "वह गया।"]),
        ("¿Vienes? ¡Claro! Vale.", ["¿Vienes?", "¡Claro!", "Vale."]),
        ("We follow plan B. Nobody objected.", ["We follow plan B.", "Nobody objected."]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    assert list(sentences_of(text)) == sentences


def test_wrapped_lines_are_joined_and_lines_with_room_are_not() -> None:
    text = (
        "The council met on Tuesday and talked for three hours about the\nbridge, which has to be closed for heavy lorries before\n"
        "winter.\nBudget: 40,000 euros\nOwner: road office\n"
    )
    assert [block.text for block in blocks(text)] == [
        "The council met on Tuesday and talked for three hours about the bridge, which has to be closed for heavy lorries before winter.",
        "Budget: 40,000 euros",
        "Owner: road office",
    ]


def test_headings_items_and_paragraphs_are_told_apart() -> None:
    text = (
        "# Plan\n\nText of the plan goes here and is long enough to be read.\n\nRISKS\n- The crane is old\n- The dock\n  leaks\n\n"
        "2. Costs of the whole thing\nWe pay 40,000 euros for the crane and twice as much for the dock.\n\n---\n\n1. First do this.\n2. Then do that.\n"
    )
    assert [(block.kind, block.text) for block in blocks(text)] == [
        ("heading", "Plan"),
        ("paragraph", "Text of the plan goes here and is long enough to be read."),
        ("heading", "RISKS"),
        ("item", "The crane is old"),
        ("item", "The dock leaks"),
        ("heading", "Costs of the whole thing"),
        ("paragraph", "We pay 40,000 euros for the crane and twice as much for the dock."),
        ("item", "First do this."),
        ("item", "Then do that."),
    ]


def test_code_and_stack_traces_are_no_prose() -> None:
    text = 'It failed again.\n\n```\nrm -rf build\n```\n\nTraceback (most recent call last):\n  File "/srv/a.py", line 3, in f\n    g()\nValueError: x\n\nPlease look.'
    assert [block.text for block in blocks(text)] == ["It failed again.", "Please look."]


def test_tables_give_their_rows() -> None:
    assert tables("Text\n\n| A | B |\n| --- | --- |\n| 1 \\| 2 | x |\n\nMore\n| C |\n") == [[["A", "B"], ["1 \\| 2", "x"]], [["C"]]]


def test_a_sentence_knows_its_heading() -> None:
    (heading, sentence) = split("## Risks\n\n- The contract ends.\n")
    assert (heading.kind, sentence.heading, sentence.kind) == ("heading", "Risks", "item")


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("See [the **plan**](https://a.example/x) now", "See the plan now"),
        ("a \\[b\\] c", "a [b] c"),
        ("go to https://a.example/long/path?x=1 today", "go to a.example today"),
        ("hi <script>alert(1)</script> there", "hi alert(1) there"),
        ("click [here](javascript:alert(1)) now", "click here now"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("Note: data: we have it", "Note: data: we have it"),
    ],
)
def test_markdown_becomes_plain_text(markdown: str, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("We pay $1,200.50 now and 3.5 million euros later.", ["$1,200.50", "3.5 million euros"]),
        ("Die Kosten von 14.300,50 € steigen um 12,5 %.", ["14.300,50 €", "12,5 %"]),
        ("Growth of 3 percent until 31 December 2026.", ["3 percent", "31 December 2026"]),
        ("It took 47 minutes and 2.6 TB of disk.", ["47 minutes", "2.6 TB"]),
        ("Send it by 2026-03-01 or 15.04.2026.", ["2026-03-01", "15.04.2026"]),
        ("It costs £45 a year.", ["£45 a year"]),
        ("予算は1,850万円で、4月12日までです。", ["1,850万円", "4月12日まで"]),
        ("Some 31,400 messages were late.", ["31,400 messages"]),
        ("Call +44 20 7946 0958 or 555-0134.", []),
        ("Order 302-7781190-4432, tracking 1Z999AA10123456784.", []),
        ("In 2025 we moved to room 312 of building 7.", []),
        ("Ticket #48213 and invoice no. 20391 refer to it.", []),
        ("See 10.0.0.17:8080 and version 3.11.4 of it.", []),
        ("Visa ending in 4421 was used.", []),
    ],
)
def test_figures_are_amounts_and_dates_not_names(sentence: str, values: list[str]) -> None:
    assert sorted(figure.value for figure in find_figures([(sentence, 1.0)], [])) == sorted(values)


def test_a_figure_stands_in_its_clause() -> None:
    sentence = "The north region did very well this quarter, revenue rose by 14 % against last year, and nobody expected that to happen at all."
    (figure,) = find_figures([(sentence, 1.0)], [])
    assert figure.context == "revenue rose by 14 % against last year"


def test_two_figures_of_a_sentence_stand_in_parts_of_it() -> None:
    found = find_figures([("Sales were 6 % above plan and 14 % above last year.", 1.0)], [])
    assert [figure.context for figure in found] == ["Sales were 6 % above plan", "14 % above last year"]


def test_tables_give_totals_first_and_then_extremes() -> None:
    table = [
        ["Region", "Revenue", "Change"],
        ["North", "$812", "+19%"],
        ["South", "$466", "+4%"],
        ["West", "$199", "-17%"],
        ["Total", "$1,477", "+6%"],
    ]
    found = [(figure.value, figure.context) for figure in find_figures([], [table])]
    assert found[:3] == [("$1,477", "Total (Revenue)"), ("-17%", "West (Change)"), ("+19%", "North (Change)")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x?utm_source=n&id=3", "https://a.example/x?id=3"),
        ("https://a.example/x?utm_source=n&utm_medium=m", "https://a.example/x"),
        ("https://click.example/r?url=https%3A%2F%2Fa.example%2Fx%3Futm_source%3Dn", "https://a.example/x"),
        ("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fa.example%2Fy&data=05", "https://a.example/y"),
        ("https://urldefense.com/v3/__https://a.example/z__;!!abc", "https://a.example/z"),
        ("https://click.example/r/c2VjcmV0", "https://click.example/r/c2VjcmV0"),
        ("https://a.example/login?redirect=https://a.example/home", "https://a.example/login?redirect=https://a.example/home"),
        ("https://click.example/r?url=javascript:alert(1)", "https://click.example/r?url=javascript:alert(1)"),
        ("https://[broken", "https://[broken"),
    ],
)
def test_tracking_goes_and_plain_redirects_are_unwrapped(url: str, expected: str) -> None:
    assert without_tracking(url) == expected


def test_links_are_named_by_what_stands_around_them() -> None:
    text = "## Timetable\n\nLog: https://ci.example/4172\n[here](https://a.example/t)\n[the full plan](https://a.example/p)\nhttps://b.example/q\n"
    assert [(link.text, link.url) for link in best_links(list(links_in(text)))] == [
        ("Log", "https://ci.example/4172"),
        ("Timetable", "https://a.example/t"),
        ("the full plan", "https://a.example/p"),
        ("b.example/q", "https://b.example/q"),
    ]


def test_boring_double_and_dangerous_links_go() -> None:
    urls = [
        "https://a.example/unsubscribe?u=1", "https://a.example/plan", "http://www.a.example/plan/", "mailto:a@b.example", "javascript:alert(1)",
        "data:text/html,x", "https://twitter.com/acme", "https://a.example/privacy", "ftp://a.example/x", "https://a.example/" + "x" * 2000,
    ]  # fmt: skip
    assert [link.url for link in best_links([Link(text="The plan", url=url) for url in urls])] == ["https://a.example/plan"]


def test_a_link_that_names_another_host_is_shown_as_what_it_is() -> None:
    (link,) = best_links([Link(text="https://bank.example/login", url="https://evil.example/login")])
    assert link.text == "evil.example/login"


def test_at_most_ten_links_are_kept_those_with_telling_names_first() -> None:
    links = [Link(text="x", url=f"https://a.example/{n}") for n in range(20)] + [
        Link(text="The budget plan", url="https://a.example/plan")
    ]
    best = best_links(links)
    assert len(best) == 10
    assert best[-1].text == "The budget plan"


def test_keywords_repeat_or_stand_in_the_subject() -> None:
    sentences = [
        "The eastern wells need a treatment plant.",
        "A treatment plant costs 3 million.",
        "Nobody tests the eastern wells.",
        "Dogs bark.",
    ]
    words = find_keywords("Water quality", sentences)
    assert {"treatment plant", "eastern wells"} <= set(words)
    assert "Water quality" in words
    assert not {"Dogs", "Nobody", "bark"} & set(words)


def test_keywords_of_japanese_are_words_that_come_back() -> None:
    words = find_keywords("大阪倉庫の移転", ["大阪倉庫の移転は四月です。", "移転の費用は高いです。", "大阪倉庫は広いです。"])
    assert "大阪倉庫" in words
    assert "移転" in words


def test_of_a_log_its_errors_and_warnings_are_told_and_else_all_of_it() -> None:
    quiet = ["2026-05-14T03:00:01Z db1 backup[811]: Starting the backup", "2026-05-14 03:14:44,120 db1 backup[811]: Snapshot taken"]
    loud = ["2026-05-14T03:52:12Z db1 backup[811]: ERROR the upload was refused"]
    assert [sentence.text for sentence in split("\n".join(quiet + loud))] == ["db1 backup[811]: ERROR the upload was refused"]
    assert [sentence.text for sentence in split("\n".join(quiet))] == [
        "db1 backup[811]: Starting the backup", "db1 backup[811]: Snapshot taken",
    ]  # fmt: skip
    assert [sentence.text for sentence in split("The backup failed.\n\n" + "\n".join(loud))] == ["The backup failed."]
