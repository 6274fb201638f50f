"""Outcome shares as an `evaluate` metric."""

from harness.metrics import correctness, faces


class OutcomeShares(faces.Face):
    """How many requests were correct, incorrect, without answer, cut off, or broken.

    Args:
        statuses: A verdict status per request.

    Returns:
        A figure for each status, named `share.<status>`.
    """

    columns = ("statuses",)
    function = staticmethod(correctness.outcome_shares)
