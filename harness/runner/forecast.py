"""A dry run's forecast of the figures: their precision, and what they can decide."""

from typing import NamedTuple

from rich.table import Table

from harness.config.settings import ProtocolConfig, PurposeConfig
from harness.stats.power import (
    FEWEST_DIFFERING,
    MOST_SAMPLES,
    POWER,
    REDRAWN,
    Plan,
    equivalence_power,
    forecast,
    published_difference_error,
    samples_that_decide,
    tost_reach,
)

ASSUMED_SCORES = (0.5, 0.9)
"""Assumed scores: half of the problems solved is the worst case, nine of ten is typical of the
distills."""
ASSUMED_CORRELATION = 0.5


class PlannedTask(NamedTuple):
    """A task with its planned size."""

    selection: str
    problems: int
    full_size: int
    purpose: PurposeConfig | None


def forecast_table(tasks: list[PlannedTask], protocol: ProtocolConfig) -> Table:
    """A row for each task and each assumed score; figures in percentage points."""
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("to expect,\nin points")
    for header in (
        "if it\nscores",
        "95 % interval,\nthis benchmark",
        "95 % interval,\nnew problems",
        "difference found,\nto another run",
        "\nto a published score",
    ):
        table.add_column(header, justify="right")
    for task in tasks:
        for plan in _plans(task, protocol):
            found = forecast(plan)
            table.add_row(
                task.selection,
                f"{100 * plan.p:g} %",
                f"± {_points(found.fixed_benchmark)}",
                f"± {_points(found.new_problems)}",
                _points(found.against_run),
                _points(found.against_published),
            )
    return table


def forecast_notes(tasks: list[PlannedTask], protocol: ProtocolConfig) -> list[str]:
    """The assumptions of the table, and whether the plan can decide its purpose."""
    rho = ", ".join(sorted({f"{_correlation(task):g}" for task in tasks}))
    published = ", ".join(map(str, sorted({_purpose_of(t).published_samples for t in tasks})))
    lines = [
        f"assumed    two samples of one problem correlate with rho = {rho}; for another run one "
        f"problem in {1 / REDRAWN:.0f} is",
        "           as hard as any other, the rest as hard as for this one; the published score",
        f"           rests on {published} samples of every problem; differences are found with "
        f"about {POWER:.0%} power".replace("%", " %"),
        f"           a difference that fewer than {FEWEST_DIFFERING} problems make is never "
        "significant, however large",
    ]
    lines += [
        f"           {task.selection}: too few problems to find a difference to another run"
        for task in tasks
        if all(forecast(plan).against_run is None for plan in _plans(task, protocol))
    ]
    if protocol.temperature == 0:
        lines.append("           greedy: the same model gives the same answers again")
    elif protocol.samples_per_problem == 1:
        lines.append(
            "           with one sample a problem the run cannot itself tell decoding noise from "
            "difficulty: take more"
        )
    for task in tasks:
        if task.purpose is not None and task.purpose.margin_fraction is not None:
            lines += _purpose(task, protocol)
    return lines


def _purpose(task: PlannedTask, protocol: ProtocolConfig) -> list[str]:
    purpose = task.purpose
    assert purpose is not None
    assert purpose.published_fraction is not None
    assert purpose.margin_fraction is not None
    (plan,) = _plans(task, protocol)
    margin = purpose.margin_fraction
    reach = tost_reach(published_difference_error(plan), margin)
    power = equivalence_power(plan, margin)
    aim = f"{100 * purpose.published_fraction:g} % ± {100 * margin:g} points"
    if reach <= 0:
        chance = "too few answers to show that scores are the same"
    else:
        chance = (
            f"the same if at most {100 * reach:.2g} points apart; a model with the published score "
            f"passes in {100 * power:.0f} % of runs"
        )
    lines = [f"purpose    {task.selection} against {aim}: {chance}"]
    if power < POWER:
        lines.append(f"WARNING    {task.selection} cannot decide that: {_advice(plan, margin)}")
    return lines


def _advice(plan: Plan, margin: float) -> str:
    samples = samples_that_decide(plan, margin)
    if samples is None:
        most = "" if plan.is_greedy else f" with {MOST_SAMPLES} samples"
        return f"nor can all {plan.benchmark_size} problems{most}; widen the margin"
    return (
        f"all {plan.benchmark_size} problems with protocol.samples_per_problem={samples} "
        "would be enough"
    )


def _plans(task: PlannedTask, protocol: ProtocolConfig) -> list[Plan]:
    """One plan for each expected score."""
    purpose = _purpose_of(task)
    expected = purpose.expected_fraction or purpose.published_fraction
    return [
        Plan(
            p=p,
            rho=_correlation(task),
            problems=task.problems,
            benchmark_size=task.full_size,
            samples=protocol.samples_per_problem,
            is_greedy=protocol.temperature == 0,
            published_samples=purpose.published_samples,
        )
        for p in (ASSUMED_SCORES if expected is None else (expected,))
    ]


def _purpose_of(task: PlannedTask) -> PurposeConfig:
    return task.purpose or PurposeConfig()


def _correlation(task: PlannedTask) -> float:
    found = _purpose_of(task).expected_correlation
    return ASSUMED_CORRELATION if found is None else found


def _points(fraction: float | None) -> str:
    return "none" if fraction is None else f"{100 * fraction:.1f}"
