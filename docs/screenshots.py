"""Take the pictures of the docs: pages of a viewer that runs, in a headless Chromium (``python docs/screenshots.py http://127.0.0.1:8025``)."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

INTO = Path(__file__).parent / "pictures"
#: Name, page, colour scheme.
PICTURES = (("emails", "/view/?from=15m", "light"), ("trace", "", "light"), ("latency", "/view/latency?from=15m", "dark"))


def main() -> None:
    """Write docs/pictures/*.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of a viewer with emails in it")
    parser.add_argument("--trace", required=True, help="the trace to show")
    given = parser.parse_args()
    INTO.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, page, scheme in PICTURES:
            tab = browser.new_context(viewport={"width": 1280, "height": 820}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
            tab.goto(f"{given.address}{page or '/view/traces/' + given.trace}")
            tab.wait_for_load_state("networkidle")
            tab.wait_for_timeout(1_000)
            tab.screenshot(path=INTO / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
