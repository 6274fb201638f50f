"""Compares tokens, seconds and dollars of two sides, beside their scores."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from harness.analysis.comparison.records import ComparedFigure
from harness.analysis.comparison.side import Side, SideProblem
from harness.config.pricing import BASES, Basis
from harness.metrics.figures import from_interval
from harness.metrics.request_times import REQUEST_TIMES
from harness.stats.intervals import Interval, ratio_interval
from harness.stats.paired import ratio_of_ratios

RATES = {
    "output_tokens_per_s": "tokens/s",
    "mean_concurrency": "requests",
    "output_tokens_per_s.steady_state": "tokens/s",
    "mean_concurrency.steady_state": "requests",
    "inter_token_latency_s.mean": "s",
}
"""Rates of whole runs, with their units: no rate without the concurrency at which it was
reached."""

Couple = tuple[SideProblem, SideProblem]
Measure = Callable[[SideProblem], float | None]


def task_figures(
    task: str, baseline: Side, candidate: Side, names: Sequence[str]
) -> list[ComparedFigure]:
    """Tokens per answer, latency and cost per solved task over the problems in common."""
    ours, theirs = baseline.tasks[task].problems, candidate.tasks[task].problems
    couples = [(ours[name], theirs[name]) for name in names]
    figures = [
        _paired(task, "completion_tokens.mean", "tokens", couples, lambda p: _mean(p.tokens)),
        *(
            _paired(task, f"{name}.mean", "s", couples, partial(_mean_time, name))
            for name in REQUEST_TIMES
        ),
    ]
    for basis in BASES:
        if basis in baseline.prices and basis in candidate.prices:
            prices = baseline.prices[basis], candidate.prices[basis]
            bounds = baseline.cost_bounds.get(basis), candidate.cost_bounds.get(basis)
            cost = _cost(task, basis, couples, prices)
            figures.append(cost.model_copy(update={"bounds": bounds}))
    return figures


def run_figures(baseline: Side, candidate: Side) -> list[ComparedFigure]:
    """Rates and their concurrency: one measurement of each run, so no ratio has an interval.

    With speculative decoding also the share of drafted tokens that were accepted.
    """
    figures = [_rate(metric, baseline, candidate) for metric in RATES]
    accepted = (baseline.draft_acceptance_fraction, candidate.draft_acceptance_fraction)
    if accepted != (None, None):
        none = Interval.unknown("a share of other drafts is no ratio")
        figures.append(_figure("draft_acceptance_fraction", "fraction", accepted, none, None))
    return figures


def _rate(metric: str, baseline: Side, candidate: Side) -> ComparedFigure:
    found = (baseline.run_estimates.get(metric), candidate.run_estimates.get(metric))
    one, other = (None if each is None else each.value for each in found)
    if one is None or other is None:
        ratio = Interval.unknown("it is unknown of one side")
    elif one == 0:
        ratio = Interval.unknown("the baseline's is 0")
    elif baseline.tasks.keys() != candidate.tasks.keys():
        ratio = Interval.unknown("the runs have different tasks")
    else:
        how = "one measurement of each run, over all its requests"
        ratio = Interval(other / one, None, None, 1, how)
    bounds = tuple(None if each is None else each.bound for each in found)
    figure = _figure(metric, RATES[metric], (one, other), ratio, None)
    return figure.model_copy(update={"bounds": bounds})


def _paired(
    task: str, metric: str, unit: str, couples: Sequence[Couple], measure: Measure
) -> ComparedFigure:
    """Ratio of means over problems of the mean over samples."""
    both = [(measure(one), measure(other)) for one, other in couples]
    known = [(a, b) for a, b in both if a is not None and b is not None]
    before, after = [a for a, _ in known], [b for _, b in known]
    if not known:
        ratio = Interval.unknown("no problem has it on both sides")
        return _figure(metric, unit, (None, None), ratio, task)
    ratio = ratio_interval(after, before)
    means = math.fsum(before) / len(known), math.fsum(after) / len(known)
    return _figure(metric, unit, means, ratio, task)


def _cost(
    task: str, basis: Basis, couples: Sequence[Couple], prices: tuple[str, str]
) -> ComparedFigure:
    """Ratio of costs per solved sample, failed and truncated attempts paid for."""
    known = [(a, b) for a, b in couples if basis in a.usd and basis in b.usd]
    columns = [
        ([p.usd[basis] for p in side], [float(p.tally.solved) for p in side])
        for side in ([a for a, _ in known], [b for _, b in known])
    ]
    values = tuple(math.fsum(usd) / sum(solved) if sum(solved) else None for usd, solved in columns)
    found = _figure(
        f"cost_per_solved.{basis}", "USD", (values[0], values[1]), ratio_of_ratios(*columns), task
    )
    return found.model_copy(update={"prices": prices})


def _mean_time(name: str, problem: SideProblem) -> float | None:
    return _mean(problem.times[name])


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _figure(
    metric: str,
    unit: str,
    values: tuple[float | None, float | None],
    ratio: Interval,
    task: str | None,
) -> ComparedFigure:
    one, other = values
    return ComparedFigure(
        metric=metric,
        unit=unit,
        paired=task is not None,
        n=ratio.n,
        baseline=one,
        candidate=other,
        difference=None if one is None or other is None else other - one,
        ratio=from_interval(f"{metric}.ratio", ratio, "ratio", task=task),
    )
