"""Outcome shares: what became of all requests, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/outcome_shares")``.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import datasets
import evaluate

from harness.records import VerdictStatus

_DESCRIPTION = "Share of each verdict status among all requests; the shares sum to 1."
_INPUTS = """
Args:
    statuses: A verdict status per request.

Returns:
    A figure (value, unit, n, low, high, method) for each status, named `share.<status>`. Unlike
    an accuracy, all requests are in the denominator, errors too.
"""


class OutcomeShares(evaluate.Metric):  # type: ignore[misc]
    """How many requests were correct, incorrect, without answer, cut off, or broken."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"statuses": datasets.Value("string")}),
        )

    def _compute(self, statuses: Sequence[str]) -> dict[str, dict[str, Any]]:
        counts = Counter(statuses)
        n = len(statuses)
        unknown = sorted(counts.keys() - set(get_args(VerdictStatus)))
        if unknown:
            raise ValueError(f"unknown statuses {unknown}, known are {get_args(VerdictStatus)}")
        return {
            f"share.{status}": {
                "value": counts[status] / n if n else None,
                "low": None,
                "high": None,
                "n": n,
                "method": f"{counts[status]} of all {n} requests, errors included"
                if n
                else "undefined: no requests",
                "unit": "fraction",
            }
            for status in get_args(VerdictStatus)
        }
