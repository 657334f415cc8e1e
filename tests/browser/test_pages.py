"""Each page in each state: many, nothing, failing; wide and light, narrow and dark."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import Viewer

#: Path, heading, and what is there once the page has its data.
PAGES = {
    "": ("Emails", ".rows .row"),
    "traces": ("Traces", ".rows .row"),
    "latency": ("Latency", ".whole-bar .work"),
    "compare": ("Compare", ".short-list li"),
    "compare?of=ranges&a_from=24h&a_to=1h&b_from=1h": ("Compare", "table.stages tbody tr"),
    "metrics?name=autopilot.email.duration": ("Metrics", ".plot canvas"),
    "logs": ("Logs", ".log"),
    "runtime": ("Runtime", ".plot canvas"),
    "health": ("Telemetry health", ".tile"),
}
EMPTY = {
    "": "Nothing stored yet", "traces": "Nothing stored yet", "latency": "Nothing stored yet", "compare": "No other email yet",
    "compare?of=ranges": "No email in either range", "metrics": "Nothing stored yet", "logs": "Nothing stored yet",
    "runtime": "No process told what it uses", "health": "Telemetry health",
}  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_what_is_stored_and_is_accessible(page: Page, viewer: Viewer, path: str) -> None:
    heading, there = PAGES[path]
    page.goto(f"{viewer.url}/view/{path}")
    expect(page.locator("h1")).to_have_text(heading)
    expect(page.locator(there).first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_390_pixels_in_the_dark(narrow: Page, viewer: Viewer, path: str) -> None:
    narrow.goto(f"{viewer.url}/view/{path}")
    expect(narrow.locator(PAGES[path][1]).first).to_be_visible()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(narrow) == []


@pytest.mark.parametrize("path", EMPTY)
def test_a_page_without_data_says_what_to_do(page: Page, empty_viewer: Viewer, path: str) -> None:
    page.goto(f"{empty_viewer.url}/view/{path}")
    expect(page.locator("main")).to_contain_text(EMPTY[path])
    assert violations(page) == []


@pytest.mark.parametrize("name", ["normal", "failed", "retried", "lost", "under_way", "huge", "hostile", "scheduled"])
def test_every_kind_of_trace_is_accessible_with_its_details_open(page: Page, viewer: Viewer, name: str) -> None:
    assert viewer.scene is not None
    trace = getattr(viewer.scene, name)
    page.goto(f"{viewer.url}/view/traces/{trace.id}?notes=true&span={trace.spans[0].span_id}")
    expect(page.locator(".wf-row").first).to_be_visible()
    expect(page.locator(".details .part").first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("path", ["", "latency", "metrics?name=x", "logs", "runtime", "health", "compare?a=1&b=2", "traces/0123456789abcdef0123456789abcdef"])  # fmt: skip
def test_an_error_of_the_backend_is_shown_in_its_words_and_can_be_tried_again(page: Page, viewer: Viewer, path: str) -> None:
    page.expected.append("Failed to load resource")  # type: ignore[attr-defined]
    problem = json.dumps(
        {"type": "about:blank", "title": "Bad parameter", "status": 422, "detail": "from: expected a time, got 'x'"}
    )
    broken = True

    def answer(route):  # type: ignore[no-untyped-def]
        if broken and "/api/state" not in route.request.url:
            route.fulfill(status=422, content_type="application/problem+json", body=problem)
        else:
            route.continue_()

    page.route("**/view/api/**", answer)
    page.goto(f"{viewer.url}/view/{path}")
    note = page.locator("[role=alert]", has_text="expected a time")
    expect(note.first).to_be_visible()
    broken = False
    note.first.get_by_role("button", name="Try again").click()
    expect(page.locator("[role=alert]", has_text="expected a time")).to_have_count(0)


def test_a_trace_that_is_not_stored_says_so_and_shows_once_it_is(page: Page, viewer: Viewer) -> None:
    page.expected.append("404")  # type: ignore[attr-defined]
    page.goto(f"{viewer.url}/view/traces/{'0' * 31}1")
    expect(page.locator("main")).to_contain_text("No such trace here")
    assert violations(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_trace_at_390_pixels_is_accessible_and_its_icons_have_names(narrow: Page, viewer: Viewer, colours: Literal["light", "dark"]) -> None:  # fmt: skip
    assert viewer.scene is not None
    narrow.emulate_media(color_scheme=colours)
    narrow.goto(f"{viewer.url}/view/traces/{viewer.scene.failed.id}")
    expect(narrow.locator(".wf-row").first).to_be_visible()
    for name in ("Copy link", "Copy JSON"):
        expect(narrow.get_by_role("button", name=name)).to_have_attribute("title", name)
    for name in ("Compare", "Open in Jaeger"):
        expect(narrow.locator(".trace-title").get_by_role("link", name=name)).to_have_attribute("title", name)
    assert violations(narrow) == []


def test_two_traces_are_compared_at_390_pixels_without_scrolling_the_page(narrow: Page, viewer: Viewer) -> None:
    assert viewer.scene is not None
    narrow.goto(f"{viewer.url}/view/compare?a={viewer.scene.normal.id}&b={viewer.scene.retried.id}")
    expect(narrow.locator("table.diff tbody tr").first).to_be_visible()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(narrow) == []


def test_the_filters_of_two_ranges_are_all_in_sight_at_390_pixels(narrow: Page, viewer: Viewer) -> None:
    narrow.goto(f"{viewer.url}/view/compare?of=ranges&a_from=24h&a_to=1h&b_from=1h")
    expect(narrow.locator("table.stages")).to_be_visible()
    for field in narrow.locator(".side .filters .field:visible").all():
        box = field.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("name", ["page", "narrow"])
def test_a_record_of_the_log_is_accessible_unfolded_and_its_links_are_large_enough(request: pytest.FixtureRequest, viewer: Viewer, name: str) -> None:  # fmt: skip
    page: Page = request.getfixturevalue(name)
    page.goto(f"{viewer.url}/view/logs")
    page.locator(".log summary").first.click()
    expect(page.locator(".log .pairs").first).to_be_visible()
    assert violations(page, "target-size") == []
