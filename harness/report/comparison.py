"""The tables of ``harness compare``."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.analysis.comparison.compare import NOTHING_PAIRED
from harness.analysis.comparison.records import (
    Answers,
    CandidateComparison,
    ComparedFigure,
    Comparison,
    Discordant,
    Equivalence,
    ProtocolDifference,
    RunName,
    TaskComparison,
)
from harness.io.printable import printable
from harness.io.terminal import open_console, safe
from harness.records import Estimate

SHOWN_ANSWER = 40
"""Characters of an answer."""
SHOWN_PROBLEMS = 10
"""Discordant problems of each direction."""
_FIGURES = {
    "output_tokens_per_s": "output, whole run",
    "mean_concurrency": "  requests at once, mean",
    "output_tokens_per_s.steady_state": "output while full",
    "mean_concurrency.steady_state": "  requests at once, mean",
    "completion_tokens.mean": "tokens per answer",
    "inter_token_latency_s.mean": "ITL, mean",
    "queue_wait_s.mean": "wait in the queue, mean",
    "time_to_first_token_s.mean": "TTFT from the start, mean",
    "time_per_output_token_s.mean": "TPOT, mean",
    "request_latency_s.mean": "request from start to end, mean",
    "draft_acceptance_fraction": "drafted tokens accepted",
}


def print_comparison(comparison: Comparison) -> None:
    """Prints it to stdout."""
    console = open_console()
    console.print(f"baseline   {safe(comparison.baseline.label)}", soft_wrap=True)
    for each in comparison.candidates:
        console.print(f"candidate  {safe(each.candidate.label)}", soft_wrap=True)
        _print_marks(console, comparison, each)
        for task in each.tasks:
            console.print(f"\n[bold]{safe(task.task)}[/bold]")
            console.print(_task_table(task, comparison, is_same_run=each.is_same_run))
            _print_discordant(console, task)
        console.print()
        console.print(_run_table(each.figures))
        console.print()
    _print_end(console, comparison)


def _print_marks(console: Console, comparison: Comparison, each: CandidateComparison) -> None:
    """What must be known before the numbers are read."""
    if each.is_same_run:
        console.print("[bold]the same run as the baseline: nothing is tested here[/bold]")
    for field in each.subject_differences:
        console.print(
            f"           {safe(field.field)}: {_cell(field.baseline)} -> {_cell(field.candidate)}",
            soft_wrap=True,
        )
    for name in (comparison.baseline, each.candidate):
        if name.unknown_problems:
            text = f"{name.unknown_problems} problems are none of our task's, left out"
            console.print(safe(f"{name.label}: {text}"), soft_wrap=True)
    for name in (comparison.baseline, each.candidate):
        if silent := _unknown_subject(name):
            text = f"{name.label} does not say: {', '.join(silent)}"
            console.print(f"           {safe(text)}", soft_wrap=True)
    for line in (
        *_mismatches(each.protocol_mismatch),
        *(
            f"not shown to be the same protocol: {task}: unknown {', '.join(fields)}"
            for task, fields in each.protocol_unknown.items()
        ),
    ):
        console.print(f"[bold]{safe(line)}[/bold]", soft_wrap=True)
    for side, tasks in (
        ("baseline", each.tasks_only_in_baseline),
        ("candidate", each.tasks_only_in_candidate),
    ):
        if tasks:
            line = f"only in the {side}, not compared: {', '.join(tasks)}"
            console.print(safe(line), soft_wrap=True)


def _unknown_subject(name: RunName) -> list[str]:
    """What a log of another harness leaves open of the subject, of what is asked first."""
    if not name.is_foreign:
        return []
    asked = ("model", "engine.name", "engine.dtype", "engine.device_name")
    return [each for each in asked if each not in name.subject]


def _mismatches(differences: Iterable[ProtocolDifference]) -> list[str]:
    return [
        f"PROTOCOL MISMATCH {each.task}: {each.field} is {_plain(each.baseline)} in the baseline "
        f"and {_plain(each.candidate)} in the candidate"
        for each in differences
    ]


# --- one task ---------------------------------------------------------------------------------


def _task_table(task: TaskComparison, comparison: Comparison, *, is_same_run: bool) -> Table:
    table = _two_columns()
    table.add_row("problems paired", _counts(task))
    if task.baseline_errors or task.candidate_errors:
        errors = f"{task.baseline_errors} in the baseline, {task.candidate_errors} in the candidate"
        table.add_row("[bold red]errors, not counted[/bold red]", errors)
    table.add_row("baseline", _score(task.baseline_score))
    table.add_row("candidate", _score(task.candidate_score))
    table.add_row("difference", _points(task.difference_new_problems.value))
    if is_same_run:
        return table
    table.add_row("  on new problems, 95 %", _interval(task.difference_new_problems))
    table.add_row("  on these problems, 95 %", _interval(task.difference_fixed_benchmark))
    test = task.test
    table.add_row("problems better, worse", f"{test.problems_better}, {test.problems_worse}")
    table.add_row("test of any difference", f"{_p(test.p, test.p_holm, comparison)}, {test.method}")
    beyond = f" by more than {comparison.margin_points:g}" if comparison.margin_points else ""
    verdict = ": [bold red]REGRESSION[/bold red]" if task.is_regression else ""
    table.add_row(
        f"test of worse{beyond}", _p(test.p_worse, test.p_worse_holm, comparison) + verdict
    )
    if task.equivalence is not None:
        _add_equivalence(table, task.equivalence)
    for figure in task.figures:
        table.add_row(_name(figure), _figure(figure))
        if figure.prices is not None and figure.prices[0] != figure.prices[1]:
            table.add_row("  [bold]at other prices[/bold]", safe(" -> ".join(figure.prices)))
    return table


def _counts(task: TaskComparison) -> str:
    parts = [
        f"{task.problems}",
        *([f"{task.left_out} left out: only errors on one side"] if task.left_out else []),
        *([f"{task.only_in_baseline} only in the baseline"] if task.only_in_baseline else []),
        *([f"{task.only_in_candidate} only in the candidate"] if task.only_in_candidate else []),
    ]
    return "; ".join(parts)


def _add_equivalence(table: Table, found: Equivalence) -> None:
    words = {True: "equivalent", False: "not shown", None: "unknown"}
    for label, verdict, interval in (
        ("on new problems", found.new_problems, found.new_problems_interval),
        ("on these problems", found.fixed_benchmark, found.fixed_benchmark_interval),
    ):
        table.add_row(
            f"same within {found.margin_points:g} points {label}",
            f"{words[verdict]} (90 % interval {_interval(interval)})"
            if verdict is not None
            else words[verdict],
        )


def _print_discordant(console: Console, task: TaskComparison) -> None:
    worse = [each for each in task.discordant if each.difference < 0]
    better = [each for each in task.discordant if each.difference > 0]
    better.sort(key=lambda each: (-each.difference, each.problem_id))
    for label, problems in (("worse", worse), ("better", better)):
        if not problems:
            continue
        table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
        shown = problems[:SHOWN_PROBLEMS]
        # Ids are never cut: readers copy them into the next command.
        table.add_column(
            label, no_wrap=True, min_width=max(len(printable(e.problem_id)) for e in shown)
        )
        for side in ("baseline", "candidate"):
            table.add_column(side, overflow="ellipsis", no_wrap=True)
        for each in shown:
            table.add_row(safe(each.problem_id), *_answer_cells(each))
        console.print()
        console.print(table)
        if (more := len(problems) - SHOWN_PROBLEMS) > 0:
            console.print(f"… and {more} more (--json has all)")


def _answer_cells(each: Discordant) -> tuple[str, str]:
    return (
        _answer(each.baseline_answers, each.baseline_solved, each.baseline_samples),
        _answer(each.candidate_answers, each.candidate_solved, each.candidate_samples),
    )


def _answer(answers: tuple[Answers, ...], solved: int, samples: int) -> str:
    """The most frequent answer on one line; of several samples also how many were right."""
    first = answers[0]
    text = " ".join((first.answer or "").split()) or (first.status or "no answer")
    if len(text) > SHOWN_ANSWER:
        text = f"{text[:SHOWN_ANSWER]}…"
    return safe(text if samples == 1 else f"{solved}/{samples}  {text}")


# --- figures ----------------------------------------------------------------------------------


def _run_table(figures: Iterable[ComparedFigure]) -> Table:
    table = _two_columns()
    for figure in figures:
        table.add_row(_name(figure), _figure(figure))
    return table


def _name(figure: ComparedFigure) -> str:
    if figure.metric.startswith("cost_per_solved."):
        return f"cost per solved, {figure.metric.partition('.')[2]}"
    return _FIGURES[figure.metric]


def _figure(figure: ComparedFigure) -> str:
    if figure.metric == "draft_acceptance_fraction":
        sides = (figure.baseline, figure.candidate)
        return " -> ".join("none" if side is None else f"{100 * side:.1f} %" for side in sides)
    if figure.baseline is None or figure.candidate is None:
        return "unknown"
    one, other = ("at least " * (bound == "lower") for bound in figure.bounds)
    text = f"{one}{figure.baseline:,.4g} -> {other}{figure.candidate:,.4g} {figure.unit}"
    ratio = figure.ratio
    if ratio.value is None:
        return f"{text} ({ratio.why_unknown})"
    text += f", x {ratio.value:.3g}"
    if not figure.paired:
        return f"{text} (one measurement each)"
    if ratio.low is None and ratio.high is None:
        return text
    high = "no upper bound" if ratio.high is None else f"{ratio.high:.3g}"
    return f"{text} (95 % {ratio.low or 0:.3g} to {high})"


def _print_end(console: Console, comparison: Comparison) -> None:
    if comparison.comparisons:
        console.print(
            f"differences are candidate minus baseline in percentage points; p adjusted by Holm "
            f"for {comparison.comparisons} comparison{'s' * (comparison.comparisons != 1)}"
        )
    if comparison.exit_status == NOTHING_PAIRED:
        console.print(
            "[bold red]exit status 6:[/bold red] of a task no problem has a verdict on both sides"
        )
    elif comparison.exit_status:
        console.print(
            f"[bold red]exit status 5:[/bold red] significantly worse by more than "
            f"{comparison.margin_points:g} points"
        )


# --- cells ------------------------------------------------------------------------------------


def _two_columns() -> Table:
    return Table(show_header=False, show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))


def _score(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "unknown"
    return (
        f"{100 * estimate.value:.1f} % (95 % {100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
    )


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"unknown: {estimate.why_unknown}"
    return f"{_points(estimate.low)} to {_points(estimate.high)}"


def _points(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction + 0.0:+.1f}"


def _p(p: float | None, adjusted: float | None, comparison: Comparison) -> str:
    if p is None:
        return "unknown"
    if adjusted is None or comparison.comparisons == 1:
        return f"p = {p:.3g}"
    return f"p = {p:.3g} (adjusted {adjusted:.3g})"


def _plain(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # noqa: PLR2004 - a sha256
        return f"{value[:12]}…"
    return "none" if value is None else str(value)


def _cell(value: Any) -> str:
    return safe(_plain(value))
