"""What is new in a mail is told from what is quoted, signed or printed below every mail."""

from __future__ import annotations

import pytest

from otel_autopilot.pipeline.digest.boilerplate import is_boilerplate
from otel_autopilot.pipeline.digest.clean import new_text
from otel_autopilot.pipeline.digest.pages import without_running_lines
from otel_autopilot.pipeline.digest.subjects import is_forward, is_reply, title_of

NEW = "The harbour crane is repaired and may lift again from Monday."
OLD = "When will the crane be ready, and who pays for the ladder?"

ATTRIBUTIONS = [
    "On Mon, Jan 5, 2026 at 9:14 AM Ann Lee <ann@port.example> wrote:",
    "On Mon, Jan 5, 2026 at 9:14 AM Ann Lee\n<ann@port.example> wrote:",
    "Am 05.01.2026 um 09:14 schrieb Ann Lee <ann@port.example>:",
    "Ann Lee <ann@port.example> schrieb am Mo., 5. Jan. 2026, 09:14:",
    "Le lun. 5 janv. 2026 à 09:14, Ann Lee <ann@port.example> a écrit :",
    "El lun, 5 ene 2026 a las 9:14, Ann Lee (<ann@port.example>) escribió:",
    "Il giorno lun 5 gen 2026 alle ore 09:14 Ann Lee <ann@port.example> ha scritto:",
    "Op ma 5 jan. 2026 om 09:14 schreef Ann Lee <ann@port.example>:",
    "Em seg., 5 de jan. de 2026 às 09:14, Ann Lee <ann@port.example> escreveu:",
    "Den mån 5 jan. 2026 kl 09:14 skrev Ann Lee <ann@port.example>:",
    "пн, 5 янв. 2026 г. в 09:14, Ann Lee <ann@port.example>:",
    "05.01.2026 09:14, Ann Lee пишет:",
    "2026年1月5日(月) 9:14 Ann Lee <ann@port.example>:",
    "Ann Lee <ann@port.example> 于2026年1月5日周一 09:14写道：",
    "W dniu pon., 5.01.2026 o 09:14 Ann Lee <ann@port.example> napisał(a):",
]
HEADERS = [
    "From: Ann Lee <ann@port.example>\nSent: Monday, 5 January 2026 09:14\nTo: Bo Ek\nSubject: Crane",
    "**From:** Ann Lee <ann@port.example>\n**Sent:** Monday, 5 January 2026 09:14\n**To:** Bo Ek\n**Subject:** Crane",
    "Von: Ann Lee\nGesendet: Montag, 5. Januar 2026 09:14\nAn: Bo Ek\nBetreff: Kran",
    "De : Ann Lee\nEnvoyé : lundi 5 janvier 2026 09:14\nÀ : Bo Ek\nObjet : Grue",
    "De: Ann Lee\nEnviado el: lunes, 5 de enero de 2026 9:14\nPara: Bo Ek\nAsunto: Grúa",
    "Da: Ann Lee\nInviato: lunedì 5 gennaio 2026 09:14\nA: Bo Ek\nOggetto: Gru",
    "Van: Ann Lee\nVerzonden: maandag 5 januari 2026 09:14\nAan: Bo Ek\nOnderwerp: Kraan",
    "От: Ann Lee\nОтправлено: 5 января 2026 г. 9:14\nКому: Bo Ek\nТема: Кран",
    "发件人: Ann Lee\n发送时间: 2026年1月5日 9:14\n收件人: Bo Ek\n主题: 起重机",
    "差出人: Ann Lee\n送信日時: 2026年1月5日 9:14\n宛先: Bo Ek\n件名: クレーン",
    "-----Original Message-----\nFrom: Ann Lee\nTo: Bo Ek\nSubject: Crane",
    "-------- Ursprüngliche Nachricht --------\nVon: Ann Lee\nAn: Bo Ek\nBetreff: Kran",
    "-------- Message d'origine --------\nDe : Ann Lee\nÀ : Bo Ek\nObjet : Grue",
]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_marked_quotes_go_with_their_attribution(attribution: str) -> None:
    assert new_text(f"{NEW}\n\n{attribution}\n\n> {OLD}\n> > older still\n", "Re: Crane") == NEW
    assert new_text(f"{attribution}\n> {OLD}\n\n{NEW}\n", "Re: Crane").endswith(NEW)


