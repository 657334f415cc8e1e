"""Routing rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.email.routing import Routes
from otel_autopilot.pipeline.messages import Address, Blob, Email, Part

PDF = Part(
    number="2",
    content_type="application/pdf",
    filename="bill.pdf",
    attachment=True,
    blob=Blob(path=Path("x"), sha256="x", size_bytes=1),
)


def email(subject: str = "Invoice 42", sender: str | None = "a@shop.example.com", attachments: tuple[Part, ...] = ()) -> Email:
    return Email(subject=subject, sender=Address(address=sender) if sender else None, attachments=attachments)


def routes(tmp_path: Path, text: str) -> Routes:
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    return Routes.load(path)


def matches(tmp_path: Path, conditions: str, mail: Email) -> bool:
    return routes(tmp_path, f"rules: [{{name: r, workflow: w, {conditions}}}]").choose(mail).rule == "r"


@pytest.mark.parametrize(
    ("conditions", "mail", "expected"),
    [
        ("from_domain: example.com", email(), True),
        ("from_domain: '@shop.EXAMPLE.com'", email(), True),
        ("from_domain: ample.com", email(), False),
        ("from_domain: example.com", email(sender=None), False),
        ("from_email: A@shop.example.com", email(), True),
        ("from_email: b@shop.example.com", email(), False),
        ("subject_contains: invoice", email(), True),
        ("subject_contains: order", email(), False),
        (r"subject_regex: '^invoice \d+$'", email(), True),
        (r"subject_regex: '^order'", email(), False),
        ("has_attachment: true", email(), False),
        ("has_attachment: true", email(attachments=(PDF,)), True),
        ("has_attachment: false", email(), True),
        ("attachment_type: pdf", email(attachments=(PDF,)), True),
        ("attachment_type: application/pdf", email(attachments=(PDF,)), True),
        ("attachment_type: docx", email(attachments=(PDF,)), False),
        ("from_domain: other.org, subject_contains: invoice", email(), False),
        ("from_domain: other.org, subject_contains: invoice, all_conditions: false", email(), True),
        ("priority: 5", email(), False),
    ],
)
def test_a_rule_asks_for_its_conditions(tmp_path: Path, conditions: str, mail: Email, expected: bool) -> None:
    assert matches(tmp_path, conditions, mail) is expected


def test_the_highest_priority_wins_and_of_equals_the_first(tmp_path: Path) -> None:
    rule = "- {{name: {}, workflow: {}, subject_contains: invoice, priority: {}}}\n"
    text = "rules:\n" + rule.format("a", "wa", 1) + rule.format("b", "wb", 7) + rule.format("c", "wc", 7)
    assert routes(tmp_path, text).choose(email()).workflow == "wb"


def test_without_a_match_the_default_workflow_is_taken(tmp_path: Path) -> None:
    assert routes(tmp_path, "default: mine\n").choose(email()).workflow == "mine"
    assert Routes.default().choose(email()).workflow == "email-digest"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n- name: a\n  workflow: w\n- name: b\n", r"routes.yaml:4: rule 2: workflow: .*required"),
        ("rules:\n- name: a\n  workflow: w\n  prioritty: 3\n", r"routes.yaml:2: rule 1: prioritty: .*got 3"),
        ("rules:\n- name: a\n  workflow: w\n  priority: high\n", r"routes.yaml:2: rule 1: priority: .*integer.*got 'high'"),
        ("rules:\n- name: a\n  workflow: w\n  subject_regex: '('\n", r"routes.yaml:2: rule 1: subject_regex: .*regular expression"),
        ("rules: {}\n", r"routes.yaml:1: expected a mapping"),
        ("- a\n", r"routes.yaml:1: expected a mapping"),
        ("", r"routes.yaml:1: expected a mapping"),
        ("rules:\n  - [\n", r"routes.yaml:3: expected YAML"),
        ("rools: []\n", r"routes.yaml:1: expected a mapping.*rools"),
    ],
)
def test_a_bad_file_is_an_error_that_names_file_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        routes(tmp_path, text)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: No such file"):
        Routes.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "((a+))+", "(a|a)+$", r"(\w+\s?)*x", "(a?){30}$", "(?=(a+)+)x", ".*a.*b.*c.*d", "(a{2,90}){2,90}"]
)
def test_a_pattern_that_can_take_for_ever_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(SettingsError, match="can take for ever"):
        routes(tmp_path, f"rules: [{{name: r, workflow: w, subject_regex: '{pattern}'}}]")


@pytest.mark.parametrize(
    "pattern", [r"invoice \d+", r"^(?:re|fwd):\s*", r"^\[.*\] (urgent|asap)", "(ab)+", r"(\d{1,3}[.]){3}", "(?i:bill)"]
)
def test_ordinary_patterns_are_taken(tmp_path: Path, pattern: str) -> None:
    routes(tmp_path, f"rules: [{{name: r, workflow: w, subject_regex: '{pattern}'}}]")
