"""The frame around the pages: navigation, theme, keyboard, a token, a server that is gone."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import Viewer, viewing


def test_every_page_is_reached_by_a_click_and_back_goes_back(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/")
    names = ["Traces", "Latency", "Compare", "Metrics", "Logs", "Runtime"]
    for name in names:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("h1")).to_have_text(name)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Logs")


def test_the_theme_follows_the_system_until_one_is_chosen_which_is_remembered(page: Page, viewer: Viewer) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{viewer.url}/view/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Theme: system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


def test_the_keyboard_leads_to_pages_to_the_search_and_to_its_own_help(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/")
    expect(page.locator(".rows .row").first).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("select to compare")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.locator("h1")).to_have_text("Latency")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search emails and traces")).to_be_focused()


def test_the_first_tab_stop_skips_the_navigation(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}/view/health")
    expect(page.locator(".tile").first).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_navigation_folds_into_a_menu_where_it_is_narrow(narrow: Page, viewer: Viewer) -> None:
    narrow.goto(f"{viewer.url}/view/")
    link = narrow.get_by_role("link", name="Latency", exact=True)
    expect(link).to_be_hidden()
    narrow.get_by_role("button", name="Pages", exact=True).click()
    assert violations(narrow) == []
    link.click()
    expect(narrow.locator("h1")).to_have_text("Latency")
    expect(link).to_be_hidden()


def test_a_server_that_is_gone_is_told_and_its_return_too(page: Page, viewer: Viewer) -> None:
    page.expected.append("ERR_INTERNET_DISCONNECTED")  # type: ignore[attr-defined]
    page.goto(f"{viewer.url}/view/")
    expect(page.locator(".rows .row").first).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_role("alert").filter(has_text="The server is gone")).to_be_visible()
    assert page.locator(".rows .row").count() > 0
    page.context.set_offline(False)
    expect(page.locator(".banner")).to_be_hidden()


def test_a_viewer_with_a_token_asks_for_it_and_goes_on_where_it_was(page: Page, tmp_path: Path) -> None:
    page.expected += ["401", "Unauthorized"]  # type: ignore[attr-defined]
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length-0123456789\n")
    token.chmod(0o600)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with viewing(data, AUTOPILOT_API_TOKEN_FILE=str(token)) as url:
        page.goto(f"{url}/view/latency")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("A token, please")
        expect(page.locator(".pulse")).to_have_text("Signed out")
        assert violations(page) == []
        page.get_by_role("textbox", name="Token").fill("another")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("That is not the token")
        page.get_by_role("textbox", name="Token").fill("a-token-of-some-length-0123456789")
        page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        expect(page.locator(".pulse")).to_have_text("Live")
        expect(page.locator("main")).to_contain_text("Nothing stored yet")


def test_nothing_is_asked_of_another_host(page: Page, viewer: Viewer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("", "latency", "metrics", "runtime"):
        page.goto(f"{viewer.url}/view/{path}")
        page.wait_for_load_state("networkidle")
    assert asked
    assert [url for url in asked if not url.startswith(viewer.url)] == []


def test_a_page_asked_for_while_the_server_is_away_shows_when_it_is_back(page: Page, viewer: Viewer) -> None:
    page.expected.append("ERR_INTERNET_DISCONNECTED")  # type: ignore[attr-defined]
    page.goto(f"{viewer.url}/view/")
    expect(page.locator(".rows .row").first).to_be_visible()
    page.context.set_offline(True)
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Health")
    link.click()
    expect(page.locator("main [role=alert]")).to_contain_text("The server doesn't answer")
    expect(link).to_have_attribute("aria-current", "page")
    page.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("Telemetry health")
    expect(page.locator(".tile").first).to_be_visible()


def test_an_address_without_a_page_says_so_on_a_page(page: Page, viewer: Viewer) -> None:
    page.expected.append("404")  # type: ignore[attr-defined]
    answer = page.goto(f"{viewer.url}/view/nosuchpage")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_have_text("No such page")
    page.get_by_role("link", name="All emails").click()
    expect(page.locator(".rows .row").first).to_be_visible()


def test_the_help_opens_at_its_beginning(narrow: Page, viewer: Viewer) -> None:
    assert viewer.scene is not None
    narrow.set_viewport_size({"width": 390, "height": 400})
    narrow.goto(f"{viewer.url}/view/traces/{viewer.scene.normal.id}")
    expect(narrow.locator(".wf-row").first).to_be_visible()
    narrow.keyboard.press("?")
    expect(narrow.get_by_role("heading", name="Keyboard")).to_be_in_viewport()
