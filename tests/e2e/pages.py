"""Pages in a real browser: opened, and shown to need nothing and complain of nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLOTTED = "name => document.querySelector(`#${name} .plot-area`).data"
"""What a plot holds, as Plotly has it."""


@contextmanager
def opened(browser: Any, file: Path, width: int) -> Iterator[Any]:
    """The page once its plots are drawn; what it logs, or asks of a network, fails the test."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-plots=drawn]", timeout=120_000)
    yield page
    page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
