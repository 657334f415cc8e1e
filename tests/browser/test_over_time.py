"""Latency, comparison, metrics, logs and runtime: from a number to the traces behind it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Viewer


def test_a_cell_of_the_heat_map_leads_to_its_traces_by_pointer_and_by_keyboard(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/latency?from=6h")
    heat = page.get_by_role("application", name=re.compile("Durations over time"))
    expect(heat.locator("canvas")).to_be_visible()
    expect(page.locator(".heat-legend")).to_contain_text("emails")
    heat.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".behind li").first).to_be_visible()
    expect(page).to_have_url(re.compile("cell="))
    page.reload()
    expect(page.locator(".behind li").first).to_be_visible()
    heat.scroll_into_view_if_needed()
    box = heat.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 70, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 30, steps=5)
    page.mouse.up()
    expect(page.locator(".behind h3")).to_contain_text("20+")
    page.get_by_role("link", name="Open as a list").click()
    expect(page.locator(".rows .row").first).to_be_visible()


def test_a_stage_is_looked_at_by_its_work_or_its_wait(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/latency?from=6h")
    page.get_by_role("button", name="delivery", exact=True).click()
    expect(page).to_have_url(re.compile("stage=delivery"))
    page.get_by_role("button", name="Queue wait").click()
    expect(page).to_have_url(re.compile("measure=wait"))
    page.locator("table.stages tbody tr", has_text="delivery").get_by_role("link").last.click()
    expect(page.locator("h1")).to_have_text("Emails")
    expect(page.locator(".rows .row").first).to_be_visible()


def test_a_comparison_of_versions_says_in_words_how_sure_it_is(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/compare?of=ranges&a_from=24h&a_version=0.1.0&b_from=24h&b_version=0.2.0")
    expect(page.locator("table.stages")).to_contain_text(re.compile("certain|may be chance"))
    page.get_by_role("region", name="Range A").get_by_label("Version").select_option("0.2.0")
    expect(page).to_have_url(re.compile("a_version=0.2.0"))
    expect(page.locator("table.stages")).to_contain_text("may be chance")


def test_an_exemplar_of_a_metric_opens_its_trace(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/metrics")
    page.get_by_label("Find a metric").fill("email duration")
    page.get_by_role("link", name=re.compile("autopilot.email.duration")).click()
    expect(page.locator(".chart-legend")).to_contain_text("p95")
    page.get_by_role("button", name="Rate").click()
    expect(page.locator(".chart-legend")).to_contain_text("/s")
    page.get_by_role("button", name="Percentiles").click()
    page.get_by_label("By", exact=True).select_option("autopilot.outcome")
    expect(page).to_have_url(re.compile("by=autopilot.outcome"))
    if not page.locator(".exemplars").is_visible():
        page.locator("summary", has_text="Exemplars").click()
    page.locator(".exemplars a").first.click()
    expect(page.locator(".wf-row").first).to_be_visible()


def test_a_log_record_unfolds_and_leads_to_its_span(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/logs")
    page.get_by_label("Severity").select_option("errors and above")
    expect(page.locator(".log.bad").first).to_be_visible()
    expect(page.locator(".log:not(.bad)")).to_have_count(0)
    page.get_by_label("Search logs").fill("refused")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=refused"))
    expect(page.locator(".log").first).to_contain_text("delivery refused")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator(".log [open], .log details[open]").first.get_by_role("link", name="Its span").click()
    expect(page.locator(".details")).to_contain_text("smtp send")


def test_the_runtime_stands_over_the_emails_of_that_time(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/runtime")
    for name in ("CPU", "Memory", "Emails of that time"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".chart-legend").first).to_contain_text("4711")
    page.get_by_role("link", name="These emails").click()
    expect(page.locator(".rows .row").first).to_be_visible()


def test_processes_whose_ids_begin_alike_have_names_of_their_own(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/runtime")
    names = page.evaluate(
        """async () => (await import("/view/static/js/process-names.js")).processNames([
            { service: "serve", instance: "serve-18ea2727aa", pid: null }, { service: "serve", instance: "serve-18ea2724bb", pid: null },
            { service: "mail", instance: "mail-1", pid: 1 }, { service: "mail", instance: "mail-2", pid: 1 },
            { service: "alone", instance: "alone-1234567890", pid: 7 }])"""
    )
    assert names == ["serve serve-18ea2727", "serve serve-18ea2724", "mail 1 mail-1", "mail 1 mail-2", "alone 7"]


def test_an_older_range_without_emails_is_told_and_shorter_ranges_are_offered(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/compare?of=ranges")
    expect(page.locator(".empty")).to_contain_text("No email in range A")
    page.get_by_role("button", name="Last hour against the hour before").click()
    expect(page.locator("table.stages")).to_be_visible()
