"""The tables of ``harness rerun``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from harness.analysis.rerun.document import RerunReport
from harness.analysis.rerun.outcome import Figures
from harness.io.terminal import open_console, safe
from harness.runner.summary import percent, percents

ALWAYS_SHOWN = ("engine", "device", "dtype", "host")
"""Other facts only where they differ."""

ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("repeated", lambda f: f"{f.repeated} of {f.requests}"),
    ("errors this time", lambda f: str(f.errors)),
    ("texts the same", lambda f: str(f.texts_same)),
    ("texts different", lambda f: f"{f.texts_different}: {percent(f.texts.value)}"),
    ("  95 % interval", lambda f: percents(f.texts)),
    ("  same until, median", lambda f: _characters(f.first_difference_median)),
    ("finish reason changed", lambda f: str(f.finish_reason_changed)),
    ("token count changed", lambda f: str(f.tokens_changed)),
    (
        "tokens, run and repetition",
        lambda f: f"{_count(f.tokens_before)}, {_count(f.tokens_after)}",
    ),
    ("extracted answer changed", lambda f: str(f.extracted_changed)),
    ("verdict reads otherwise", lambda f: str(f.status_changed)),
    ("  correct to not correct", lambda f: str(f.correct_to_wrong)),
    ("  not correct to correct", lambda f: str(f.wrong_to_correct)),
    ("verdict flips", lambda f: percent(f.flips.value)),
    ("  95 % interval", lambda f: percents(f.flips)),
    ("noise of accuracy", lambda f: _points(f.noise.value)),
    ("  ruled out above", lambda f: _points(f.noise.high)),
)


def print_rerun(report: RerunReport, file: Path) -> None:
    """Prints a repetition to stdout."""
    console = open_console()
    console.print(f"[bold]{safe(report.run_id)}[/bold], {_batches(report)}\n", soft_wrap=True)
    console.print(_figures_table(report.figures))
    console.print()
    console.print(_strata_table(report))
    console.print()
    console.print(_facts_table(report))
    console.print(f"\n{_meaning(report.figures[0])}", soft_wrap=True)
    if report.regraded_otherwise:
        console.print(
            f"note: the run's own texts, graded again here, got {report.regraded_otherwise} other "
            "verdicts than are recorded; flips are counted between verdicts made here",
            soft_wrap=True,
        )
    for note in report.notes:
        console.print(f"note: {safe(note)}", soft_wrap=True)
    console.print(f"\nfile {safe(str(file))}", soft_wrap=True)


def _batches(report: RerunReport) -> str:
    before = report.batch_size_before
    return (
        f"batch size {'left to the engine' if before is None else before} "
        f"({_at_once(report.at_once_before)}), repeated with {report.batch_size_after} "
        f"({_at_once(report.at_once_after)})"
    )


def _at_once(count: int | None) -> str:
    return "unknown how many at once" if count is None else f"at most {count} at once"


def _meaning(figures: Figures) -> str:
    noise = figures.noise
    if noise.value is None or noise.high is None:
        return "No repetition was graded: the noise floor is unknown."
    if noise.value == 0:
        return (
            f"No verdict flipped. That is what {figures.repeated} requests can say: a noise of up "
            f"to {_points(noise.high)} of accuracy between two runs of these {figures.requests} "
            "requests with the same seeds is not ruled out."
        )
    text = (
        f"Two runs of these {figures.requests} requests with the same seeds differ by up to "
        f"{_points(noise.value)} of accuracy from this alone (95 %); the {figures.repeated} "
        f"repeated do not rule out {_points(noise.high)}."
    )
    p = figures.direction_p
    if p is not None and p < 0.05:  # noqa: PLR2004 - the level of every test here
        text += f" The flips go one way (p = {p:.2g}): that is a shift, and no mere noise."
    return text


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _figures_table(figures: Sequence[Figures]) -> Table:
    table = _table("")
    for each in figures:
        table.add_column(safe(each.task or "all"), justify="right")
    for label, show in ROWS:
        table.add_row(label, *(show(each) for each in figures))
    return table


def _strata_table(report: RerunReport) -> Table:
    table = _table("task", "verdict in the run")
    for name in ("requests", "repeated", "texts different", "flips"):
        table.add_column(name, justify="right")
    for each in report.strata:
        counts = (each.requests, each.repeated, each.texts_different, each.flips)
        table.add_row(safe(each.task), each.status, *map(str, counts))
    return table


def _facts_table(report: RerunReport) -> Table:
    table = _table("made with", "run", "repetition", "")
    for fact in report.facts:
        if fact.name in ALWAYS_SHOWN or fact.differs:
            cells = map(safe, (fact.name, fact.run, fact.repetition))
            table.add_row(*cells, "differs" if fact.differs else "")
    return table


def _characters(median: float | None) -> str:
    return "always" if median is None else f"{median:,.0f} characters"


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} points"


def _count(tokens: int | None) -> str:
    return "unknown" if tokens is None else f"{tokens:,}"
