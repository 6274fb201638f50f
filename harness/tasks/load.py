"""From a selection to its problems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import TaskError
from harness.records import CodeReference, Count, MathReference, Problem, Record, Reference
from harness.tasks.rows import read_rows
from harness.tasks.spec import Selection, TaskSpec, load_spec
from harness.tasks.subset import digest, ids_sha256, stratified_subset


class Task(Record):
    """A task with the problems that a run asks."""

    spec: TaskSpec
    selection: str
    """As given: ``math500:100``."""
    problems: tuple[Problem, ...]
    """Sorted by id."""
    full_size: Count
    """How many problems the whole task has."""
    full_sha256: str
    """Digest of all problems of the task."""
    subset_sha256: str
    """Digest of the ids of the chosen ones."""
    origin: str
    """Where they were read from."""


def load_task(selection: Selection, data_dir: Path | None = None) -> Task:
    """Loads a task's problems and chooses the subset.

    Args:
        selection: Which task, how many problems.
        data_dir: A folder of local mirrors; ``HARNESS_DATA_DIR`` when None.

    Raises:
        TaskError: The data is not what the definition says, or has fewer problems than asked for.
        UnavailableError: No source of the data can be reached.
    """
    spec = load_spec(selection.task)
    rows, origin = read_rows(spec, data_dir)
    problems = _problems(spec, rows, origin)
    full_sha256 = digest(problems)
    if spec.problems_sha256 not in (None, full_sha256):
        raise TaskError(
            f"task {spec.name}: the {len(problems)} problems in {origin} have digest "
            f"{full_sha256[:12]}, its definition says {str(spec.problems_sha256)[:12]}; "
            "this is another benchmark"
        )
    chosen = stratified_subset(problems, selection.size, str(selection))
    return Task(
        spec=spec,
        selection=str(selection),
        problems=tuple(sorted(chosen, key=lambda problem: problem.problem_id)),
        full_size=len(problems),
        full_sha256=full_sha256,
        subset_sha256=ids_sha256(chosen),
        origin=origin,
    )


def _problems(
    spec: TaskSpec, rows: Sequence[Mapping[str, Any]], origin: str
) -> tuple[Problem, ...]:
    problems = tuple(_problem(spec, number, row, origin) for number, row in enumerate(rows))
    if len({problem.problem_id for problem in problems}) != len(problems):
        raise TaskError(f"task {spec.name}: a problem id stands twice in {origin}")
    if spec.problems not in (None, len(problems)):
        raise TaskError(
            f"task {spec.name}: {origin} has {len(problems)} problems, "
            f"its definition says {spec.problems}"
        )
    if not problems:
        raise TaskError(f"task {spec.name}: {origin} has no problems")
    return problems


def _problem(spec: TaskSpec, number: int, row: Mapping[str, Any], origin: str) -> Problem:
    fields = spec.fields

    def column(name: str) -> Any:
        if name not in row:
            raise TaskError(
                f"task {spec.name}: row {number} of {origin} has no column '{name}'; "
                f"it has {', '.join(row)}"
            )
        return row[name]

    own_id = str(number).zfill(4) if fields.problem_id is None else column(fields.problem_id)
    level = None if fields.level is None else column(fields.level)
    return Problem(
        problem_id=f"{spec.name}/{own_id}",
        question=str(column(fields.question)),
        reference=_reference(spec, column),
        subject=None if fields.subject is None else str(column(fields.subject)),
        level=_level(level),
    )


def _level(value: Any) -> int | None:
    """MATH-500 has 3, MATH "Level 3", and for a few problems "Level ?"."""
    digits = str(value).removeprefix("Level ").strip()
    return int(digits) if digits.isdigit() else None


def _reference(spec: TaskSpec, column: Any) -> Reference:
    fields = spec.fields
    if spec.scorer == "math_answer" and fields.answer is not None:
        answer = str(column(fields.answer))
        if fields.answer_after is not None:
            answer = answer.rpartition(fields.answer_after)[2]
        return MathReference(answer=answer.strip())
    if spec.scorer == "python_tests" and fields.entry_point is not None and fields.test is not None:
        return CodeReference(
            prompt=str(column(fields.question)),
            entry_point=str(column(fields.entry_point)),
            test=str(column(fields.test)),
        )
    raise TaskError(
        f"task {spec.name}: scorer {spec.scorer} needs fields.answer (maths) "
        "or fields.entry_point and fields.test (code)"
    )
