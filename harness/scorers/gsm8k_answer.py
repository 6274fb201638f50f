"""Grades the number after ``####``, as GSM8K's own solutions end.

The first ``####`` with a number behind it counts, as for lm-evaluation-harness (``strict-match``)
and lighteval; an answer without one is ``no_answer``. The number itself is compared by value, so
``18.00`` is 18, which those two count as wrong.
"""

import re
from typing import ClassVar

from harness.records import MathReference, Problem
from harness.scorers.answers.boxed import Extracted
from harness.scorers.base import KnownProblem, ScorerSettings
from harness.scorers.math_answer import MathAnswer, MathAnswerScorer

_MARKED = re.compile(r"#### (-?[0-9.,]+)")


def number_after_mark(answer: str) -> Extracted:
    """The number behind the first mark; incomplete where the end of the text may cut it off."""
    found = _MARKED.search(answer)
    if found is None:
        return Extracted(None, is_complete=True)
    number = found[1].rstrip(".,").replace(",", "")
    return Extracted(number or None, is_complete=found.end() < len(answer))


class Gsm8kAnswerScorer(MathAnswerScorer):
    """Like ``MathAnswerScorer``, with the answer in another place."""

    name = "gsm8k_answer@1"
    extract = staticmethod(number_after_mark)


def _known(name: str, question: str, right: str, wrong: str) -> KnownProblem:
    problem = Problem(
        problem_id=f"canary/{name}", question=question, reference=MathReference(answer=right)
    )
    return KnownProblem(problem, f"That is {right}.\n#### {right}", f"#### {wrong}")


class Gsm8kAnswer(MathAnswer):
    """``gsm8k_answer``."""

    name = "gsm8k_answer"
    command = None
    known_problems: ClassVar[tuple[KnownProblem, ...]] = (
        _known("sum", "What is 2 + 3?", "5", "6"),
        _known("rows", "A box holds 4 rows of 6 eggs. How many eggs does it hold?", "24", "10"),
        _known("price", "A pen costs $3. How many dollars do 7 pens cost?", "21", "10"),
    )

    def build(self, settings: ScorerSettings) -> Gsm8kAnswerScorer:
        """Processes that compare."""
        return Gsm8kAnswerScorer(workers=settings.workers, pair_limit_s=settings.math_limit_s)

    def right_answer(self, problem: Problem) -> str | None:
        """The reference behind its mark."""
        if not isinstance(problem.reference, MathReference):
            return None
        return f"#### {problem.reference.answer}"
