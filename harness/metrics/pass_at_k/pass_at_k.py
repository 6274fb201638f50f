"""pass@k: the chance that one of k samples is correct, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/pass_at_k")``.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.records import ERROR_STATUSES
from harness.stats.intervals import fraction_interval, pass_at_k, tally

_DESCRIPTION = "Unbiased estimate of the chance that at least one of k samples is correct."
_CITATION = """\
@misc{chen2021evaluating,
  title={Evaluating Large Language Models Trained on Code},
  author={Mark Chen and others}, year={2021}, eprint={2107.03374}, archivePrefix={arXiv}
}"""
_INPUTS = """
Args:
    problem_ids: Which problem each sample belongs to.
    statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
        `generation_error` are in no denominator.
    k: The values of k. A problem with fewer than k samples left does not count for that k.

Returns:
    A figure (value, unit, n, low, high, method) for each `pass@k`.
"""


class PassAtK(evaluate.Metric):  # type: ignore[misc]
    """pass@k with its 95 % interval, for one or more k."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"problem_ids": datasets.Value("string"), "statuses": datasets.Value("string")}
            ),
        )

    def _compute(
        self, problem_ids: Sequence[str], statuses: Sequence[str], k: Sequence[int] = (1,)
    ) -> dict[str, dict[str, Any]]:
        graded = [
            (p, s == "correct")
            for p, s in zip(problem_ids, statuses, strict=True)
            if s not in ERROR_STATUSES
        ]
        solved, samples = tally([p for p, _ in graded], [ok for _, ok in graded])
        figures = {}
        for each in k:
            enough = samples >= each
            interval = fraction_interval(pass_at_k(solved[enough], samples[enough], each))
            short = len(set(problem_ids)) - int(enough.sum())
            method = f"unbiased estimator, {interval.method}; {short} problems had < {each} samples"
            figures[f"pass@{each}"] = {**interval._replace(method=method)._asdict()}
            figures[f"pass@{each}"]["unit"] = "fraction"
        return figures
