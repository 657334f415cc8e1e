"""Accessibility of a page as axe sees it."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

#: axe looks for fonts and styles to load by itself, which the policy of the pages forbids: its complaint is not the page's.
ITS_OWN = ["Applying inline style violates", "Couldn't load preload assets", "Refused to apply inline style"]


def violations(page: Page, *rules: str) -> list[str]:
    """What is wrong, a line each: the rule and the elements. `rules` are asked for beside those that axe asks by itself."""
    page.expected += ITS_OWN  # type: ignore[attr-defined]
    found = Axe().run(page, options={"rules": {rule: {"enabled": True} for rule in rules}}).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes'][:5]]} {one['nodes'][0]['failureSummary']}" for one in found]
