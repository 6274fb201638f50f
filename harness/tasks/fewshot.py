"""Solved examples that are shown before a question, from the task's own definition."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import TaskError
from harness.records import Example, Problem
from harness.tasks.files import Row, cell_text
from harness.tasks.rows import read_rows
from harness.tasks.spec import FewShot, TaskSpec


class Shots(NamedTuple):
    """How many examples, and which where there are more."""

    number: int
    seed: int


def choose_examples(
    spec: TaskSpec, problems: Sequence[Problem], shots: Shots, data_dir: Path | None
) -> tuple[Example, ...]:
    """The same examples for every problem of the task.

    Those of a list are taken in its order, those of a data set in an order that the seed and their
    ids decide. One that asks what a problem of the task asks is never taken.

    Args:
        spec: The task.
        problems: All of the task, those that are not asked too.
        shots: How many.
        data_dir: As for ``load_task``.

    Raises:
        TaskError: The task has none, or too few.
    """
    if spec.fewshot is None:
        raise TaskError(
            f"protocol.fewshot={shots.number}: task {spec.name} has no examples; its task.yaml can "
            "have them under fewshot"
        )
    asked = {_words(problem.question) for problem in problems}
    known = [
        each
        for each in _known(spec, spec.fewshot, shots.seed, data_dir)
        if _words(each.question) not in asked
    ]
    if len(known) < shots.number:
        raise TaskError(
            f"protocol.fewshot={shots.number}: task {spec.name} has {len(known)} examples that are "
            "no problems of it; use at most that many"
        )
    return tuple(known[: shots.number])


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
    def text(name: str | None) -> str:
        where = f"task {spec.name}: {row.place}"
        value = None if name is None else row.cells.get(name)
        if value is None or not str(value).strip():
            raise TaskError(f"{where}: an example needs text in '{name}'")
        return cell_text(value, f"{where}: '{name}'")

    own = number if spec.fields.problem_id is None else text(spec.fields.problem_id)
    return Example(
        example_id=f"{spec.name}/fewshot/{own}",
        question=text(spec.fields.question),
        answer=text(answer).strip(),
    )


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
