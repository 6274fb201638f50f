"""Solved examples that are shown before a question, from the task's own definition."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import TaskError
from harness.records import Example, Problem
from harness.tasks.files import Row, cell_text, read_file
from harness.tasks.rows import read_rows
from harness.tasks.spec import FewShot, TaskSpec


class Shots(NamedTuple):
    """How many examples, and which where there are more."""

    number: int
    seed: int
    file: str | None = None
    """A file, or a folder with ``TASK.jsonl``, that replaces the task's own examples."""


def choose_examples(
    spec: TaskSpec, problems: Sequence[Problem], shots: Shots, data_dir: Path | None
) -> tuple[Example, ...]:
    """Draws the examples; they are the same for every problem of the task.

    Those of a list are taken in its order, those of a data set in an order that the seed and their
    ids decide. An example with the question of one of the task's problems is never taken.

    Args:
        spec: The task.
        problems: All of the task, those that are not asked too.
        shots: How many.
        data_dir: As for ``load_task``.

    Raises:
        TaskError: The task has none, or too few.
    """
    if shots.file is not None:
        every, where = _of_file(spec, Path(shots.file).expanduser()), shots.file
    elif spec.fewshot is not None:
        every, where = _known(spec, spec.fewshot, shots.seed, data_dir), f"task {spec.name}"
    else:
        raise TaskError(
            f"protocol.fewshot={shots.number}: task {spec.name} has no examples; its task.yaml can "
            "have them under fewshot, or protocol.fewshot_file names a file of them"
        )
    asked = {_words(problem.question) for problem in problems}
    known = [each for each in every if _words(each.question) not in asked]
    if len(known) < shots.number:
        raise TaskError(
            f"protocol.fewshot={shots.number}: {where} has {len(known)} examples that are "
            "no problems of it; use at most that many"
        )
    return tuple(known[: shots.number])


def _of_file(spec: TaskSpec, given: Path) -> list[Example]:
    """Examples of the user's, in the order of their file."""
    file = given / f"{spec.name}.jsonl" if given.is_dir() else given
    if not file.is_file():
        raise TaskError(
            f"protocol.fewshot_file={given}: no file {file}; give a file of rows with question and "
            f"answer, or a folder with {spec.name}.jsonl"
        )
    return [
        Example(
            example_id=f"{spec.name}/fewshot_file/{number}",
            question=_text(row, "question", "protocol.fewshot_file"),
            answer=_text(row, "answer", "protocol.fewshot_file").strip(),
        )
        for number, row in enumerate(read_file(file))
    ]


def _known(spec: TaskSpec, fewshot: FewShot, seed: int, data_dir: Path | None) -> list[Example]:
    listed = [
        Example(example_id=f"{spec.name}/fewshot/{number}", **each.model_dump())
        for number, each in enumerate(fewshot.examples)
    ]
    if listed:
        return listed
    rows, _ = read_rows(
        spec.model_copy(update={"sources": fewshot.sources}), data_dir, fewshot.mirror
    )
    found = [
        _of_row(spec, fewshot.answer or spec.fields.answer, number, row)
        for number, row in enumerate(rows)
    ]
    return sorted(found, key=lambda each: _place(each, seed))


def _of_row(spec: TaskSpec, answer: str | None, number: int, row: Row) -> Example:
    where = f"task {spec.name}"
    of_row = spec.fields.problem_id
    own = number if of_row is None else _text(row, of_row, where)
    return Example(
        example_id=f"{spec.name}/fewshot/{own}",
        question=_text(row, spec.fields.question, where),
        answer=_text(row, answer, where).strip(),
    )


def _text(row: Row, name: str | None, where: str) -> str:
    value = None if name is None else row.cells.get(name)
    if value is None or not str(value).strip():
        raise TaskError(f"{where}: {row.place}: an example needs text in '{name}'")
    return cell_text(value, f"{where}: {row.place}: '{name}'")


def _place(example: Example, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{example.example_id}".encode()).digest()


def _words(question: str) -> str:
    """White space is no difference between two questions."""
    return " ".join(question.split())


def examples_sha256(examples: Sequence[Example]) -> str:
    """Digest of examples in their order."""
    return hashlib.sha256(
        "\n".join(each.model_dump_json() for each in examples).encode()
    ).hexdigest()
