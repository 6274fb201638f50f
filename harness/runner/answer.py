"""What came of a run in a few lines above its tables: score, speed, cost, gaps, next command."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.rule import Rule
from rich.table import Table

from harness.io.terminal import open_console, safe
from harness.records import ERROR_STATUSES
from harness.runner.summary import BASIS_WORDS, percent, percents, priced, value_and_unit
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

_LABEL_WIDTH = 12


def print_answer(result: RunResult, folder: Path) -> None:
    """Prints the lines to stderr, and a rule that ends them."""
    console = open_console(stderr=True)
    table = Table.grid(padding=(0, 0))
    table.add_column(width=_LABEL_WIDTH)
    table.add_column(overflow="fold")
    for label, text in answer_lines(result):
        table.add_row(f"[bold]{label}[/bold]", "\n".join(map(safe, text.split("\n"))))
    console.print()
    console.print(table)
    command = safe(next_command(result, folder))
    console.print(f"[bold]{'next':<{_LABEL_WIDTH}}[/bold]{command}", soft_wrap=True)
    console.print(Rule(characters="─" if console.is_terminal else "-", style="dim"))


def answer_lines(result: RunResult) -> Iterator[tuple[str, str]]:
    """Label and text of each line but the command; of several tasks, a line for each."""
    yield "accuracy", "\n".join(_accuracy(result, task) for task in result.manifest.tasks)
    speed = result.estimate("output_tokens_per_s")
    known = speed.value is not None
    yield (
        "speed",
        f"{value_and_unit(speed)} of output" if known else f"unknown: {speed.why_unknown}",
    )
    yield "cost", _cost(result)
    if gaps := _gaps(result):
        yield "no answer", gaps


def next_command(result: RunResult, path: Path) -> str:
    """What to do with the run: ask again what failed, or look at it."""
    folder = shlex.quote(str(path))
    if any(each.status in ERROR_STATUSES for each in result.outcomes):
        return f"harness run resume={folder} retry=errors"
    return f"harness report {folder}"


def _accuracy(result: RunResult, task: TaskInfo) -> str:
    """The score and the interval for new problems, which every run with two problems has."""
    score = result.estimate("accuracy", task.name)
    if score.value is None:
        return f"{task.selection} unknown: {score.why_unknown}"
    interval = "" if score.low is None else f" (95 % interval {percents(score)})"
    return f"{task.selection} {percent(score.value)}{interval}"


def _cost(result: RunResult) -> str:
    """Of one solved task, on each basis that has a price."""
    found = {basis: result.estimate(f"cost_per_solved.{basis}") for basis in priced(result)}
    known = [
        f"{value_and_unit(each)} {BASIS_WORDS[basis]}"
        for basis, each in found.items()
        if each.value is not None
    ]
    if known:
        return f"{', '.join(known)}, per solved problem"
    if found:
        return f"unknown: {next(iter(found.values())).why_unknown}"
    return "unknown: no price list is for this device (see conf/pricing)"


def _gaps(result: RunResult) -> str:
    """How many answers were cut off, not found or not graded; empty if none."""
    counts = Counter(each.status for each in result.outcomes)
    limit = result.manifest.config.protocol.max_new_tokens
    missing = {
        f"truncated at {limit:,} tokens": counts["truncated"],
        "without an answer": counts["no_answer"],
        "failed": sum(counts[status] for status in ERROR_STATUSES),
    }
    parts = [f"{count} {what}" for what, count in missing.items() if count]
    return f"{', '.join(parts)}, of {counts.total():,}" if parts else ""
