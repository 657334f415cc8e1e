"""The installed wheel works: every command, outside the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``otel-autopilot`` in an environment that holds the wheel and, of the rest, what the checkout's has."""
    wheels = sorted((CHECKOUT / "dist").glob("*.whl"))
    assert wheels, "no wheel in dist/: run make wheel"
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheels[-1])],
        check=True,
    )
    # The dependencies of the environment that runs the tests, without the checkout itself.
    site = next((home / "lib").glob("python3*/site-packages"))
    theirs = next(Path(sys.prefix, "lib").glob("python3*/site-packages"))
    shared = tmp_path_factory.mktemp("dependencies")
    for item in theirs.iterdir():
        if "otel_autopilot" not in item.name and item.suffix != ".pth":
            (shared / item.name).symlink_to(item)
    (site / "dependencies.pth").write_text(f"{shared}\n")
    return home / "bin" / "otel-autopilot"


def run(command: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_", "PYTHON", "COV"))
    }
    return subprocess.run(
        [str(command), *arguments], cwd=home, env={**environment, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")},
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_rule_every_command_works_from_the_wheel(command: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [str(command.parent / "python"), "-c", "import otel_autopilot; print(otel_autopilot.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(command.parents[1]) in where.stdout
    demo = run(command, tmp_path, "demo")
    assert demo.returncode == 0, demo.stderr
    assert "email pipeline  success" in demo.stdout
    (row,) = [
        json.loads(line) for line in run(command, tmp_path, "list", "--json").stdout.splitlines() if '"email pipeline"' in line
    ]
    shown = run(command, tmp_path, "show", row["run_id"])
    assert shown.returncode == 0
    assert "delivery" in shown.stdout
    (tmp_path / "mail.eml").write_bytes(b"From: a@example.org\r\nSubject: hello there\r\n\r\nThe meeting moves to Friday.\r\n")
    assert run(command, tmp_path, "trace", "mail.eml").returncode == 0
    assert run(command, tmp_path, "doctor", "--json").stdout.startswith("{")
    assert run(command, tmp_path, "serve", "--help").returncode == 0
    assert run(command, tmp_path, "erase", "no-such-run-anywhere").returncode == 1
    assert run(command, tmp_path, "stack", "status").returncode == 1
    assert [trace["run_id"] for trace in json.loads(run(command, tmp_path, "query", "traces", "--json").stdout)["traces"]]
    assert run(command, tmp_path, "mcp").returncode == 0
    assert run(command, tmp_path, "--version").stdout.startswith("otel-autopilot ")


def test_the_viewers_pages_and_what_they_load_are_in_it(command: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ, "XDG_DATA_HOME": str(tmp_path), "AUTOPILOT_OTLP_GRPC_PORT": "0", "AUTOPILOT_OTLP_HTTP_PORT": "0",
    }  # fmt: skip
    ready = tmp_path / "ready.json"
    with subprocess.Popen(
        [str(command), "view", "--port", "0", "--ready-file", str(ready)], cwd=tmp_path, env=environment
    ) as process:
        try:
            until = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            base = f"http://127.0.0.1:{json.loads(ready.read_text())['view_port']}"
            page = urllib.request.urlopen(f"{base}/view/", timeout=10).read().decode()
            loaded = re.findall(r'(?:src|href)="(/view/static/[^"]+)"', page)
            assert len(loaded) > 3
            for path in loaded:
                assert urllib.request.urlopen(f"{base}{path}", timeout=10).status == 200
        finally:
            process.terminate()
    assert process.returncode == 0


def test_the_library_alone_imports_nothing_heavy(command: Path, tmp_path: Path) -> None:
    heavy = "pydantic fastapi sqlalchemy dbos rich typer httpx aiosmtpd pypdfium2 opentelemetry.sdk"
    code = f"import sys, otel_autopilot; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([str(command.parent / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_configurations_of_the_backends_are_in_it(command: Path, tmp_path: Path) -> None:
    code = "from otel_autopilot.stack.configuration import collector_folder; print(collector_folder())"
    done = subprocess.run([str(command.parent / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(command.parents[1])
    assert {"builder.yaml", "local.yaml", "jaeger.yaml", "prometheus.yaml"} <= {item.name for item in folder.iterdir()}
    checked = run(
        command, tmp_path, "collector", "check", *(str(folder / name) for name in ("local.yaml", "agent.yaml", "jaeger.yaml"))
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
