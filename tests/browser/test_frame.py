"""The page's frame: addresses, access tokens, and a server that goes away."""

import re
from collections.abc import Callable

import requests
from playwright.sync_api import Page, Route, expect

from services.stack.stack import Stack


def test_every_view_has_an_address_and_the_back_button_works(page: Page) -> None:
    for name, view in (("Draw", "draw"), ("Queue", "queue")):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page).to_have_url(re.compile(f"/{view}$"))
        expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page).to_have_url(re.compile("/draw$"))
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_reader_can_skip_the_navigation(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_the_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(page: Page) -> None:
    page.watched.expected = ("ERR_CONNECTION_REFUSED",)

    def refuse(route: Route) -> None:
        route.abort("connectionrefused")

    page.route("**/v1/**", refuse)
    expect(page.get_by_text("The server does not answer. The page tries again")).to_be_visible(timeout=20_000)
    page.unroute("**/v1/**", refuse)
    expect(page.get_by_text("The server does not answer. The page tries again")).to_be_hidden(timeout=20_000)


def test_the_page_asks_for_a_token_when_the_server_requires_one(new_page: Callable[..., Page]) -> None:
    page = new_page("/data")
    page.watched.expected = ("401",)
    token = "tandem_" + "x" * 40

    def require(route: Route) -> None:
        if route.request.headers.get("authorization") == f"Bearer {token}":
            route.continue_(headers={**route.request.headers, "authorization": ""})
        else:
            route.fulfill(
                status=401, content_type="application/problem+json", body='{"detail": "an access token is needed"}'
            )

    page.route("**/v1/**", require)
    page.reload()
    page.get_by_label("Access token").fill(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Data")


def test_the_policy_allows_files_of_this_origin_only(stack: Stack) -> None:
    response = requests.get(f"{stack.url}/train", timeout=10)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", response.text)
