"""cons@k: how often the majority answer is correct, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/cons_at_k")``.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.records import ERROR_STATUSES
from harness.stats.intervals import fraction_interval, majority_correct

_DESCRIPTION = "Share of problems whose most frequent answer among k samples is correct."
_INPUTS = """
Args:
    problem_ids: Which problem each sample belongs to.
    statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
        `generation_error` neither vote nor count.
    answers: The answer extracted from each sample; an empty one does not vote (`evaluate`
        refuses a None at the head of a text column). Answers are the same when they are spelt
        the same.
    k: The values of k. A problem with fewer than k samples left does not count for that k; of
        one that has more, the first k vote.

Returns:
    A figure (value, unit, n, low, high, method) for each `cons@k`.
    Where answers tie, each is taken with equal probability.
"""


class ConsAtK(evaluate.Metric):  # type: ignore[misc]
    """Majority vote over k samples of each problem, with its 95 % interval, for one or more k."""

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
        k: Sequence[int],
    ) -> dict[str, dict[str, Any]]:
        ballots: dict[str, list[tuple[str | None, bool]]] = defaultdict(list)
        for problem, status, answer in zip(problem_ids, statuses, answers, strict=True):
            if status not in ERROR_STATUSES:
                ballots[problem].append((answer or None, status == "correct"))
        problems = len(set(problem_ids))
        return {f"cons@{each}": _figure(list(ballots.values()), problems, each) for each in k}


def _figure(
    ballots: Sequence[Sequence[tuple[str | None, bool]]], problems: int, k: int
) -> dict[str, Any]:
    enough = [ballot[:k] for ballot in ballots if len(ballot) >= k]
    interval = fraction_interval(
        [majority_correct([a for a, _ in b], [ok for _, ok in b]) for b in enough]
    )
    method = (
        f"majority of equally spelt answers, expected value of ties; {interval.method}; "
        f"{problems - len(enough)} problems had < {k} samples"
    )
    return {**interval._replace(method=method)._asdict(), "unit": "fraction"}
