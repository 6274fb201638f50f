"""``harness grade``: grade answers that were made elsewhere, one JSON verdict a line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import ValidationError

from harness.cli.grade_foreign import grade_foreign
from harness.errors import UserError
from harness.interop.readers import harness_of, open_log
from harness.io.in_order import in_order
from harness.io.mistakes import first_mistake
from harness.machine.hardware import usable_cores
from harness.scorers.base import GradeLine
from harness.scorers.build import graded_by_lines, standard_settings
from harness.store.manifest import dump_json

if TYPE_CHECKING:
    from harness.scorers.base import LineScorer

L = TypeVar("L", bound=GradeLine)


def grade(kind: str, file: str, task: str | None = None, workers: int | None = None) -> int:
    """Prints a verdict for each line, in the order of the input.

    Args:
        kind: What the lines hold, as a scorer's ``command`` names it.
        file: A path, or ``-`` for stdin. A log of another harness is graded anew as it is.
        task: Which of our tasks such a log is about; None: as its names tell.
        workers: Processes that grade at once; None: one for each core.

    Raises:
        UserError: A line is not as it should be; the verdicts of those before it are printed.
        UnavailableError: No sandbox is to be had that is safe enough.
    """
    workers = workers or len(usable_cores())
    if file != "-" and harness_of(Path(file)) is not None:
        return grade_foreign(kind, open_log(Path(file), task), workers)
    if task is not None:
        raise UserError(
            f"--task {task}: is for logs of other harnesses, and {file} is none; leave it out"
        )
    definition = graded_by_lines(kind)
    with definition.build(standard_settings(workers)) as scorer:
        grade_line = cast("LineScorer", scorer).grade_line
        lines = read_lines(file, definition.line)
        for line, found in in_order(lines, lambda line: (line, grade_line(line)), workers):
            verdict = {"id": line.id, **found.model_dump(), "scorer": scorer.name}
            print(dump_json(verdict), flush=True)  # noqa: T201
    return 0


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
        first = first_mistake(error)
        needed = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise UserError(
            f"{where}: {first.key or 'line'}: {first.text}; each line needs {needed}"
        ) from error
