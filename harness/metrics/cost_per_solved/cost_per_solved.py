"""Cost per solved task as an `evaluate` metric."""

from harness.metrics import bill, evaluate_module


class CostPerSolved(evaluate_module.EvaluateModule):
    """Dollars per solved sample with the interval of that ratio.

    Args:
        problem_ids: Which problem each attempt belongs to; the interval resamples problems.
        statuses: A verdict status per attempt; only `correct` is solved.
        costs_usd: What each attempt cost, the failed ones too.
        seed: Of the bootstrap.

    Returns:
        A figure for `cost_per_solved`; its value is None when nothing was solved, its high is None
        when the bootstrap finds no upper bound.
    """

    columns = ("problem_ids", "statuses", "costs_usd")
    function = staticmethod(bill.cost_per_solved)
