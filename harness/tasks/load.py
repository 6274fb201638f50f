"""Loads the problems of a selection."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import TaskError
from harness.records import Count, Example, Problem, Record, Reference
from harness.scorers.build import definition_of
from harness.tasks.fewshot import Shots, choose_examples
from harness.tasks.files import Row, cell_text
from harness.tasks.rows import read_rows
from harness.tasks.spec import BEFORE_ANSWER, Selection, TaskSpec, load_spec
from harness.tasks.subset import digest, ids_sha256, stratified_subset


class Task(Record):
    """A task with the problems of a run."""

    spec: TaskSpec
    selection: str
    """The selection as given, such as ``math500:100``."""
    problems: tuple[Problem, ...]
    """The problems, sorted by id."""
    full_size: Count
    """How many problems the whole task has."""
    full_sha256: str
    """Digest of all problems of the task."""
    subset_sha256: str
    """Digest of the ids of the chosen ones."""
    origin: str
    """Where the problems were read from."""
    examples: tuple[Example, ...] = ()
    """Shown before each problem."""

    @property
    def before_answer(self) -> str:
        """Between an example's question and its answer where both are text."""
        return BEFORE_ANSWER if self.spec.fewshot is None else self.spec.fewshot.before_answer


def load_task(
    selection: Selection, data_dir: Path | None = None, shots: Shots | None = None
) -> Task:
    """Loads a task's problems and chooses the subset.

    Args:
        selection: Which task, how many problems.
        data_dir: A folder of local mirrors; ``HARNESS_DATA_DIR`` when None.
        shots: Solved examples to show before each problem; None: none.

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
        examples=() if shots is None else choose_examples(spec, problems, shots, data_dir),
    )


def _problems(spec: TaskSpec, rows: Sequence[Row], origin: str) -> tuple[Problem, ...]:
    problems: dict[str, Problem] = {}
    for number, row in enumerate(rows):
        problem = _problem(spec, number, row)
        if problem.problem_id in problems:
            raise TaskError(
                f"task {spec.name}: {row.place}: the problem id {problem.problem_id} occurs twice"
            )
        problems[problem.problem_id] = problem
    if spec.problems not in (None, len(problems)):
        raise TaskError(
            f"task {spec.name}: {origin} has {len(problems)} problems, "
            f"its definition says {spec.problems}"
        )
    if not problems:
        raise TaskError(f"task {spec.name}: {origin} has no problems")
    return tuple(problems.values())


def _problem(spec: TaskSpec, number: int, row: Row) -> Problem:
    """One row as a problem.

    Raises:
        TaskError: The row lacks what the definition requires; names its place and the column.
    """
    fields = spec.fields
    where = f"task {spec.name}: {row.place}"

    def cell(name: str) -> Any:
        if name not in row.cells:
            raise TaskError(f"{where} has no column '{name}'; it has {', '.join(row.cells)}")
        return row.cells[name]

    def text(name: str) -> str:
        value = cell(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise TaskError(f"{where}: '{name}' is {'null' if value is None else 'empty'}")
        return cell_text(value, f"{where}: '{name}'")

    def optional(name: str | None) -> str | None:
        value = None if name is None else cell(name)
        return None if value is None else cell_text(value, f"{where}: '{name}'")

    own_id = str(number).zfill(4) if fields.problem_id is None else text(fields.problem_id)
    return Problem(
        problem_id=f"{spec.name}/{own_id}",
        question=text(fields.question),
        reference=_reference(spec, text, where),
        subject=optional(fields.subject),
        level=_level(optional(fields.level)),
    )


def _level(text: str | None) -> int | None:
    """MATH-500 has 3, MATH "Level 3", and for a few problems "Level ?"."""
    digits = (text or "").removeprefix("Level ").strip()
    return int(digits) if digits.isdecimal() else None


def _reference(spec: TaskSpec, text: Callable[[str], str], where: str) -> Reference:
    """The reference for the task's scorer, from the columns that the scorer needs."""
    scorer = definition_of(spec.scorer)
    columns = {name: spec.fields.column(name) for name in scorer.fields}
    if lacking := [f"fields.{name}" for name, column in columns.items() if column is None]:
        raise TaskError(f"task {spec.name}: scorer {spec.scorer} needs {' and '.join(lacking)}")
    values = {name: text(column) for name, column in columns.items() if column is not None}
    if "answer" in values:
        values["answer"] = _answer(spec, values["answer"], where)
    return scorer.reference({"question": text(spec.fields.question), **values})


def _answer(spec: TaskSpec, answer: str, where: str) -> str:
    """The answer without the text before its mark."""
    fields = spec.fields
    if (mark := fields.answer_after) is not None:
        if mark not in answer:
            raise TaskError(f"{where}: '{fields.answer}' has no '{mark}' before its answer")
        answer = answer.rpartition(mark)[2]
    if not answer.strip():
        raise TaskError(f"{where}: '{fields.answer}' has no answer")
    return answer.strip()
