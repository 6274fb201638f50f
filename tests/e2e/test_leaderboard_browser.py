"""The leaderboard's page in a real browser: sorted, filtered, alone, and no name is an order."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cli.main import main
from tests.e2e.pages import LONGEST_MS
from tests.unit.leaderboard_results import write_result

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    results = folder / "results"
    write_result(results, "run_a", 150, model="alpha", begun="2026-01-02T00:00:00Z")
    write_result(results, "run_b", 90, model="beta", begun="2026-01-03T00:00:00Z")
    write_result(results, "run_c", 20, model=EVIL, begun="2026-01-01T00:00:00Z")
    write_result(results, "run_d", 60, model="alpha", limit_tokens=500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(folder / "cache"))
        file = folder / "page.html"
        assert main(["leaderboard", "--results-dir", str(results), "--html", str(file)]) == 0
    return file


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(browser: "Browser", page_file: Path, request: pytest.FixtureRequest) -> "Iterator[Page]":
    """The page as it was opened; what it complained of or asked the network for fails the test."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    opened.set_default_timeout(LONGEST_MS)
    complaints, requests = [], []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: requests.append(asked.url))
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]


def runs(page: "Page", number: int = 0) -> list[str]:
    """The runs of a list as it stands, top down."""
    rows = page.locator("section.list").nth(number).locator("tbody tr:visible td.run code")
    return rows.all_inner_texts()


def test_columns_sort_by_click_and_by_key(page: "Page") -> None:
    assert runs(page) == ["run_a", "run_b", "run_c"]
    table = page.locator("table").first
    rank, begun = (table.get_by_role("columnheader", name=name) for name in ("rank", "begun"))
    assert rank.get_attribute("aria-sort") == "ascending"
    begun.get_by_role("button").click()
    assert runs(page) == ["run_c", "run_a", "run_b"]
    assert (begun.get_attribute("aria-sort"), rank.get_attribute("aria-sort")) == (
        "ascending",
        None,
    )
    page.keyboard.press("Enter")
    assert runs(page) == ["run_b", "run_a", "run_c"]
    assert begun.get_attribute("aria-sort") == "descending"
    assert runs(page, 1) == ["run_d"]


def test_the_filter_takes_all_words_and_hides_empty_lists(page: "Page") -> None:
    box, count = page.get_by_role("searchbox"), page.locator("#count")
    assert count.inner_text() == "4 of 4 rows"
    box.fill("ALPHA vllm")
    assert (runs(page), runs(page, 1)) == (["run_a"], ["run_d"])
    assert count.inner_text() == "2 of 4 rows"
    box.fill("beta")
    assert runs(page) == ["run_b"]
    assert not page.locator("section.list").nth(1).is_visible()
    box.fill("no such thing")
    assert count.inner_text() == "0 of 4 rows"
    box.fill("")
    assert len(runs(page)) == 3


def test_markup_in_a_name_stays_text(page: "Page") -> None:
    assert page.title() == "Leaderboard"
    assert page.locator("td.run strong", has_text="onerror").inner_text() == EVIL
    assert page.locator("main img, main script").count() == 0


def test_the_page_itself_never_scrolls_sideways(page: "Page") -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
