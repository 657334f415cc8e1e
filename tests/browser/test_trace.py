"""One trace: the waterfall, its keyboard, 10,000 spans, hostile values, links, and a trace that is under way."""

from __future__ import annotations

import itertools
import json
import re
import time

from playwright.sync_api import Page, expect

from otel_autopilot.local.store import TraceStore
from tests.browser import scene
from tests.browser.conftest import Viewer

SELECTED = ".wf-row[aria-selected=true]"
#: Rows in the document at most, however many spans a trace has: those in sight and a few above and below.
MOST_ROWS = 80


def opened(page: Page, viewer: Viewer, trace: scene.Trace, query: str = "") -> None:
    page.goto(f"{viewer.url}/view/traces/{trace.id}{query}")
    expect(page.locator(".wf-row").first).to_be_visible()


def stored(viewer: Viewer) -> scene.Scene:
    assert viewer.scene is not None
    return viewer.scene


def test_what_failed_is_said_first_and_leads_to_its_span(page: Page, viewer: Viewer) -> None:
    opened(page, viewer, stored(viewer).failed)
    why = page.locator(".why button")
    expect(why).to_contain_text("SMTP 451 4.7.1 try again later")
    why.click()
    expect(page.locator(".details")).to_contain_text("smtp send")
    expect(page.locator(".details")).to_contain_text("SMTPResponseException")


def test_attempts_waits_and_lost_work_are_told_apart(page: Page, viewer: Viewer) -> None:
    opened(page, viewer, stored(viewer).retried)
    expect(page.locator(".wf-row", has_text="#2")).to_have_count(1)
    expect(page.locator(".wf-time .wait").first).to_be_visible()
    expect(page.locator(".wf-time .critical").first).to_be_attached()
    opened(page, viewer, stored(viewer).lost)
    expect(page.locator(".wf-row.lost")).to_contain_text("lost")
    expect(page.locator(".wf-time .work.lost")).to_have_count(1)


def test_the_keyboard_walks_folds_opens_closes_and_finds_errors(page: Page, viewer: Viewer) -> None:
    trace = stored(viewer).failed
    opened(page, viewer, trace)
    page.keyboard.press("ArrowDown")
    expect(page.locator(SELECTED)).to_contain_text("email")
    page.keyboard.press("End")
    expect(page.locator(SELECTED)).to_contain_text("smtp send")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(SELECTED)).to_contain_text("delivery")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(SELECTED)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator(".details")).to_be_visible()
    expect(page).to_have_url(re.compile(f"span={trace.spans[0].span_id}"))
    page.keyboard.press("e")
    expect(page.locator(SELECTED)).to_contain_text("delivery")
    page.keyboard.press("Escape")
    expect(page.locator(".details")).to_be_hidden()
    page.keyboard.press("l")
    expect(page.locator(".note-row").first).to_be_visible()
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile("critical=true"))


def test_ten_thousand_spans_scroll_with_few_rows_and_fold_zoom_and_search(page: Page, viewer: Viewer) -> None:
    opened(page, viewer, stored(viewer).huge)
    count = "document.querySelectorAll('.wf-row').length"
    for key in ("End", "PageUp", "Home", "PageDown"):
        page.keyboard.press(key)
        assert page.evaluate(count) <= MOST_ROWS
    most = page.evaluate(
        f"""async () => {{
            const box = document.querySelector('.wf-scroll'); let most = 0;
            for (let step = 0; step < 60; step++) {{
                box.scrollTop += 4000; await new Promise(requestAnimationFrame); most = Math.max(most, {count});
            }}
            return most;
        }}"""
    )
    assert most <= MOST_ROWS
    page.get_by_label("Find in this trace").fill("page 200")
    expect(page.locator(SELECTED)).to_contain_text("page 200")
    expect(page.locator(".hits")).to_have_text("4")
    page.get_by_label("Find in this trace").blur()
    page.keyboard.press("-")
    page.locator(".wf-scroll").evaluate("box => box.scrollTop = 0")
    expect(page.locator(".wf-row")).to_have_count(5)
    strip = page.locator(".minimap").bounding_box()
    assert strip is not None
    page.mouse.move(strip["x"] + 300, strip["y"] + 20)
    page.mouse.down()
    page.mouse.move(strip["x"] + 400, strip["y"] + 20, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"zoom=\d+-\d+"))
    page.locator(".minimap").dblclick()
    expect(page).not_to_have_url(re.compile("zoom="))


