"""The page of many nights in a real browser: levels, new series, and names that are no orders."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.report.nightly import write_history_page
from tests.e2e.pages import opened, plot_named, traces
from tests.unit.nights import SETTING, VERSIONS, crashed_night, made_up_night, regression

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty nights: slower from the 21st, without the 9th, another engine from the 35th."""
    chance = random.Random(3)
    nights = []
    for number in range(40):
        speed = 3000 * chance.gauss(1, 0.02) * (0.8 if number >= 20 else 1)
        newer = {"commit": "8ae877f1c2d3"} if number >= 20 else {}
        engine = {"engine.version": "0.33.0"} if number >= 34 else {}
        found = (regression("output_tokens_per_s", speed, 3000.0),) if number == 20 else ()
        night = made_up_night(
            number,
            speed=speed,
            accuracy=chance.gauss(0.9, 0.012),
            versions=VERSIONS | newer,
            setting=SETTING | engine,
            findings=found,
        )
        nights.append(crashed_night(number) if number == 8 else night)
    nights.append(crashed_night(39, label=EVIL, error=EVIL))
    results = tmp_path_factory.mktemp("nights")
    (results / "nightly").mkdir()
    return write_history_page(nights, results)


def signs(plot: "Locator") -> list[str]:
    return plot.locator(".annotation-text").all_text_contents()


@pytest.mark.parametrize("width", [1280, 390])
def test_trends_show_what_changed_and_when(browser: "Browser", page_file: Path, width: int) -> None:
    with opened(browser, page_file, width) as page:
        plot = plot_named(page, "Output", "#model-0")
        assert sorted(signs(plot)) == sorted(["✕", "◆", "v", "S"])
        assert "2026-11-21" in plot.locator("figcaption").inner_text()
        held = traces(plot)
        lines = [each for each in held if each["mode"] == "lines+markers"]
        assert [len(line["x"]) for line in lines] == [34, 6]  # one for each series
        assert lines[0]["y"][8] is None, "a night without a result is a gap"
        assert all(value > 2000 for line in lines for value in line["y"] if value is not None)
        (ring,) = [each for each in held if each.get("name") == "regression"]
        assert ring["x"] == ["2026-11-21"]
        accuracy = plot_named(page, "Accuracy", "#model-0")
        bands = [each for each in traces(accuracy) if each.get("fill")]
        assert len(bands) == 2
        assert "◆" not in signs(accuracy)
        body_width = page.evaluate("document.documentElement.scrollWidth")
        assert body_width <= width, "only tables scroll sideways"


def test_a_click_on_a_heading_sorts_and_takes_what_is_said_along(
    browser: "Browser", page_file: Path
) -> None:
    with opened(browser, page_file, 1280) as page:
        table = page.locator("#model-0 table")
        table.get_by_role("button", name="output").click()
        first = table.locator("tbody tr").first
        assert "2,3" in first.inner_text()
        rows = table.locator("tbody tr")
        worse = [n for n in range(rows.count()) if "regression" in rows.nth(n).inner_text()]
        assert "7 nights" in rows.nth(worse[0] + 1).inner_text()


def test_a_name_is_no_order_to_the_page(browser: "Browser", page_file: Path) -> None:
    with opened(browser, page_file, 1280) as page:
        assert page.title() == "Nights"
        assert page.locator("#model-1 h2").inner_text() == EVIL
        assert EVIL in page.locator("#model-1 .latest").inner_text()