@pytest.mark.parametrize("header", HEADERS)
def test_what_follows_a_header_block_is_older(header: str) -> None:
    assert new_text(f"{NEW}\n\n{header}\n\n{OLD}\n", "Re: Crane") == NEW


@pytest.mark.parametrize("attribution", ATTRIBUTIONS[:9])
def test_quotes_without_marks_go_too(attribution: str) -> None:
    assert new_text(f"{NEW}\n\n{attribution}\n\n{OLD}\n", "Re: Crane") == NEW


@pytest.mark.parametrize("header", HEADERS)
def test_a_forward_gives_the_forwarded_text_without_its_header(header: str) -> None:
    assert new_text(f"{header}\n\n{OLD}\n", "Fwd: Crane") == OLD
    both = new_text(f"{NEW}\n\n{header}\n\n{OLD}\n", "WG: Crane")
    assert both.startswith(NEW)
    assert both.endswith(OLD)
    assert "Ann Lee" not in both


def test_a_forwarded_thread_gives_its_newest_message() -> None:
    thread = f"{HEADERS[0]}\n\n{OLD}\n\n{HEADERS[1]}\n\nWe bought the crane second-hand in 1998.\n"
    assert new_text(thread, "Fwd: Crane") == OLD


def test_a_mail_of_nothing_but_quotes_gives_what_is_quoted() -> None:
    assert new_text(f"> {OLD}\n> Please answer soon.\n", "Crane") == f"{OLD}\nPlease answer soon."
    assert OLD in new_text(f"{ATTRIBUTIONS[0]}\n> {OLD}\n", "Re: Crane")


def test_a_quotation_in_a_mail_that_answers_nobody_is_part_of_it() -> None:
    text = "The mayor said yesterday in the council:\n\n> We will not sell the park to anybody.\n\nThe vote is on Tuesday."
    assert "We will not sell the park" in new_text(text, "Park news")


def test_an_inline_answer_keeps_the_question_that_it_answers() -> None:
    text = f"{ATTRIBUTIONS[0]}\n> Thanks.\n> Is the ladder safe?\n\nYes.\n\n> Bye\n"
    assert new_text(text, "Re: Crane") == "###### Is the ladder safe?\n\nYes."


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nBo Ek\nHarbour office\n+46 8 555 0199",
        "Best regards,\nBo Ek\nHarbour office | Dock 4",
        "Kind regards, Bo",
        "Thanks!\nBo",
        "Mit freundlichen Grüßen\n\nBo Ek\nHafenamt",
        "Cordialement,\nBo Ek",
        "Saludos cordiales,\nBo Ek",
        "Met vriendelijke groet,\n\nBo Ek",
        "С уважением,\nБо Эк",
        "よろしくお願いいたします。\n\n港湾局 エク",
        "Sent from my iPhone",
        "Get Outlook for Android",
        "Bo Ek\nHarbour office\nTel: +46 8 555 0199\nbo@port.example",
        "Bo",
        "_______________________________________________\nport mailing list\nhttps://lists.port.example/listinfo/port",
    ],
)
def test_signatures_go(signature: str) -> None:
    assert new_text(f"Hello,\n\n{NEW}\n\n{signature}\n", "Crane", "Bo Ek") == f"Hello,\n\n{NEW}"


def test_a_postscript_stays() -> None:
    assert new_text(f"{NEW}\n\nRegards\nBo\n\nP.S. Bring the blue key.\n", "", "Bo Ek").endswith("P.S. Bring the blue key.")