def test_hostile_values_run_nothing_and_keep_their_place(page: Page, viewer: Viewer) -> None:
    trace = stored(viewer).hostile
    opened(page, viewer, trace, f"?notes=true&span={trace.spans[1].span_id}")
    expect(page.locator(".details .pairs").first).to_be_visible()
    expect(page.locator(".details")).to_contain_text("⟨202E⟩")
    for element in page.locator(".details summary").all():
        if element.evaluate("one => !one.parentElement.open"):
            element.click()
    cut = page.get_by_role("button", name=re.compile("show all"))
    while cut.count():
        cut.first.click()
    for path in ("", "traces", "logs", "compare", f"logs?trace_id={trace.id}"):
        page.goto(f"{viewer.url}/view/{path}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_megabyte_is_cut_until_it_is_asked_for(page: Page, viewer: Viewer) -> None:
    trace = stored(viewer).hostile
    opened(page, viewer, trace, f"?span={trace.spans[1].span_id}")
    value = page.locator(".pairs > div", has=page.locator("dt", has_text=re.compile("^big$")))
    assert len(value.inner_text()) < 2_000
    button = value.get_by_role("button", name=re.compile("show all"))
    if button.count():  # what reads the store may have cut it already
        button.click()
        assert len(value.inner_text()) > 2_000


def test_links_are_followed_both_ways(page: Page, viewer: Viewer) -> None:
    digest, mail = stored(viewer).scheduled, stored(viewer).normal
    opened(page, viewer, digest)
    page.locator(".linked summary").click()
    page.locator(f'.linked-list a[href*="{mail.id}"]').click()
    expect(page).to_have_url(re.compile(mail.id))
    expect(page.locator(".details")).to_contain_text("scheduled digest")
    page.locator(f'.details a[href*="{digest.id}"]').click()
    expect(page).to_have_url(re.compile(digest.id))


def test_a_trace_is_copied_as_json_and_opens_in_jaeger(page: Page, viewer: Viewer) -> None:
    trace = stored(viewer).normal
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, viewer, trace)
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.locator(".toast")).to_have_text("JSON copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["trace_id"] == trace.id
    assert len(copied["spans"]) == len(trace.spans)
    jaeger = page.get_by_role("link", name="Open in Jaeger")
    expect(jaeger).to_have_attribute("href", f"http://127.0.0.1:16686/trace/{trace.id}")


def test_a_trace_that_is_under_way_grows_under_the_readers_eyes(page: Page, fresh_viewer: Viewer) -> None:
    whole = scene.email(1, time.time_ns() - 2 * scene.SECOND)
    store = TraceStore.open(fresh_viewer.store)
    stage = next(place for place, span in enumerate(whole.spans) if span.name == "ingestion")
    store.add_spans(whole.spans[1:stage])
    page.goto(f"{fresh_viewer.url}/view/traces/{whole.id}")
    expect(page.locator(".trace-title")).to_contain_text("under way")
    page.keyboard.press("Enter")
    expect(page.locator(".details")).to_be_visible()
    chosen = page.url
    store.add_spans([*whole.spans[stage:], whole.spans[0]])
    store.close()
    expect(page.locator(".trace-title")).to_contain_text("success")
    expect(page.locator(".wf-row", has_text="smtp send")).to_have_count(1)
    assert page.url == chosen
    expect(page.locator(".details")).to_be_visible()


def test_the_details_are_a_sheet_where_it_is_narrow(narrow: Page, viewer: Viewer) -> None:
    trace = stored(viewer).failed
    narrow.goto(f"{viewer.url}/view/traces/{trace.id}?span={trace.spans[0].span_id}")
    sheet = narrow.locator(".details")
    expect(sheet).to_be_visible()
    box = sheet.bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 390)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    narrow.get_by_role("button", name="Close details").click()
    expect(sheet).to_be_hidden()


def test_folding_all_leaves_the_reader_at_the_nearest_span_in_sight(page: Page, viewer: Viewer) -> None:
    opened(page, viewer, stored(viewer).normal)
    page.keyboard.press("End")
    expect(page.locator(SELECTED)).to_contain_text("smtp send")
    page.keyboard.press("-")
    expect(page.locator(SELECTED)).to_contain_text("delivery")


def test_the_wait_of_a_stage_is_not_drawn_as_work_of_the_root(page: Page, viewer: Viewer) -> None:
    trace = stored(viewer).normal
    opened(page, viewer, trace, f"?span={trace.spans[0].span_id}")
    root = page.locator(".wf-row").first
    expect(root.locator(".self-wait").first).to_be_visible()
    waits = page.evaluate(
        """async () => {
            const { ownTime, selfPieces } = await import("/view/static/js/trace-model.js");
            const spans = [[0, 100, 0, 0], [10, 20, 5, 1], [40, 30, 30, 1], [90, 30, 10, 1]].map(([start_ns, duration_ns, wait_ns]) => ({ start_ns, duration_ns, wait_ns }));
            return { ...ownTime({ spans, kids: [[1, 2, 3]] }, 0), self: selfPieces({ spans, kids: [[1, 2, 3]] }, 0) };
        }"""
    )
    assert waits == {"self": [[0, 10], [30, 40], [70, 90]], "waiting": [[5, 10], [30, 40], [80, 90]], "own": [[0, 5], [70, 80]]}
    expect(page.locator(".details .facts")).to_contain_text("of it waiting")


def test_the_times_over_the_bars_never_overlap(narrow: Page, viewer: Viewer) -> None:
    for trace in (stored(viewer).normal, stored(viewer).failed, stored(viewer).lost, stored(viewer).huge):
        opened(narrow, viewer, trace)
        boxes = [one.bounding_box() for one in narrow.locator(".ticks span").all()]
        edges = [(box["x"], box["x"] + box["width"]) for box in boxes if box is not None]
        assert edges
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(edges))
