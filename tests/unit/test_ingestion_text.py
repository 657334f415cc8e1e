"""Plain text becomes clean lines, in time that is in proportion to its length."""

from __future__ import annotations

from pathlib import Path

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.ingestion.text import extract_text


def read(tmp_path: Path, text: str) -> str:
    blobs = BlobStore(tmp_path)
    return extract_text(blobs.put(text.encode()), "1", "", blobs.root).text.read_text()


def test_line_ends_are_made_one_and_blanks_at_their_ends_go(tmp_path: Path) -> None:
    assert read(tmp_path, "one \t\r\ntwo\rthree\u00a0\n\n\n\n\n\nfour\x0cfive\n") == "one\ntwo\nthree\n\n\nfour\n\nfive"


def test_flowed_lines_are_joined_and_quotes_and_the_signature_stay_apart(tmp_path: Path) -> None:
    text = "This is a \nparagraph \nof many \nlines.\n> quoted \n-- \nAnn\n"
    assert read(tmp_path, text) == "This is a paragraph of many lines.\n> quoted\n--\nAnn"


def test_very_many_blanks_in_a_line_take_time_in_proportion(tmp_path: Path) -> None:
    """Nobody waits hours for it: the limit of the test would end it."""
    assert len(read(tmp_path, "a" + "\u00a0" * 2_000_000 + "b")) == 2_000_002
