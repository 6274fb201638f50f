"""The known problems: so easy that any model which answers at all may solve them."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.records import CodeReference, MathReference, Problem
from harness.tasks import ScorerName

SENT = 3
"""How many of them a run is sent."""


class KnownProblem(NamedTuple):
    """A problem with an answer that must be graded correct, and one that must not."""

    problem: Problem
    right: str
    wrong: str


def _maths(name: str, question: str, right: str, wrong: str) -> KnownProblem:
    reference = MathReference(answer=right)
    problem = Problem(problem_id=f"canary/{name}", question=question, reference=reference)
    return KnownProblem(problem, f"It is $\\boxed{{{right}}}$.", f"It is $\\boxed{{{wrong}}}$.")


def _code(name: str, signature: str, says: str, body: tuple[str, str], test: str) -> KnownProblem:
    prompt = f'def {name}({signature}):\n    """{says}"""\n'
    right, wrong = (f"```python\n{prompt}    {line}\n```" for line in body)
    reference = CodeReference(
        prompt=prompt, entry_point=name, test=f"def check(candidate):\n    {test}\n"
    )
    problem = Problem(problem_id=f"canary/{name}", question=prompt, reference=reference)
    return KnownProblem(problem, right, wrong)


_MATHS = (
    _maths("sum", "What is 2 + 3?", "5", "6"),
    _maths("rows", "A box holds 4 rows of 6 eggs. How many eggs does it hold?", "24", "10"),
    _maths("half", "What is one half of one half, as a fraction?", r"\frac{1}{4}", "1"),
)
_CODE = (
    _code(
        "double",
        "number",
        "Return twice the number.",
        ("return 2 * number", "return 3 * number"),
        "assert candidate(4) == 8 and candidate(-1) == -2",
    ),
    _code(
        "is_even",
        "number",
        "Return True if the number is even, else False.",
        ("return number % 2 == 0", "return number % 2 == 1"),
        "assert candidate(4) is True and candidate(7) is False",
    ),
    _code(
        "count_letter",
        "text, letter",
        "Return how often the letter stands in the text.",
        ("return text.count(letter)", "return len(text)"),
        "assert candidate('banana', 'a') == 3 and candidate('', 'a') == 0",
    ),
)


def known_problems(scorer: ScorerName) -> tuple[KnownProblem, ...]:
    """All that this scorer can grade."""
    return _MATHS if scorer == "math_answer" else _CODE


def chosen(scorers: Sequence[ScorerName]) -> list[tuple[ScorerName, Problem]]:
    """Those that a run is sent: in turn one for each of its scorers, until there are enough."""
    kinds = sorted(set(scorers))
    return [
        (kinds[place % len(kinds)], known_problems(kinds[place % len(kinds)])[place].problem)
        for place in range(SENT)
    ]
