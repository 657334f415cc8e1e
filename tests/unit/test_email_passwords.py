"""The gateway's users file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from otel_autopilot.pipeline.email.passwords import check_password, read_users


def test_the_line_that_the_error_tells_people_to_make_is_a_user_that_can_log_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "otel_autopilot.pipeline.email.passwords", "grace"]
    made = subprocess.run(command, input="right\n", capture_output=True, text=True, check=True)
    path = tmp_path / "users"
    path.write_text("# people\n\n" + made.stdout)
    users = read_users(path)
    assert check_password(users, "grace", b"right")
    assert not check_password(users, "grace", b"wrong")
    assert not check_password(users, "nobody", b"right")
    assert "right" not in made.stdout


def test_an_empty_password_and_a_name_with_a_colon_are_refused() -> None:
    command = [sys.executable, "-m", "otel_autopilot.pipeline.email.passwords"]
    for name, typed in (("grace", "\n"), ("gr:ace", "right\n")):
        done = subprocess.run([*command, name], input=typed, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
    assert "Example" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
