"""The plots of a report as PNG and SVG files, drawn by a Chromium of the machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import UnavailableError
from harness.io.jsonl import unwritable
from harness.report.page.write import Report

WIDTH_PX, HEIGHT_PX, SCALE = 760, 460, 2
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_WITHOUT = "--plots: {}; the page and report.md are written"


def write_pictures(report: Report, folder: Path) -> Iterator[str]:
    """Writes each plot twice and says where, when all are there.

    Raises:
        UnavailableError: There is no kaleido or no browser that it can use.
        StoreError: The folder cannot be written.
    """
    try:
        import kaleido
    except ImportError as error:
        why = "needs kaleido: pip install 'gegenprobe[plots]'"
        raise UnavailableError(_WITHOUT.format(why)) from error
    browser = find_browser()
    if browser is None:
        looked = f"looked for {', '.join(_BROWSERS)}"
        why = f"needs Chromium or Chrome in PATH ({looked}) or as BROWSER_PATH"
        raise UnavailableError(_WITHOUT.format(why))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    figures = [
        {
            "fig": _on_paper(plot.figure, plot.caption),
            "path": str(folder / f"{plot.name}.{kind}"),
            "opts": {"format": kind, "width": WIDTH_PX, "height": HEIGHT_PX, "scale": SCALE},
        }
        for plots in report.plots.values()
        for plot in plots
        for kind in ("png", "svg")
    ]
    try:
        kaleido.write_fig_from_object_sync(figures, kopts={"path": browser})
    except Exception as error:  # kaleido's own, and the browser's
        why = f"{browser} drew none ({type(error).__name__}: {' '.join(str(error).split())})"
        raise UnavailableError(_WITHOUT.format(why)) from error
    yield f"{len(figures)} pictures in {folder}"


def find_browser() -> str | None:
    """What ``BROWSER_PATH`` names; else the first Chromium or Chrome in ``PATH``."""
    named = os.environ.get("BROWSER_PATH")
    if named and Path(named).is_file():
        return named
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def _on_paper(figure: Any, caption: str) -> Any:
    """The figure on white, with its title, as it stands in a document."""
    import plotly.graph_objects as go

    drawn = go.Figure(figure)
    drawn.update_layout(
        template="plotly_white",
        title={"x": 0.02, "subtitle": {"text": caption, "font": {"size": 11}}},
        margin={"t": 110, "r": 30},
    )
    return drawn
