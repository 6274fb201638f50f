"""Accuracy: the mean over problems of the mean over samples, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/accuracy")``.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.records import ERROR_STATUSES
from harness.statistics import (
    SEED,
    Interval,
    fixed_benchmark_interval,
    fraction_interval,
    mean_interval,
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
    seed: Of the bootstrap.

Returns:
    A figure (value, unit, n, low, high, method) each for `accuracy`, with the interval for new
    problems; `accuracy.fixed_benchmark`, the same score with the interval for this very
    benchmark; where a problem has several samples `accuracy.cluster_bootstrap`, the same score
    with a percentile interval for new problems; the two standard errors
    `accuracy_se.fixed_benchmark` and `accuracy_se.new_problems`; and
    `within_problem_correlation`.
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
        seed: int = SEED,
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
            "accuracy_se.fixed_benchmark": Interval(
                fixed, None, None, n, _why(fixed, f"two-stage sampling, {n} of {size} problems")
            ),
            "accuracy_se.new_problems": Interval(
                new,
                None,
                None,
                n,
                "undefined: needs two problems"
                if new is None
                else f"variance between {n} problem means",
            ),
            "within_problem_correlation": Interval(
                rho, None, None, n, _why(rho, "analysis of variance")
            ),
        }
        if samples.max(initial=0) > 1:
            bootstrap = mean_interval(solved / samples, seed=seed)
            figures["accuracy.cluster_bootstrap"] = bootstrap
        return {name: {**f._asdict(), "unit": "fraction"} for name, f in figures.items()}


def _why(value: float | None, method: str) -> str:
    if value is not None:
        return method
    return "undefined: needs two problems, two samples of each, and some variation"
