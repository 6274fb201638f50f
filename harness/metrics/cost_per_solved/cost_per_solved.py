"""Cost per solved task, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/cost_per_solved")``.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.metrics.cost import cost_per_solved
from harness.stats.intervals import SEED

_DESCRIPTION = "Cost of all attempts divided by the number of solved samples."
_INPUTS = """
Args:
    problem_ids: Which problem each attempt belongs to; the interval resamples problems.
    statuses: A verdict status per attempt; only `correct` is solved.
    costs_usd: What each attempt cost, the failed ones too.
    seed: Of the bootstrap.

Returns:
    A figure (value, unit, n, low, high, method) for `cost_per_solved`; its value is None when
    nothing was solved, its high is None when the bootstrap finds no upper bound.
"""


class CostPerSolved(evaluate.Metric):  # type: ignore[misc]
    """Dollars per solved sample with the interval of that ratio."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "problem_ids": datasets.Value("string"),
                    "statuses": datasets.Value("string"),
                    "costs_usd": datasets.Value("float64"),
                }
            ),
        )

    def _compute(
        self,
        problem_ids: Sequence[str],
        statuses: Sequence[str],
        costs_usd: Sequence[float],
        seed: int = SEED,
    ) -> dict[str, dict[str, Any]]:
        spent: dict[str, float] = defaultdict(float)
        solved: dict[str, int] = defaultdict(int)
        for problem, status, usd in zip(problem_ids, statuses, costs_usd, strict=True):
            spent[problem] += usd
            solved[problem] += status == "correct"
        interval = cost_per_solved(list(spent.values()), list(solved.values()), seed=seed)
        return {"cost_per_solved": {**interval._asdict(), "unit": "USD"}}
