"""Accuracy: the mean over problems of the mean over samples, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/accuracy")``.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.records import ERROR_STATUSES
from harness.stats.intervals import (
    Interval,
    fixed_benchmark_interval,
    fraction_interval,
    standard_errors,
    tally,
    within_problem_correlation,
)

_DESCRIPTION = "Mean over problems of the share of samples that are correct (pass@1)."
_INPUTS = """
Args:
    problem_ids: Which problem each sample belongs to.
    statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
        `generation_error` are in no denominator.
    benchmark_size: Problems of the whole benchmark when these are a random subset of it.

Returns:
    A figure (value, unit, n, low, high, method) each for `accuracy`, with the interval for new
    problems; `accuracy.fixed_benchmark`, the same score with the interval for this very
    benchmark; the two standard errors `accuracy_se.fixed_benchmark` and
    `accuracy_se.new_problems`, None where nothing varies; and `within_problem_correlation`.
"""


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """pass@1 with an interval and a standard error for each of two questions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"problem_ids": datasets.Value("string"), "statuses": datasets.Value("string")}
            ),
        )

    def _compute(
        self,
        problem_ids: Sequence[str],
        statuses: Sequence[str],
        benchmark_size: int | None = None,
    ) -> dict[str, dict[str, Any]]:
        rows = [(p, s) for p, s in zip(problem_ids, statuses, strict=True)]
        graded = [(p, s == "correct") for p, s in rows if s not in ERROR_STATUSES]
        solved, samples = tally([p for p, _ in graded], [ok for _, ok in graded])
        n = len(samples)
        accuracy = fraction_interval(solved / samples)
        omitted = len(rows) - len(graded)
        counts = f"{len(graded)} samples of {n} problems, {omitted} errors left out"
        fixed_interval = fixed_benchmark_interval(solved, samples, benchmark_size)
        fixed, new = standard_errors(solved, samples, benchmark_size)
        size = n if benchmark_size is None else benchmark_size
        rho = within_problem_correlation(solved, samples)
        figures = {
            "accuracy": accuracy._replace(method=f"{accuracy.method}; {counts}"),
            "accuracy.fixed_benchmark": fixed_interval,
            "accuracy_se.fixed_benchmark": _standard_error(
                fixed, n, f"two-stage sampling, {n} of {size} problems", _NEEDS_SEVERAL
            ),
            "accuracy_se.new_problems": _standard_error(
                new, n, f"variance between {n} problem means", "needs two problems"
            ),
            "within_problem_correlation": Interval(
                rho,
                None,
                None,
                n,
                f"undefined: {_NEEDS_SEVERAL}" if rho is None else "analysis of variance",
            ),
        }
        return {name: {**f._asdict(), "unit": "fraction"} for name, f in figures.items()}


_NEEDS_SEVERAL = "needs two problems, two samples of each, and some variation"


def _standard_error(error: float | None, n: int, method: str, needs: str) -> Interval:
    if error == 0:
        # A standard error of 0 would say that the score is certain.
        return Interval(None, None, None, n, "undefined: nothing varies; the interval has a width")
    return Interval(error, None, None, n, f"undefined: {needs}" if error is None else method)
