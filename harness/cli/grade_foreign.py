"""``harness grade`` on another harness's file: our verdict on each output beside theirs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.interop.readers import ForeignAnswer, ForeignLog
from harness.io.in_order import in_order
from harness.records import CodeReference, Grade, Problem
from harness.scorers.answers.code import defines, extract_code
from harness.scorers.answers.thinking import split_thinking
from harness.scorers.base import UNFINISHED, Scorer, status_of
from harness.scorers.build import definition_of, graded_by_lines, standard_settings
from harness.store.manifest import dump_json
from harness.tasks import load_spec


class Output(NamedTuple):
    """One output of their file."""

    id: str
    problem: Problem
    text: str | None
    """What is graded; None where a thought never ended."""
    is_cut_off: bool
    theirs: str | None


def grade_foreign(kind: str, log: ForeignLog, workers: int) -> int:
    """Prints a verdict for each output of a log, in its order, as it is read.

    Raises:
        UserError: It is of a task of the other kind, or damaged; the verdicts of what stands before
            are printed.
        UnavailableError: No sandbox is to be had that is safe enough.
    """
    definition = graded_by_lines(kind)
    with definition.build(standard_settings(workers)) as scorer:
        outputs = _outputs(log, kind)
        graded = in_order(outputs, lambda output: (output, _grade(scorer, output)), workers)
        for output, grade in graded:
            verdict: dict[str, Any] = {
                "id": output.id,
                **grade.model_dump(),
                "status": status_of(grade, is_cut_off=output.is_cut_off),
                "scorer": scorer.name,
                "their_status": output.theirs,
                "their_scorer": log.scorer,
            }
            print(dump_json(verdict), flush=True)  # noqa: T201
    return 0


def _grade(scorer: Scorer, output: Output) -> Grade:
    return UNFINISHED if output.text is None else scorer.grade(output.problem, output.text)


def _outputs(log: ForeignLog, kind: str) -> Iterator[Output]:
    """Those that the log keeps; an answer without a text has nothing to grade."""
    for found in log:
        if (right := definition_of(load_spec(found.task).scorer).command) != kind:
            advice = (
                f"use harness grade {right} {log.file}" if right else "it is graded in runs alone"
            )
            raise UserError(f"{log.file}: its task is {found.task}; {advice}")
        first = found.entry.sample or 0
        for position, each in enumerate(found.entry.answers):
            if each.output is not None:
                name = f"{found.problem.problem_id}#{first + position}"
                text, is_cut_off = _text(found.problem, each), bool(each.is_truncated)
                yield Output(name, found.problem, text, is_cut_off, each.status)


def _text(problem: Problem, each: ForeignAnswer) -> str | None:
    """The answer of an output, but of code that only goes on where the prompt ended, theirs.

    A completion without a block of its own that defines the function makes no sense without the
    prompt, and the program that their filter put together has it.
    """
    answer = split_thinking(each.output or "", prompt_opened_think=each.opened_think).answer
    reference = problem.reference
    if answer is None or each.graded is None or not isinstance(reference, CodeReference):
        return answer
    code = extract_code(answer, reference.entry_point).code or ""
    is_whole = "```" in answer and defines(code, reference.entry_point)
    return answer if is_whole else each.graded
