"""``harness grade`` on another harness's file: our verdict on each output beside theirs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.interop.readers import ForeignLog, ForeignProblem
from harness.io.in_order import in_order
from harness.records import CodeReference, Grade, Problem
from harness.scorers.answers.code import defines, extract_code
from harness.scorers.answers.thinking import split_thinking
from harness.scorers.base import UNFINISHED, Scorer
from harness.scorers.build import definition_of, standard_settings
from harness.store.manifest import dump_json
from harness.tasks import load_spec


class Output(NamedTuple):
    """One output of their file."""

    id: str
    problem: Problem
    text: str | None
    """What is graded; None where a thought never ended."""
    theirs: str | None


def grade_foreign(kind: str, log: ForeignLog, workers: int) -> int:
    """Prints a verdict for each output of a file, in its order.

    Raises:
        UserError: It is of a task of the other kind.
        UnavailableError: No sandbox is to be had that is safe enough.
    """
    definition = definition_of(load_spec(log.task).scorer)
    if (right := definition.command) != kind:
        raise UserError(f"{log.file}: its task is {log.task}; use harness grade {right} {log.file}")
    with definition.build(standard_settings(workers)) as scorer:
        graded = in_order(_outputs(log), lambda output: (output, _grade(scorer, output)), workers)
        for output, grade in graded:
            verdict: dict[str, Any] = {
                "id": output.id,
                **grade.model_dump(),
                "scorer": scorer.name,
                "their_status": output.theirs,
                "their_scorer": log.fields["scorer"],
            }
            print(dump_json(verdict), flush=True)  # noqa: T201
    return 0


def _grade(scorer: Scorer, output: Output) -> Grade:
    return UNFINISHED if output.text is None else scorer.grade(output.problem, output.text)


def _outputs(log: ForeignLog) -> Iterator[Output]:
    for each in log.problems:
        for position in range(len(each.outputs)):
            theirs = each.statuses[position] if position < each.judged else None
            name = f"{each.problem.problem_id}#{position}"
            yield Output(name, each.problem, _text(each, position), theirs)


def _text(each: ForeignProblem, position: int) -> str | None:
    """The answer of an output, but of code that only goes on where the prompt ended, theirs.

    A completion without a block of its own that defines the function makes no sense without the
    prompt, and the program that their filter put together has it.
    """
    answer = split_thinking(each.outputs[position], prompt_opened_think=False).answer
    reference = each.problem.reference
    if answer is None or not isinstance(reference, CodeReference):
        return answer
    if position >= len(each.graded):
        return answer
    code = extract_code(answer, reference.entry_point).code or ""
    is_whole = "```" in answer and defines(code, reference.entry_point)
    return answer if is_whole else each.graded[position]
