"""The list: search, filters in the address, the keyboard, comparing two, and a store that grows while it is read."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Page, Route, expect

from otel_autopilot.local.store import TraceStore
from tests.browser import scene
from tests.browser.axe import violations
from tests.browser.conftest import Viewer

ROWS = ".rows .row"


def opened(page: Page, viewer: Viewer, path: str = "") -> None:
    page.goto(f"{viewer.url}/view/{path}")
    expect(page.locator(ROWS).first).to_be_visible()


def test_a_trace_id_or_a_run_id_in_the_search_opens_its_trace(page: Page, viewer: Viewer) -> None:
    assert viewer.scene is not None
    for wanted in (viewer.scene.lost.id, viewer.scene.lost.run):
        opened(page, viewer)
        page.keyboard.press("/")
        page.keyboard.type(wanted)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"/view/traces/{viewer.scene.lost.id}$"))


def test_text_in_the_search_filters_the_list_and_nothing_found_can_be_undone(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    page.keyboard.press("/")
    page.keyboard.type("scheduled digest nowhere")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Nothing found")
    assert violations(page) == []
    page.locator(".empty").get_by_role("button", name="Clear filters").click()
    expect(page.locator(ROWS).first).to_be_visible()
    expect(page).to_have_url(re.compile(r"/view/$"))


def test_filters_are_in_the_address_and_come_back_from_it(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    page.get_by_label("Outcome").select_option("failed")
    expect(page).to_have_url(re.compile("outcome=failed"))
    expect(page.locator(f"{ROWS} .outcome.success")).to_have_count(0)
    page.get_by_label("Duration ≥").fill("1.5 s")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("min_ms=1500"))
    page.reload()
    expect(page.get_by_label("Outcome")).to_have_value("failed")
    expect(page.get_by_label("Duration ≥")).to_have_value("1.50 s")
    page.go_back()
    expect(page).not_to_have_url(re.compile("min_ms"))
    expect(page.get_by_label("Outcome")).to_have_value("failed")


def test_a_wrong_duration_is_marked_and_asks_nothing(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    page.get_by_label("Duration ≥").fill("soon")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Duration ≥")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("expects a duration such as 250 ms")
    assert "min_ms" not in page.url


def test_rows_are_walked_opened_and_returned_to_by_the_keyboard(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    for _ in range(4):
        page.keyboard.press("j")
    page.keyboard.press("k")
    third = page.locator(ROWS).nth(2)
    expect(third).to_be_focused()
    wanted = third.get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/view/traces/{wanted}"))


def test_two_are_selected_and_compared(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.get_by_role("region", name="Selected traces")).to_contain_text("2 selected")
    assert violations(page) == []
    page.keyboard.press("c")
    expect(page.locator("table.diff tbody tr").first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("table.diff tbody tr").first).to_be_visible()


def test_more_rows_come_with_scrolling_and_stay_when_coming_back(page: Page, viewer: Viewer) -> None:
    opened(page, viewer)
    first = page.locator(ROWS).count()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(ROWS)).not_to_have_count(first)
    many, place = page.locator(ROWS).count(), page.locator(ROWS).nth(first - 5)
    place.scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    wanted = place.get_attribute("data-id")
    place.click()
    expect(page.locator(".wf-row").first).to_be_visible()
    page.go_back()
    expect(page.locator(f'.row[data-id="{wanted}"]')).to_be_in_viewport()
    assert page.locator(ROWS).count() >= many
    assert abs(page.evaluate("scrollY") - top) < 100


def test_a_new_email_shows_by_itself_and_moves_nothing_that_is_read(page: Page, fresh_viewer: Viewer) -> None:
    page.goto(f"{fresh_viewer.url}/view/")
    expect(page.locator("main")).to_contain_text("otel-autopilot demo")
    store = TraceStore.open(fresh_viewer.store)
    now = time.time_ns()
    old = [scene.email(10 + number, now - (60 + number) * scene.SECOND) for number in range(60)]
    store.add_spans([span for trace in old for span in trace.spans])
    expect(page.locator(ROWS).first).to_be_visible()
    read = page.locator(f'.row[data-id="{old[30].id}"]')
    read.scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 200)")
    before = read.bounding_box()
    fresh = scene.email(1, time.time_ns() - scene.SECOND)
    store.add_spans(fresh.spans)
    expect(page.locator(f'.row[data-id="{fresh.id}"]')).to_have_count(1)
    after = read.bounding_box()
    store.close()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 3


def test_a_paused_page_changes_nothing_until_it_goes_on(page: Page, fresh_viewer: Viewer) -> None:
    store = TraceStore.open(fresh_viewer.store)
    store.add_spans(scene.email(1, time.time_ns() - 60 * scene.SECOND).spans)
    opened(page, fresh_viewer)
    page.keyboard.press("p")
    expect(page.locator(".pulse")).to_contain_text("Paused")
    store.add_spans(scene.email(2, time.time_ns() - 50 * scene.SECOND).spans)
    store.close()
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("p")
    expect(page.locator(ROWS)).to_have_count(2)


@pytest.mark.parametrize(
    ("path", "there", "field", "chosen"), [("", ROWS, "Outcome", "failed"), ("logs", ".log", "Severity", "17")]
)
def test_a_question_that_fails_leaves_no_rows_of_the_one_before(page: Page, viewer: Viewer, path: str, there: str, field: str, chosen: str) -> None:  # fmt: skip
    page.expected.append("503")  # type: ignore[attr-defined]
    page.goto(f"{viewer.url}/view/{path}")
    expect(page.locator(there).first).to_be_visible()
    problem = json.dumps({"type": "about:blank", "title": "The store can't be read", "status": 503, "detail": "the disk is gone"})
    asked = re.compile(rf"/view/api/{path or 'traces'}\?")
    page.route(asked, lambda route: route.fulfill(status=503, content_type="application/problem+json", body=problem))
    page.get_by_label(field).select_option(chosen)
    note = page.locator("[role=alert]", has_text="the disk is gone")
    expect(note).to_be_in_viewport()
    expect(page.locator(there)).to_have_count(0)
    expect(page.locator(".page-head [role=status]")).to_have_text("")
    page.unroute(asked)
    note.get_by_role("button", name="Try again").click()
    expect(page.locator(there).first).to_be_visible()
    expect(note).to_have_count(0)


def test_a_search_that_is_too_long_is_refused_at_the_top_of_the_list(page: Page, viewer: Viewer) -> None:
    page.expected.append("422")  # type: ignore[attr-defined]
    opened(page, viewer)
    page.get_by_role("searchbox", name="Search emails and traces").fill("x" * 600)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="at most 500 characters")).to_be_in_viewport()
    expect(page.locator(ROWS)).to_have_count(0)


def seconds_of_reading(page: Page, path: str, rows: str, last: int | None) -> list[str]:
    """Let each answer to a search be an empty one that got a bit further, up to the `last`, which has what there is; returns the asked."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if "q=" not in route.request.url or (last is not None and len(asked) > last):
            route.continue_(url=route.request.url.partition("?")[0] + "?kind=emails&limit=3")
            return
        back = time.time_ns() - len(asked) * 60 * scene.SECOND
        found = {rows: [], "next": f"c{len(asked)}", "complete": False, "searched_to_unix_nano": back, "matched": "text"}
        route.fulfill(json=found)

    page.route(re.compile(rf"/view/api/{path}\?.*q="), answer)
    return asked


def test_a_search_goes_on_by_itself_until_it_has_read_all(page: Page, viewer: Viewer) -> None:
    asked = seconds_of_reading(page, "traces", "traces", last=4)
    page.goto(f"{viewer.url}/view/?q=anything")
    expect(page.locator(ROWS)).to_have_count(3)
    assert [re.findall(r"cursor=(\w+)", url) for url in asked[:5]] == [[], ["c1"], ["c2"], ["c3"], ["c4"]]
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


@pytest.mark.parametrize(("path", "rows"), [("traces", "traces"), ("logs", "logs")])
def test_a_search_says_how_far_it_came_and_stops_when_told(page: Page, viewer: Viewer, path: str, rows: str) -> None:
    asked = seconds_of_reading(page, path, rows, last=None)
    page.goto(f"{viewer.url}/view/{path}?q=anything")
    expect(page.locator(".reading")).to_contain_text("0 found, back to")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Search further back")).to_be_visible()
    expect(page.locator(".reading")).to_be_hidden()
    assert violations(page) == []
    many = len(asked)
    page.get_by_role("button", name="Search further back").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    assert len(asked) > many
