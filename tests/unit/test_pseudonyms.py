"""Keyed pseudonyms."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.errors import SettingsError
from otel_autopilot.telemetry import diagnostics, pseudonyms
from otel_autopilot.telemetry.pseudonyms import Pseudonyms, load_pseudonyms

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOPILOT_PSEUDONYM_KEY_FILE", raising=False)
    monkeypatch.delenv("AUTOPILOT_DATA_DIR", raising=False)


@given(st.text())
def test_a_pseudonym_has_its_shape_and_none_of_its_value(value: str) -> None:
    assert re.fullmatch(pseudonyms.SHAPE, Pseudonyms([NEW]).of(value))


@pytest.mark.parametrize("same", ["Ann@Example.org", " ann@example.org ", "<ANN@example.ORG>", "\tann@example.org\r\n"])
def test_case_blanks_and_angle_brackets_make_no_difference(same: str) -> None:
    assert Pseudonyms([NEW]).of(same) == Pseudonyms([NEW]).of("ann@example.org")


def test_another_value_or_another_key_gives_another_pseudonym() -> None:
    assert Pseudonyms([NEW]).of("a@b.org") != Pseudonyms([NEW]).of("a@c.org")
    assert Pseudonyms([NEW]).of("a@b.org")[6:] != Pseudonyms([OLD]).of("a@b.org")[6:]


def test_rule_identity_candidates_hold_the_pseudonyms_of_retained_keys_so_that_a_key_can_rotate() -> None:
    before = Pseudonyms([OLD]).of("ann@example.org")
    assert Pseudonyms([NEW, OLD]).candidates("ann@example.org") == (Pseudonyms([NEW]).of("ann@example.org"), before)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "data" / "otel-autopilot"
    first = load_pseudonyms(home).of("x")
    assert load_pseudonyms(home).of("x") == first
    assert stat.S_IMODE((home / "pseudonym.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [entry.name for entry in home.iterdir()] == ["pseudonym.key"]


def test_processes_that_start_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from otel_autopilot.telemetry.pseudonyms import load_pseudonyms\n"
        "sys.stdin.read(); print(load_pseudonyms(Path(sys.argv[1])).of('x'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "new")], stdin=-1, stdout=-1, text=True) for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert len({process.communicate()[0] for process in processes}) == 1


def test_a_key_file_holds_several_keys_and_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# current\n{NEW.decode()}\n\n# retained\n{OLD.decode()}\n")
    file.chmod(0o600)
    monkeypatch.setenv("AUTOPILOT_PSEUDONYM_KEY_FILE", str(file))
    assert load_pseudonyms(tmp_path / "unused").candidates("x") == Pseudonyms([NEW, OLD]).candidates("x")
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize(("content", "says"), [("", "no key"), ("# only\n", "no key"), ("short\n", "line 1: 5 characters")])
def test_a_bad_key_file_is_refused_with_its_reason(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(SettingsError, match=says):
        load_pseudonyms(tmp_path, file)


def test_a_bad_key_file_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("hunter2\n")
    with pytest.raises(SettingsError) as caught:
        load_pseudonyms(tmp_path, file)
    assert "hunter2" not in str(caught.value)


def test_a_missing_or_binary_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_pseudonyms(tmp_path, tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 40)
    with pytest.raises(SettingsError, match="UTF-8"):
        load_pseudonyms(tmp_path, tmp_path / "binary")


def test_a_key_file_that_others_can_read_is_used_and_warned_about(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(NEW.decode())
    file.chmod(0o644)
    assert load_pseudonyms(tmp_path, file).of("x") == Pseudonyms([NEW]).of("x")
    assert any(str(file) in warning and "0644" in warning for warning in diagnostics.warnings())


def test_where_no_key_can_be_made_the_process_has_its_own_and_a_warning_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    made = load_pseudonyms(tmp_path / "file" / "data")
    assert re.fullmatch(pseudonyms.SHAPE, made.of("x"))
    assert any("pseudonym key" in warning for warning in diagnostics.warnings())


def test_a_process_uses_what_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_current", None)
    pseudonyms.use(Pseudonyms([NEW, OLD]))
    assert pseudonyms.pseudonym("A@b.org") == Pseudonyms([NEW]).of("a@b.org")
    assert pseudonyms.candidates("A@b.org")[1] == Pseudonyms([OLD]).of("a@b.org")


def test_a_process_that_was_told_nothing_uses_the_key_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudonyms, "_current", None)
    monkeypatch.setitem(os.environ, "AUTOPILOT_DATA_DIR", str(tmp_path))
    assert pseudonyms.pseudonym("x") == load_pseudonyms(tmp_path).of("x")
