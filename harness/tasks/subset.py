"""The identity of a set of problems, and the fixed draw of some of them."""

import hashlib
from collections.abc import Iterable, Sequence

from harness.errors import TaskError
from harness.records import Problem


def digest(problems: Iterable[Problem]) -> str:
    """The identity of a set of problems: their full content, in no order."""
    lines = sorted(problem.model_dump_json() for problem in problems)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def ids_sha256(problems: Iterable[Problem]) -> str:
    """The identity of a choice of problems: their ids, in no order."""
    ids = sorted(problem.problem_id for problem in problems)
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def stratified_subset(
    problems: Sequence[Problem], size: int | None, asked: str
) -> Sequence[Problem]:
    """A stratified sample of the problems, the same on every machine.

    The problems are lined up by subject and level, in an order given by a hash of the id within a
    level; levels run up in one subject and down in the next, so that neighbours resemble each
    other. The line is cut into ``size`` equal runs and the middle of each is taken. Every subject
    gets its share to within one problem. First-n would be wrong: data sets are often sorted.

    Raises:
        TaskError: More are asked for than there are.
    """
    if size is None or size == len(problems):
        return problems
    if size > len(problems):
        raise TaskError(
            f"tasks: '{asked}' should ask for at most the task's {len(problems)} problems"
        )
    subjects = {name: i for i, name in enumerate(sorted({p.subject or "" for p in problems}))}

    def place(problem: Problem) -> tuple[int, int, str]:
        subject = subjects[problem.subject or ""]
        level = problem.level or 0
        name = hashlib.sha256(problem.problem_id.encode()).hexdigest()
        return subject, level if subject % 2 == 0 else -level, name

    line = sorted(problems, key=place)
    return [line[(2 * i + 1) * len(line) // (2 * size)] for i in range(size)]
