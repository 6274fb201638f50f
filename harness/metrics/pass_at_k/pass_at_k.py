"""pass@k as an `evaluate` metric."""

from harness.metrics import correctness, evaluate_module


class PassAtK(evaluate_module.EvaluateModule):
    """pass@k with its 95 % interval, for one or more k.

    Args:
        problem_ids: Which problem each sample belongs to.
        statuses: A verdict status per sample. Only `correct` is solved; `scorer_error` and
            `generation_error` are in no denominator.
        k: The values of k. A problem with fewer than k samples left does not count for that k.

    Returns:
        A figure for each `pass@k`.
    """

    columns = ("problem_ids", "statuses")
    function = staticmethod(correctness.pass_at_k)
    citation = """\
@misc{chen2021evaluating,
  title={Evaluating Large Language Models Trained on Code},
  author={Mark Chen and others}, year={2021}, eprint={2107.03374}, archivePrefix={arXiv}
}"""
