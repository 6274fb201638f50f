"""Scores code: the program runs with the benchmark's tests in the sandbox."""

from types import TracebackType
from typing import Self

from harness.records import CodeReference, Grade, Problem
from harness.scorers.answers.code import assemble_program, extract_code
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.pool import Sandbox


class PythonTestsScorer:
    """Correct is what passes ``check(entry_point)``, and passes again apart from its tests.

    Programs may import the standard library and numpy; ``context`` has the versions.
    """

    name = "python_tests@2"

    def __init__(self, config: SandboxConfig, workers: int) -> None:
        """Prepares; the sandbox opens on entering, and refuses there if it is not safe enough."""
        self._sandbox = Sandbox(config, workers)

    def __enter__(self) -> Self:
        self._sandbox.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sandbox.__exit__(kind, error, trace)

    def grade(self, problem: Problem, answer: str) -> Grade:
        """Grades one answer text. The first word of ``detail`` is the class of the failure."""
        reference = problem.reference
        if not isinstance(reference, CodeReference):
            detail = f"error: {self.name} needs a code reference, not {reference.kind}"
            return Grade(status="scorer_error", detail=detail)
        code, is_complete = extract_code(answer, reference.entry_point)
        if code is None:
            return Grade(status="no_answer", is_complete=is_complete, detail="no code")
        program = assemble_program(reference.prompt, code, reference.entry_point)
        outcome = self._sandbox.run_tests(
            program, reference.test, reference.entry_point, prelude=reference.prompt
        )
        status = "scorer_error" if outcome.kind == "error" else "incorrect"
        return Grade(
            status="correct" if outcome.passed else status,
            extracted=code,
            is_complete=is_complete,
            detail=outcome.detail,
            wall_s=outcome.wall_s,
        )

    def context(self) -> dict[str, str]:
        """What a grade depends on: the sandbox's level and limits, Python's and numpy's version."""
        return self._sandbox.context()
