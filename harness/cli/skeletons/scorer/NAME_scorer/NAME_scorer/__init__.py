"""The scorer ``NAME``: a task.yaml names it with ``scorer: NAME``."""

from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from harness.records import Grade, OtherReference, Problem, Reference
from harness.scorers.base import KnownProblem, Scorer, ScorerDefinition, ScorerSettings


class NameScorer:
    """An answer is correct when its last word is the reference, whatever its case."""

    # Raise the number whenever any grade can change.
    name = "NAME@1"

    def __enter__(self) -> Self:
        """Start worker processes here, if grading needs them."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them here."""

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Grades one answer text; several threads call it at once, and it never raises."""
        assert isinstance(problem.reference, OtherReference)
        words = answer.split()
        if not words:
            return Grade(status="no_answer", extracted=None)
        said = words[-1].strip(".").casefold()
        is_right = said == problem.reference.values["answer"].casefold()
        return Grade(status="correct" if is_right else "incorrect", extracted=said)

    def context(self) -> dict[str, str]:
        """Versions and settings that a grade depends on."""
        return {"case": "ignored"}


def _known() -> KnownProblem:
    problem = Problem(
        problem_id="known/1",
        question="What is the capital of France?",
        reference=OtherReference(values={"answer": "Paris"}),
    )
    return KnownProblem(problem, right="It is Paris.", wrong="It is Lyon.")


class NameDefinition(ScorerDefinition):
    """What the harness asks before the scorer is started."""

    name: ClassVar[str] = "NAME"
    fields: ClassVar[tuple[str, ...]] = ("answer",)
    known_problems: ClassVar[tuple[KnownProblem, ...]] = (_known(),)

    def build(self, settings: ScorerSettings) -> Scorer:
        """Makes the scorer."""
        return NameScorer()

    def reference(self, values: Mapping[str, str]) -> Reference:
        """What a problem is graded against, from the columns that ``fields`` names."""
        return OtherReference(values={"answer": values["answer"]})
