"""Any text in, a digest or an error of ours out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_autopilot.pipeline.blobs import BlobStore
from otel_autopilot.pipeline.digest.clean import new_text
from otel_autopilot.pipeline.digest.compose import compose, model_input
from otel_autopilot.pipeline.messages import Digest, Document
from tests.unit.digest_cases import documents_of, load_cases

PIECES = [
    "> quoted\n", "On 3 May Ann <a@b.example> wrote:\n", "From: a\nSent: b\nTo: c\nSubject: d\n", "-- \n", "Regards,\nBo\n", "# Heading\n", "| a | 1,200 EUR |\n", "|---|---|\n", "- item\n",
    "1. ", "We pay 40,000 EUR by 3 May. ", "Please confirm. ", "\f", "\n\n", "```\n", "[x](https://a.example/y) ", "https://a.example/z ", "これは文です。", "Unsubscribe\n", "    code\n", "?\n", "...",
    "---------- Forwarded message ---------\n", "P.S. more\n", "\u202e", "\x00", "Yes.\n", "###### ", "|", "(", "[", "*", "%", "12 %", "$", "$5", "\ufeff",
]  # fmt: skip
texts = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
kinds = st.sampled_from(["text", "html", "pdf"])


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=80), st.text(max_size=30), st.lists(st.tuples(kinds, texts), max_size=3), st.integers(1, 12))
def test_any_text_gives_a_digest(subject: str, author: str, items: list[tuple[str, str]], key_points: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        blobs = BlobStore(Path(directory))
        documents = [
            Document(part=str(number), kind=kind, text=blobs.put_text(text), characters=len(text), pages=2)  # type: ignore[arg-type]
            for number, (kind, text) in enumerate(items, 1)
        ]
        composed = compose(subject, author, documents, (), key_points)
        assert len(composed.digest.key_points) <= key_points
        assert Digest.model_validate_json(composed.digest.model_dump_json()) == composed.digest
        assert composed.start_unix_nano <= composed.summarized_unix_nano <= composed.end_unix_nano
        assert len(model_input(subject, author, documents, 500)) <= 500
        if any(any(char.isalpha() for char in text) for _, text in items):
            assert composed.digest.title or composed.digest.key_points


@given(texts, st.text(max_size=40), st.text(max_size=20))
def test_cleaning_takes_away_and_never_empties(text: str, subject: str, author: str) -> None:
    new = new_text(text, subject, author)
    assert bool(new.strip()) == bool(text.strip())


@settings(max_examples=10, deadline=None)
@given(st.permutations(load_cases()))
def test_long_documents_are_bounded_and_deterministic(cases: list[object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        blobs = BlobStore(Path(directory))
        parts = [document.text.read_text() for case in cases[:6] for document in documents_of(case, Path(directory))]  # type: ignore[arg-type]
        text = "\f".join(parts * 60)
        document = Document(part="1", kind="pdf", text=blobs.put_text(text), characters=len(text), pages=360)
        first = compose("Everything", "", [document], (), 7).digest
        assert first == compose("Everything", "", [document], (), 7).digest
        assert 1 <= len(first.key_points) <= 7
