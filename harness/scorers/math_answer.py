"""Grades maths answers: the last box, compared with the reference exactly.

The policy is that of ``harness.scorers.answers.boxed`` and ``harness.scorers.equivalence``. An
answer that cannot be read, or whose algebra outlives its limit, is not the reference as far as
anybody can tell: it is ``incorrect``, and the detail says why. ``scorer_error`` is kept for what is
not the model's doing: a worker that cannot be started, a reference that the reader cannot read.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Self

from harness.errors import UnavailableError
from harness.records import Grade, MathReference, Problem
from harness.scorers.answers.boxed import Extracted, extract_boxed
from harness.scorers.answers.thinking import split_thinking
from harness.scorers.base import (
    UNFINISHED,
    GradeLine,
    KnownProblem,
    ScorerDefinition,
    ScorerSettings,
)
from harness.scorers.equivalence.canonical import canonical
from harness.scorers.equivalence.checker import Equivalence, library_versions


class MathLine(GradeLine):
    """A complete output of a model, its reasoning included, and the right answer."""

    output: str
    gold: str


class MathAnswerScorer:
    """Grades in ``workers`` processes; see ``harness.scorers.base.Scorer``.

    Args:
        workers: Processes, and threads that may call ``grade`` at once.
        pair_limit_s: Seconds of algebra for one answer, after which its process is killed.
    """

    name = "math_answer@3"
    extract: Callable[[str], Extracted] = staticmethod(extract_boxed)
    """Finds the answer in an answer text."""

    def __init__(self, workers: int, pair_limit_s: float = 8.0) -> None:
        self._pair_limit_s = pair_limit_s
        self._equivalence = Equivalence(workers, pair_limit_s)

    def __enter__(self) -> Self:
        self._equivalence.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._equivalence.__exit__(kind, error, trace)

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Grades one answer text, the reasoning already taken off."""
        if not isinstance(problem.reference, MathReference):
            return Grade(status="scorer_error", detail="none: the problem has no maths reference")
        return self._grade(problem.reference.answer, answer)

    def grade_output(self, gold: str, output: str) -> Grade:
        """Grades one complete output of any model, reasoning included."""
        answer = split_thinking(output, prompt_opened_think=False).answer
        if answer is None:
            return UNFINISHED
        return self._grade(gold, answer)

    def grade_line(self, line: GradeLine) -> Grade:
        """Grades a ``MathLine``."""
        assert isinstance(line, MathLine)
        return self.grade_output(line.gold, line.output)

    def context(self) -> dict[str, str]:
        """Versions and the limit that a grade depends on."""
        return {**library_versions(), "pair_limit_s": str(self._pair_limit_s)}

    def _grade(self, gold: str, answer: str) -> Grade:
        started_s = time.monotonic()
        extracted = self.extract(answer)
        if extracted.text is None:
            why = "no final answer" if extracted.is_complete else "the last box was cut off"
            return Grade(
                status="no_answer", is_complete=extracted.is_complete, detail=f"none: {why}"
            )
        try:
            found = self._equivalence.compare(gold, extracted.text)
        except UnavailableError as error:
            return Grade(status="scorer_error", extracted=extracted.text, detail=f"none: {error}")
        status = "correct" if found.is_equal else "incorrect"
        why = "" if found.status == "ok" else f" {found.status}"
        return Grade(
            status="scorer_error" if found.status == "gold_unparsed" else status,
            extracted=extracted.text,
            is_complete=extracted.is_complete,
            detail=f"{found.route}:{why} {found.detail}".strip().rstrip(":"),
            wall_s=time.monotonic() - started_s,
        )


def _known(name: str, question: str, right: str, wrong: str) -> KnownProblem:
    reference = MathReference(answer=right)
    problem = Problem(problem_id=f"canary/{name}", question=question, reference=reference)
    return KnownProblem(problem, f"It is $\\boxed{{{right}}}$.", f"It is $\\boxed{{{wrong}}}$.")


class MathAnswer(ScorerDefinition):
    """``math_answer``."""

    name = "math_answer"
    command: ClassVar[str | None] = "math"
    line = MathLine
    known_problems: ClassVar[tuple[KnownProblem, ...]] = (
        _known("sum", "What is 2 + 3?", "5", "6"),
        _known("rows", "A box holds 4 rows of 6 eggs. How many eggs does it hold?", "24", "10"),
        _known("half", "What is one half of one half, as a fraction?", r"\frac{1}{4}", "1"),
    )

    def build(self, settings: ScorerSettings) -> MathAnswerScorer:
        """Processes that compare."""
        return MathAnswerScorer(workers=settings.workers, pair_limit_s=settings.math_limit_s)

    def reference(self, values: Mapping[str, str]) -> MathReference:
        """The right answer."""
        return MathReference(answer=values["answer"])

    def right_answer(self, problem: Problem) -> str | None:
        """The reference in a box."""
        if not isinstance(problem.reference, MathReference):
            return None
        return f"$\\boxed{{{problem.reference.answer}}}$"

    @property
    def spelling(self) -> Callable[[str], str]:
        r"""``\dfrac12`` is ``\frac{1}{2}``."""
        return canonical
