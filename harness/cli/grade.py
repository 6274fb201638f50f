"""``harness grade``: grade answers that were made elsewhere, one JSON verdict a line."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from harness.cli.grade_foreign import grade_foreign
from harness.cli.in_order import in_order
from harness.errors import UserError
from harness.interop.readers import harness_of, read_foreign
from harness.machine.hardware import usable_cores
from harness.records import Grade, Record
from harness.scorers.sandbox.config import SandboxConfig
from harness.store.manifest import dump_json

if TYPE_CHECKING:
    from harness.scorers.sandbox.pool import Sandbox

Kind = Literal["math", "python"]


class _Line(Record):
    """One line of input; whatever else it holds is left alone."""

    model_config = ConfigDict(extra="ignore")
    id: str | int


class MathLine(_Line):
    """A complete output of a model, its reasoning included, and the right answer."""

    output: str
    gold: str


class PythonLine(_Line):
    """A whole program, its tests included: it passes by running to its end, as a script would.

    ``docs/sandbox.md`` says what counts as its end and as its tests.
    """

    program: str
    time_limit_s: float | None = Field(default=None, gt=0, le=3600)


L = TypeVar("L", bound=_Line)


def grade(kind: Kind, file: str, workers: int | None = None) -> int:
    """Prints a verdict for each line, in the order of the input.

    Args:
        kind: What the lines hold.
        file: A path, or ``-`` for stdin. A file of another harness is graded anew as it is.
        workers: Processes that grade at once; None: one for each core.

    Raises:
        UserError: A line is not as it should be; the verdicts of those before it are printed.
        UnavailableError: No sandbox is to be had that is safe enough.
    """
    workers = workers or len(usable_cores())
    if file != "-" and harness_of(Path(file)) is not None:
        return grade_foreign(kind, read_foreign(Path(file)), workers)
    with ExitStack() as stack:
        if kind == "math":
            from harness.scorers.math_answer import MathAnswerScorer

            maths = stack.enter_context(MathAnswerScorer(workers=workers))
            lines = read_lines(file, MathLine)
            verdicts = in_order(
                lines, lambda line: (line, maths.grade_output(line.gold, line.output)), workers
            )
            _print_all(verdicts, maths.name)
        else:
            from harness.scorers.python_tests import PythonTestsScorer
            from harness.scorers.sandbox.pool import Sandbox

            sandbox = stack.enter_context(Sandbox(SandboxConfig(), workers))
            programs = read_lines(file, PythonLine)
            graded = in_order(programs, lambda line: (line, _run(sandbox, line)), workers)
            _print_all(graded, PythonTestsScorer.name)
    return 0


def _run(sandbox: "Sandbox", line: PythonLine) -> Grade:
    outcome = sandbox.run_program(line.program, time_limit_s=line.time_limit_s)
    failed = "scorer_error" if outcome.kind == "error" else "incorrect"
    return Grade(
        status="correct" if outcome.passed else failed,
        extracted=line.program,
        detail=outcome.detail,
        wall_s=outcome.wall_s,
    )


def _print_all(graded: Iterator[tuple[_Line, Grade]], scorer: str) -> None:
    for line, result in graded:
        verdict: dict[str, Any] = {"id": line.id, **result.model_dump(), "scorer": scorer}
        print(dump_json(verdict), flush=True)  # noqa: T201


def read_lines(file: str, kind: type[L]) -> Iterator[L]:
    """Reads the input one line at a time."""
    shown = "stdin" if file == "-" else file
    try:
        stream = sys.stdin if file == "-" else Path(file).open(encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{shown}: cannot be read: {error.strerror}") from error
    with stream:
        try:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _parse(line, kind, f"{shown}:{number}")
        except UnicodeDecodeError as error:
            raise UserError(f"{shown}: not UTF-8 at byte {error.start}") from error


def _parse(line: str, kind: type[L], where: str) -> L:
    try:
        return kind.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise UserError(f"{where}: not JSON: {error}") from error
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "line"
        needed = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise UserError(f"{where}: {key}: {first['msg']}; each line needs {needed}") from error
