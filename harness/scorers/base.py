"""What every scorer offers."""

from types import TracebackType
from typing import Protocol, Self

from harness.records import Grade, Problem

UNFINISHED = Grade(status="no_answer", is_complete=False, detail="none: the reasoning never ended")
"""The grade of an output whose thought has no end."""


class Scorer(Protocol):
    """Grades answer texts in processes of its own, which it can kill.

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
