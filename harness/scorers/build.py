"""From a scorer's name to the scorer."""

from typing import assert_never

from harness.scorers.base import Scorer
from harness.scorers.sandbox.config import SandboxConfig
from harness.tasks import ScorerName


def build_scorer(
    name: ScorerName, *, workers: int, math_limit_s: float, sandbox: SandboxConfig
) -> Scorer:
    """Builds a scorer; entering it starts its processes.

    Args:
        name: As ``task.yaml`` has it.
        workers: How many processes grade at once.
        math_limit_s: One maths comparison is killed after this many seconds.
        sandbox: How model-written code is confined.
    """
    match name:
        case "math_answer":
            from harness.scorers.math_answer import MathAnswerScorer

            return MathAnswerScorer(workers=workers, pair_limit_s=math_limit_s)
        case "python_tests":
            from harness.scorers.python_tests import PythonTestsScorer

            return PythonTestsScorer(sandbox, workers)
        case _:
            assert_never(name)