def test_thanks_in_the_middle_of_a_mail_is_no_signature() -> None:
    text = "\n\n".join(
        ["Thanks", *(f"Point {number} is about the crane on dock {number}, which needs new bolts." for number in range(40))]
    )
    assert new_text(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "Unsubscribe",
        "[Unsubscribe](https://news.example/u/1)",
        "You are receiving this email because you signed up at news.example.",
        "View this email in your browser",
        "Manage your preferences | Privacy policy",
        "Facebook | X | LinkedIn",
        "Newsletter abmelden",
        "Se désabonner de cette liste",
        "Darse de baja",
        "配信停止はこちら",
        "© 2026 Port Ltd. All rights reserved.",
        "Port Ltd, 12 Quay Street, Hull HU1 2QS",
        "Hafenamt, Kaistraße 12, 20095 Hamburg",
        "This message is confidential and intended only for the addressee.",
        "If you are not the intended recipient, please delete it.",
        "Please consider the environment before printing this email.",
        "This is an automated message, please do not reply.",
        "We use cookies to improve your experience.",
    ],
)
def test_boilerplate_is_known(line: str) -> None:
    assert is_boilerplate(line)


@pytest.mark.parametrize(
    "line",
    [
        NEW,
        "The board decided to unblock the budget of 40,000 euros for the new quay.",
        "Please follow the new procedure from Monday on.",
        "Our contract with the insurer ends on 30 June and must be renewed by the council.",
        "The street will be closed from 9 to 17 on Saturday.",
        "The virus scanner found 14 infected attachments in March, ten more than in February.",
    ],
)
def test_sentences_of_substance_are_no_boilerplate(line: str) -> None:
    assert not is_boilerplate(line)


def test_a_mail_of_nothing_but_boilerplate_keeps_its_text() -> None:
    assert new_text("Unsubscribe\nPrivacy policy") == "Unsubscribe\nPrivacy policy"


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("Re: Crane", "Crane"),
        ("RE: AW: Fwd: Re[2]: Crane", "Crane"),
        ("[port] Re: Crane", "Crane"),
        ("回复: 起重机", "起重机"),
        ("Antw: Kraan", "Kraan"),
        ("[URGENT] Crane", "[URGENT] Crane"),
        ("Re:", ""),
        ("", ""),
        ("Report: crane", "Report: crane"),
        ("  a \n b ", "a b"),
    ],
)
def test_the_title_is_the_subject_without_marks(subject: str, title: str) -> None:
    assert title_of(subject) == title


def test_a_subject_tells_a_reply_from_a_forward() -> None:
    assert is_forward("Fwd: Re: x")
    assert is_forward("[list] WG: x")
    assert not is_forward("Re: Fwd: x")
    assert is_reply("AW: x")
    assert not is_reply("Regarding x")


def test_running_lines_of_a_pdf_go_and_the_rest_stays() -> None:
    pages = [f"Annual report 2025\nChapter {number} begins here.\nIt says something.\nPage {number} of 9" for number in "123456789"]
    text = without_running_lines("\f".join(pages))
    assert "Annual report" not in text
    assert "Page " not in text
    assert text.count("\f") == 8
    assert "It says something." not in text or "Chapter 5" in text


def test_a_forward_of_lotus_notes_gives_the_forwarded_text_alone() -> None:
    text = (
        "\n---------------------- Forwarded by Ann Lee/HOU/ECT on 05/02/2000 10:12 AM ---------------------------\n\n\n"
        f"\tBob Ray\n\t05/01/2000 04:15 PM\nTo: Ann Lee/HOU/ECT@ECT\ncc:  \nSubject: Re: Crane\n\n{NEW}\n\nB\n"
    )
    assert new_text(text, "Nightly check") == NEW


def test_a_text_of_very_many_short_paragraphs_takes_time_in_proportion() -> None:
    """Nobody waits hours for it: the limit of the test would end it."""
    assert new_text("\n\n".join(["Line."] * 400_000)).count("Line.") > 399_900
