"""Scores code: the program runs with the benchmark's tests in the sandbox."""

from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from pydantic import Field

from harness.records import CodeReference, Grade, Problem
from harness.scorers.answers.code import assemble_program, extract_code
from harness.scorers.base import GradeLine, KnownProblem, ScorerDefinition, ScorerSettings
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.pool import Sandbox


class PythonLine(GradeLine):
    """A whole program, its tests included: it passes by running to its end, as a script would.

    ``docs/sandbox.md`` says what counts as its end and as its tests.
    """

    program: str
    time_limit_s: float | None = Field(default=None, gt=0, le=3600)


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

    def grade_line(self, line: GradeLine) -> Grade:
        """Runs the program of a ``PythonLine``."""
        assert isinstance(line, PythonLine)
        outcome = self._sandbox.run_program(line.program, time_limit_s=line.time_limit_s)
        failed = "scorer_error" if outcome.kind == "error" else "incorrect"
        return Grade(
            status="correct" if outcome.passed else failed,
            extracted=line.program,
            detail=outcome.detail,
            wall_s=outcome.wall_s,
        )

    def context(self) -> dict[str, str]:
        """What a grade depends on: sandbox level and limits, versions of Python and numpy."""
        return self._sandbox.context()


def _known(name: str, signature: str, says: str, body: tuple[str, str], test: str) -> KnownProblem:
    prompt = f'def {name}({signature}):\n    """{says}"""\n'
    right, wrong = (f"```python\n{prompt}    {line}\n```" for line in body)
    reference = CodeReference(
        prompt=prompt, entry_point=name, test=f"def check(candidate):\n    {test}\n"
    )
    problem = Problem(problem_id=f"canary/{name}", question=prompt, reference=reference)
    return KnownProblem(problem, right, wrong)


class PythonTests(ScorerDefinition):
    """``python_tests``."""

    name = "python_tests"
    fields = ("entry_point", "test")
    runs_code = True
    command = "python"
    line = PythonLine
    known_problems: ClassVar[tuple[KnownProblem, ...]] = (
        _known(
            "double",
            "number",
            "Return twice the number.",
            ("return 2 * number", "return 3 * number"),
            "assert candidate(4) == 8 and candidate(-1) == -2",
        ),
        _known(
            "is_even",
            "number",
            "Return True if the number is even, else False.",
            ("return number % 2 == 0", "return number % 2 == 1"),
            "assert candidate(4) is True and candidate(7) is False",
        ),
        _known(
            "count_letter",
            "text, letter",
            "Return how often the letter stands in the text.",
            ("return text.count(letter)", "return len(text)"),
            "assert candidate('banana', 'a') == 3 and candidate('', 'a') == 0",
        ),
    )

    def build(self, settings: ScorerSettings) -> PythonTestsScorer:
        """The sandbox, which opens on entering."""
        return PythonTestsScorer(settings.sandbox, settings.workers)

    def reference(self, values: Mapping[str, str]) -> CodeReference:
        """The prompt, which the answer may continue, and the tests."""
        return CodeReference(
            prompt=values["question"], entry_point=values["entry_point"], test=values["test"]
        )
