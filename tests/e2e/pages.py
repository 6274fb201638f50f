"""Pages in a real browser: opened, and shown to need nothing and complain of nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_MS = 120_000


@contextmanager
def opened(browser: Any, file: Path, width: int) -> Iterator[Any]:
    """The page once its plots are drawn; what it logs, or asks of a network, fails the test."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(LONGEST_MS)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.locator("html[data-plots]").wait_for(timeout=LONGEST_MS)
    yield page
    page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def plot_named(page: Any, name: str, section: str) -> Any:
    """The plot with that heading, once it is drawn, which it is when it comes into sight."""
    plot = page.locator(f"{section} .plot", has=page.get_by_role("heading", name=name))
    plot.scroll_into_view_if_needed()
    plot.locator(".js-plotly-plot .xtick").first.wait_for(state="attached", timeout=LONGEST_MS)
    return plot


def traces(plot: Any) -> list[dict[str, Any]]:
    """What a plot holds, as Plotly has it."""
    held = plot.locator(".plot-area").evaluate("area => JSON.parse(JSON.stringify(area.data))")
    return list(held)
