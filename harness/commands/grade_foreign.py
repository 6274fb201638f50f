"""``harness grade`` on another harness's file: our verdict on each output beside theirs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal, NamedTuple

from harness.answers.code import defines, extract_code
from harness.answers.thinking import split_thinking
from harness.errors import UserError
from harness.foreign import ForeignLog, ForeignProblem
from harness.manifest import dump_json
from harness.records import CodeReference, Grade, MathReference, Problem

KINDS = {"math500": "math", "humaneval": "python"}


class Output(NamedTuple):
    """One output of their file."""

    id: str
    problem: Problem
    text: str
    theirs: str | None


def grade_foreign(kind: Literal["math", "python"], log: ForeignLog, workers: int) -> int:
    """Prints a verdict for each output of a file, in its order.

    Raises:
        UserError: It is of a task of the other kind.
        UnavailableError: No sandbox is to be had that is safe enough.
    """
    from harness.commands.grade import in_order

    if (right := KINDS[log.task]) != kind:
        raise UserError(f"{log.file}: its task is {log.task}; use harness grade {right} {log.file}")
    with ExitStack() as stack:
        scorer, work = _start(kind, workers, stack)
        graded = in_order(_outputs(log), lambda output: (output, work(output)), workers)
        for output, grade in graded:
            verdict: dict[str, Any] = {
                "id": output.id,
                **grade.model_dump(),
                "scorer": scorer,
                "their_status": output.theirs,
                "their_scorer": log.fields["scorer"],
            }
            print(dump_json(verdict), flush=True)  # noqa: T201
    return 0


def _start(
    kind: Literal["math", "python"], workers: int, stack: ExitStack
) -> tuple[str, Callable[[Output], Grade]]:
    if kind == "math":
        from harness.scorers.math_answer import MathAnswerScorer

        maths = stack.enter_context(MathAnswerScorer(workers=workers))
        return maths.name, lambda output: maths.grade_output(_gold(output.problem), output.text)

    from harness.sandbox.config import SandboxConfig
    from harness.scorers.python_tests import PythonTestsScorer

    python = stack.enter_context(PythonTestsScorer(SandboxConfig(), workers))
    return python.name, lambda output: python.grade(output.problem, output.text)


def _gold(problem: Problem) -> str:
    assert isinstance(problem.reference, MathReference)
    return problem.reference.answer


def _outputs(log: ForeignLog) -> Iterator[Output]:
    for each in log.problems:
        for position in range(len(each.outputs)):
            theirs = each.statuses[position] if position < each.judged else None
            name = f"{each.problem.problem_id}#{position}"
            yield Output(name, each.problem, _text(each, position), theirs)


def _text(each: ForeignProblem, position: int) -> str:
    """What is graded: the output, but of code that only goes on where the prompt ended, theirs.

    A completion without a block of its own that defines the function makes no sense without the
    prompt, and the program that their filter put together has it.
    """
    output = each.outputs[position]
    reference = each.problem.reference
    if not isinstance(reference, CodeReference) or position >= len(each.graded):
        return output
    answer = split_thinking(output, prompt_opened_think=False).answer or ""
    code = extract_code(answer, reference.entry_point).code or ""
    is_whole = "```" in answer and defines(code, reference.entry_point)
    return answer if is_whole else each.graded[position]
