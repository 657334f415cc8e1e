"""A real `otel-autopilot view` over a filled store, and a headless Chromium that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import scene

#: How long a process or a page may take to be there, in seconds.
PATIENCE_SECONDS = 30
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}


@dataclass
class Viewer:
    """A viewer that runs."""

    url: str
    data: Path
    scene: scene.Scene | None = None

    @property
    def store(self) -> Path:
        """The store that it shows."""
        return self.data / "telemetry.db"


@contextmanager
def viewing(data: Path, **settings: str) -> Iterator[str]:
    """Run the command over a data directory; gives the address of its pages' root."""
    ready = data / "ready.json"
    command = [sys.executable, "-m", "otel_autopilot", "view", "--port", "0", "--otlp-grpc-port", "0", "--otlp-http-port", "0", "--ready-file", str(ready)]  # fmt: skip
    with (data / "view.log").open("wb") as said:
        process = subprocess.Popen(
            command, env={**os.environ, "AUTOPILOT_DATA_DIR": str(data), **settings}, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not ready.exists():
            assert process.poll() is None, (data / "view.log").read_text()
            assert time.monotonic() < until, f"expected the viewer within {PATIENCE_SECONDS} s"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['view_port']}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A viewer of a morning of mail. No test adds to its store."""
    data = tmp_path_factory.mktemp("many")
    stored = scene.fill(data / "telemetry.db")
    with viewing(data, AUTOPILOT_JAEGER_URL="http://127.0.0.1:16686") as url:
        yield Viewer(url, data, stored)


@pytest.fixture(scope="session")
def empty_viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A viewer of a store with nothing in it. No test adds to it."""
    data = tmp_path_factory.mktemp("empty")
    with viewing(data) as url:
        yield Viewer(url, data)


@pytest.fixture
def fresh_viewer(tmp_path: Path) -> Iterator[Viewer]:
    """A viewer of an empty store of the test's own."""
    with viewing(tmp_path) as url:
        yield Viewer(url, tmp_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium is not None, "expected chromium on the PATH: apt-get install chromium"
    with sync_playwright() as play, tempfile.TemporaryDirectory() as home:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"], env={**os.environ, "HOME": home})  # type: ignore[dict-item]
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page 1,280 pixels wide. The test fails when anything was wrong enough for the console."""
    yield from _page(browser, viewport=WIDE)


@pytest.fixture
def narrow(browser: Browser) -> Iterator[Page]:
    """A page 390 pixels wide, in the dark."""
    yield from _page(browser, viewport=NARROW, color_scheme="dark", has_touch=True)


def _page(browser: Browser, **how: Any) -> Iterator[Page]:
    context = browser.new_context(**how)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # A test that provokes an error says which by adding to this.
    page.expected = []  # type: ignore[attr-defined]
    yield page
    left = [text for text in wrong if not any(part in text for part in page.expected)]  # type: ignore[attr-defined]
    context.close()
    assert not left
