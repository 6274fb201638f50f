"""cons@k: how often the majority answer is correct, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/cons_at_k")``.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.records import ERROR_STATUSES
from harness.statistics import fraction_interval, majority_correct

_DESCRIPTION = "Share of problems whose most frequent answer among all samples is correct."
_INPUTS = """
Args:
    problem_ids: Which problem each sample belongs to.
    statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
        `generation_error` neither vote nor count.
    answers: The answer extracted from each sample; an empty one does not vote (`evaluate`
        refuses a None at the head of a text column). Answers are the same when they are spelt
        the same.

Returns:
    A figure (value, unit, n, low, high, method) for `cons@k`, k the most samples of a problem.
    Where answers tie, each is taken with equal probability.
"""


class ConsAtK(evaluate.Metric):  # type: ignore[misc]
    """Majority vote over all samples of each problem, with its 95 % interval."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "problem_ids": datasets.Value("string"),
                    "statuses": datasets.Value("string"),
                    "answers": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self,
        problem_ids: Sequence[str],
        statuses: Sequence[str],
        answers: Sequence[str],
    ) -> dict[str, dict[str, Any]]:
        ballots: dict[str, list[tuple[str | None, bool]]] = defaultdict(list)
        for problem, status, answer in zip(problem_ids, statuses, answers, strict=True):
            if status not in ERROR_STATUSES:
                ballots[problem].append((answer or None, status == "correct"))
        k = max((len(ballot) for ballot in ballots.values()), default=0)
        interval = fraction_interval(
            [majority_correct([a for a, _ in b], [ok for _, ok in b]) for b in ballots.values()]
        )
        method = f"majority of equally spelt answers, expected value of ties; {interval.method}"
        return {f"cons@{k}": {**interval._replace(method=method)._asdict(), "unit": "fraction"}}
