"""The page in a real browser: no error, no request, nothing wider than the screen, hover titles, both themes.

Needs playwright (`pip install ".[test]"`) and a Chromium: Debian's chromium-headless-shell or chromium, or Chrome.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from eval.report.page import render
from tests.eval.report.toy_report import EVIL, rich_result, toy_evidence

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
CONTRAST = """
() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = channels(text).slice(0, 3).map((v) => v / 255).map(
      (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = getComputedStyle(node).backgroundColor;
      if (channels(found)[3] !== 0) return found;
    }
  };
  const kinds = "p, td, th, li, a, dt, dd, caption, text, .badge, .note, button, summary";
  const shown = (node) => node.textContent.trim() && node.getClientRects().length;
  return [...document.querySelectorAll(kinds)].filter(shown).map((node) => {
    const style = getComputedStyle(node);
    const ink = light(node instanceof SVGElement ? style.fill : style.color);
    const paper = light(behind(node));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    return [ratio, `${node.tagName} ${node.getAttribute("class")} ${node.textContent.trim().slice(0, 40)}`];
  }).filter(([ratio]) => ratio < 4.5);
}
"""
"""Texts whose contrast to what is behind them is below WCAG's 4.5, with it."""


def find_chromium(driver: Any) -> str | None:
    """Playwright's own where it was downloaded, else one that the system has."""
    own = driver.chromium.executable_path
    return own if Path(own).exists() else next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        path = find_chromium(driver)
        if path is None:
            pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)})")
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A page with every part, whose titles would like to be scripts."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render([rich_result()], toy_evidence(EVIL), "all.json", "today"), "utf-8")
    return path


@pytest.fixture
def opened(browser, file):
    """`opened(width, scheme)`: the page, and everything it said or asked for."""
    contexts = []

    def opened(width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda asked: heard.append(asked.url) if asked.url != file.as_uri() else None)
        page.goto(file.as_uri())
        return page, [each for each in heard if not each.startswith("data:")]

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_silently_asks_for_nothing_and_fits_the_screen(opened, width, scheme):
    page, heard = opened(width, scheme)
    for button in page.query_selector_all("summary"):
        button.click()
    assert heard == []
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for picture in page.query_selector_all("svg"):
        assert picture.bounding_box()["height"] > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_what_is_behind_it(opened, scheme):
    page, _ = opened(scheme=scheme)
    assert page.evaluate(CONTRAST) == []


def test_the_theme_follows_the_reader(opened):
    papers = [
        opened(scheme=s)[0].evaluate("getComputedStyle(document.body).backgroundColor") for s in ("light", "dark")
    ]
    assert papers[0] != papers[1]


def test_a_dot_of_the_map_shows_its_title_and_keeps_it(opened):
    page, _ = opened()
    dot = page.locator("#map circle").nth(2)
    dot.hover()
    assert page.locator("#tip").inner_text() == f"{EVIL} 2"
    page.locator("h1").hover()
    assert page.locator("#tip").is_hidden()
    assert dot.locator("title").text_content() == f"{EVIL} 2"


def test_a_mark_of_a_chart_shows_its_model_and_interval(opened):
    page, _ = opened()
    page.locator("figure", has_text="Known (warm) and new (cold)").locator("[data-mark]").last.hover()
    assert page.locator("#tip").inner_text() == "fused, cold: 0.300 [0.250, 0.350]"


def test_a_label_shows_its_songs_alone_and_the_other_view_other_colours(opened):
    page, _ = opened()
    colour = "getComputedStyle(document.querySelectorAll('#map circle')[2]).fill"
    by_genre = page.evaluate(colour)
    page.get_by_role("button", name="metal").click()
    assert page.locator("#map circle.faint").count() == 2
    page.get_by_label("colour by first tag").check()
    assert page.locator("#map circle.faint").count() == 0
    assert page.evaluate(colour) != by_genre
    assert page.get_by_role("button", name="calm").is_visible()


def test_the_table_can_be_reached_and_scrolled_by_keyboard(opened):
    page, _ = opened(width=360)
    region = page.locator("#playlist .scroll").first
    region.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    # Not wait_for_function: where it has to look twice it evaluates a string, which the page's own policy forbids.
    for _ in range(50):
        if region.evaluate("element => element.scrollLeft") > 0:
            return
        page.wait_for_timeout(100)
    pytest.fail("the table did not scroll")
