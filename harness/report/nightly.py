"""What a night says: words for its findings, the table on the terminal, the line for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from harness.analysis.nightly.history import Step, by_label, steps
from harness.analysis.nightly.record import Night
from harness.io.jsonl import write_atomically
from harness.io.terminal import open_console, safe
from harness.report.nightly_page import render_history
from harness.report.nightly_words import changed, headline, reasons, status_of, verdict


def write_history_page(nights: Sequence[Night], results_dir: Path) -> Path:
    """Writes ``nightly/index.html``; returns it."""
    page = results_dir / "nightly" / "index.html"
    write_atomically(page, render_history(nights, results_dir))
    return page


def print_night(nights: Sequence[Night], history: Sequence[Night], page: Path) -> None:
    """Prints what came of a night, and why it ends with the exit status that it has."""
    console = open_console()
    console.print(f"night {nights[0].night}\n")
    table = Table(
        show_header=False, show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for night in nights:
        lines = [headline(night)] if night.figures else []
        lines += [f"changed here: {line}" for line in changed(step_of(night, history))]
        table.add_row(safe(night.label), verdict(night), "\n".join(map(safe, lines)))
    console.print(table)
    console.print()
    status = status_of(nights)
    for night in nights:
        if night.night_exit_status:
            why = "; ".join(reasons(night))
            console.print(
                safe(f"exit status {night.night_exit_status}: {night.label}: {why}"), soft_wrap=True
            )
    if not status:
        models = "model" if len(nights) == 1 else "models"
        console.print(f"exit status 0: {len(nights)} {models}, nothing worse than before")
    console.print(safe(f"history: {page}"), soft_wrap=True)


def step_of(night: Night, history: Sequence[Night]) -> Step:
    """What is different from the night before."""
    of_label = by_label(history).get(night.label, [])
    found = [step for each, step in zip(of_label, steps(of_label), strict=True) if each == night]
    return found[-1] if found else Step([], [])


def summary(
    nights: Sequence[Night], page: Path, history: Path, results_dir: Path
) -> dict[str, Any]:
    """What stdout's last line says."""
    return {
        "night": str(nights[0].night),
        "exit_status": status_of(nights),
        "page": str(page),
        "history": str(history),
        "jobs": [
            {
                "label": night.label,
                "model": night.model,
                "status": night.status,
                "exit_status": night.night_exit_status,
                "reasons": reasons(night),
                "run_id": night.run_id,
                "path": str(results_dir / "runs" / night.run_id) if night.run_id else None,
                "figures": {figure.key: figure.value for figure in night.figures},
                "findings": [each.model_dump(mode="json") for each in night.findings],
            }
            for night in nights
        ],
    }
