"""Accuracy as an `evaluate` metric."""

from harness.metrics import correctness, evaluate_module


class Accuracy(evaluate_module.EvaluateModule):
    """pass@1 with an interval and a standard error for each of two questions.

    Args:
        problem_ids: Which problem each sample belongs to.
        statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
            `generation_error` are in no denominator.
        benchmark_size: Problems of the whole benchmark when these are a random subset of it.

    Returns:
        A figure each for `accuracy`, `accuracy.fixed_benchmark`, `accuracy_se.fixed_benchmark`,
        `accuracy_se.new_problems` and `within_problem_correlation`.
    """

    columns = ("problem_ids", "statuses")
    function = staticmethod(correctness.accuracy)
