"""The interface of a scorer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, NamedTuple, Protocol, Self

from pydantic import ConfigDict

from harness.records import Grade, Problem, Record, Reference, VerdictStatus
from harness.scorers.sandbox.config import SandboxConfig

UNFINISHED = Grade(status="no_answer", is_complete=False, detail="none: the reasoning never ended")
"""The grade of an output whose thought has no end."""


def status_of(grade: Grade, *, is_cut_off: bool) -> VerdictStatus:
    """The verdict on an answer; one that the token limit cut off must be whole to be graded."""
    is_part = grade.status == "no_answer" or (grade.status == "incorrect" and not grade.is_complete)
    return "truncated" if is_cut_off and is_part else grade.status


class Scorer(Protocol):
    """Grades answer texts in worker processes, which it can kill.

    Enter it to start its workers, leave it to end them. ``grade`` may be called from several
    threads at once, as many as the scorer was built with workers; each call waits for its grade.
    """

    name: str
    """``math_answer@3``; the number rises whenever any grade can change."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Grades one answer text, the reasoning already taken off. Never raises on model text."""
        ...

    def context(self) -> dict[str, str]:
        """Versions and settings that a grade depends on: for the manifest and the fingerprint."""
        ...


class GradeLine(Record):
    """One line of input for ``harness grade``; further keys are ignored."""

    model_config = ConfigDict(extra="ignore")
    id: str | int


class LineScorer(Scorer, Protocol):
    """A scorer that ``harness grade`` can use without a task."""

    def grade_line(self, line: GradeLine) -> Grade:
        """Grades one line of the definition's ``line``."""
        ...


class KnownProblem(NamedTuple):
    """A problem with an answer that must be graded correct, and one that must not."""

    problem: Problem
    """A problem so easy that any working model may solve it."""
    right: str
    wrong: str


class ScorerSettings(NamedTuple):
    """The scoring settings of the configuration."""

    workers: int
    """How many processes grade at once."""
    math_limit_s: float
    """One maths comparison is killed after this many seconds."""
    sandbox: SandboxConfig
    """How model-written code is confined."""


class ScorerDefinition(ABC):
    """A scorer before it is started. The rest of the harness uses this interface, never a class."""

    name: ClassVar[str]
    """The name in ``task.yaml``."""
    fields: ClassVar[tuple[str, ...]] = ("answer",)
    """Names in a task's ``fields`` that it needs besides the question."""
    runs_code: ClassVar[bool] = False
    """Runs what the model wrote: needs the sandbox, and a score is a pass rate."""
    known_problems: ClassVar[tuple[KnownProblem, ...]] = ()
    """Problems to check scorer and model with before a run; may be empty."""
    command: ClassVar[str | None] = None
    """The word after ``harness grade``; None: it grades no lines without a task."""
    line: ClassVar[type[GradeLine]] = GradeLine
    """The format of its lines in ``harness grade``."""

    @abstractmethod
    def build(self, settings: ScorerSettings) -> Scorer:
        """Makes the scorer; entering it starts its processes."""

    @abstractmethod
    def reference(self, values: Mapping[str, str]) -> Reference:
        """The reference that answers to a problem are graded against.

        Args:
            values: The texts of ``question`` and of each of ``fields``, none of them empty.
        """

    def right_answer(self, problem: Problem) -> str | None:
        """An answer that must be graded correct, made from the problem's reference; None: none."""
        del problem
        return None

    @property
    def spelling(self) -> Callable[[str], str] | None:
        """Normalises an extracted answer, so that equal ones count as votes for the same.

        None where that is impossible, as of programs.
        """
        return None
