"""The tables of ``harness doctor``."""

from rich.table import Table

from harness.doctor.diagnosis import Diagnosis
from harness.doctor.finding import Finding
from harness.doctor.fits import USABLE_FRACTION, Fit
from harness.io.terminal import open_console, safe

_COLOURS = {"ok": "green", "warn": "yellow", "missing": "red"}
_COLLAPSED = "packages"
"""Of which only those that are not as they should be get a line."""


def print_diagnosis(found: Diagnosis) -> None:
    """Prints a diagnosis to stdout."""
    console = open_console()
    table = _table()
    table.show_header = False
    for wraps in (False, False, True):
        table.add_column(no_wrap=not wraps)
    for group in dict.fromkeys(each.group for each in found.findings):
        _add_group(table, group, [each for each in found.findings if each.group == group])
    console.print(table)
    if found.fits:
        share = f"{100 * USABLE_FRACTION:.0f} % of the memory, free or not"
        console.print(f"\n[bold]R1 distills[/bold] in {share}")
        console.print(
            "[dim]longest context, and how many of 32,768 tokens at once; weights and cache in "
            "bf16, in float32 on a CPU without it[/dim]\n",
            soft_wrap=True,
        )
        console.print(_fits(found.fits))
    console.print(f"\n{_conclusion(found)}", soft_wrap=True)


def _table() -> Table:
    return Table(show_edge=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _add_group(table: Table, group: str, findings: list[Finding]) -> None:
    table.add_row(f"[bold]{safe(group)}[/bold]", "", "")
    shown = findings
    if group == _COLLAPSED:
        shown = [each for each in findings if each.status != "ok"]
        right = [each for each in findings if each.status == "ok"]
        python = next((each.value for each in right if each.name == "python"), "unknown")
        table.add_row(
            "  as demanded", _status("ok"), f"{len(right)} of {len(findings)}, Python {python}"
        )
    for each in shown:
        table.add_row(f"  {safe(each.name)}", _status(each.status), safe(each.value))
        if each.remedy:
            table.add_row("", "", f"[dim]do: {safe(each.remedy)}[/dim]")


def _status(word: str) -> str:
    return f"[{_COLOURS.get(word, 'bold red')}]{word}[/]"


def _fits(fits: tuple[Fit, ...]) -> Table:
    """A row for each model, a column for each place."""
    places = list(dict.fromkeys(each.place for each in fits))
    table = _table()
    table.add_column("model")
    for column in ("weights", *places):
        table.add_column(column, justify="right")
    smallest = sorted(fits, key=lambda each: each.weights_bytes)
    for model in dict.fromkeys(each.model for each in smallest):
        by_place = {each.place: each for each in fits if each.model == model}
        weights = min(each.weights_bytes for each in by_place.values())
        cells = [_fit(by_place[place]) for place in places]
        table.add_row(model, f"{weights / 1e9:.1f} GB", *cells)
    return table


def _fit(fit: Fit) -> str:
    if fit.context_tokens is None:
        return "no"
    return f"{fit.context_tokens:,} tokens, {fit.long_contexts} at once"


def _conclusion(found: Diagnosis) -> str:
    if found.blocked:
        reasons = "; ".join(found.blocked)
        return f"[bold]cannot run here:[/bold] {safe(reasons)} (exit status 3)"
    return f"[bold]can run here:[/bold] {', '.join(found.engines)}"
