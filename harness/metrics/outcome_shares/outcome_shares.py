"""Outcome shares as an `evaluate` metric."""

from harness.metrics import correctness, evaluate_module


class OutcomeShares(evaluate_module.EvaluateModule):
    """How many requests were correct, incorrect, without answer, cut off, or broken.

    Args:
        statuses: A verdict status per request.

    Returns:
        A figure for each status, named `share.<status>`.
    """

    columns = ("statuses",)
    function = staticmethod(correctness.outcome_shares)
