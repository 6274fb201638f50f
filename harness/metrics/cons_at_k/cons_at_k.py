"""cons@k as an `evaluate` metric."""

from harness.metrics import correctness, evaluate_module


class ConsAtK(evaluate_module.EvaluateModule):
    """Majority vote over k samples of each problem, with its 95 % interval, for one or more k.

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
        A figure for each `cons@k`.
    """

    columns = ("problem_ids", "statuses", "answers")
    function = staticmethod(correctness.cons_at_k)
