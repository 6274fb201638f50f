"""What the maths scorer promises to the pipeline."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.records import CodeReference, Grade, MathReference, Problem
from harness.scorers.base import Scorer
from harness.scorers.math_answer import MathAnswerScorer


def problem(answer: str) -> Problem:
    return Problem(
        problem_id="math500/test/1", question="?", reference=MathReference(answer=answer)
    )


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    with MathAnswerScorer(workers=2, pair_limit_s=600) as scorer:
        yield scorer


def test_is_a_scorer(scorer: Scorer) -> None:
    assert scorer.name == "math_answer@3"
    context = scorer.context()
    assert {"mpmath", "pair_limit_s"} == set(context)
    assert all(isinstance(value, str) and value for value in context.values())


@pytest.mark.parametrize(
    ("gold", "answer", "status", "extracted", "route"),
    [
        ("12", r"Hence $\boxed{12}$.", "correct", "12", "string"),
        ("0.5", r"Hence $\boxed{\frac{1}{2}}$.", "correct", r"\frac{1}{2}", "typed"),
        ("x^2-1", r"\boxed{(x-1)(x+1)}", "correct", "(x-1)(x+1)", "typed"),
        ("6", r"\boxed{\gcd(12,18)}", "correct", r"\gcd(12,18)", "typed"),
        (r"\sqrt{8}", r"\boxed{2\sqrt2}", "correct", r"2\sqrt2", "algebra"),
        (r"\int_0^1 x^x dx", r"\boxed{5}", "incorrect", "5", "algebra"),
        ("12", r"\boxed{13}", "incorrect", "13", "typed"),
        ("12", r"\boxed{12} or \boxed{13}", "incorrect", r"12 \text{ or } 13", "typed"),
        ("12", r"\boxed{\input{x}}", "incorrect", r"\input{x}", "none: unparsed"),
        ("12", r"\boxed{10^{10^{10}}}", "incorrect", "10^{10^{10}}", "none: unparsed"),
        ("12", "I thought about 12.", "no_answer", None, "none: no final answer"),
        ("12", "", "no_answer", None, "none: no final answer"),
    ],
)
def test_grades(
    scorer: Scorer, gold: str, answer: str, status: str, extracted: str | None, route: str
) -> None:
    grade = scorer.grade(problem(gold), answer)
    assert (grade.status, grade.extracted) == (status, extracted)
    assert grade.detail.startswith(route)
    assert "\n" not in grade.detail
    assert grade.is_complete


def test_a_cut_box_is_an_incomplete_answer(scorer: Scorer) -> None:
    grade = scorer.grade(problem("5"), r"First \boxed{5}. But then $\boxed{1")
    assert (grade.status, grade.extracted, grade.is_complete) == ("no_answer", None, False)


def test_a_statement_that_may_go_on_is_an_incomplete_answer(scorer: Scorer) -> None:
    grade = scorer.grade(problem(r"\text{(A)}"), "The answer is (")
    assert (grade.status, grade.extracted, grade.is_complete) == ("incorrect", "(", False)
    assert scorer.grade(problem("5"), "The answer is 51, as desired").is_complete


def test_a_reference_that_cannot_be_read_is_an_error_of_ours(scorer: Scorer) -> None:
    assert scorer.grade(problem(r"\oint F"), r"\boxed{3}").status == "scorer_error"
    assert scorer.grade(problem(r"\oint F"), r"\boxed{\oint F}").status == "correct"


def test_a_problem_of_another_kind_is_an_error_of_ours(scorer: Scorer) -> None:
    code = CodeReference(prompt="", entry_point="f", test="")
    other = Problem(problem_id="x", question="?", reference=code)
    assert scorer.grade(other, r"\boxed{3}").status == "scorer_error"


def test_a_timeout_is_incorrect_and_says_so() -> None:
    """The model's text alone can never make a scorer error."""
    with MathAnswerScorer(workers=1, pair_limit_s=0.0) as scorer:
        grade = scorer.grade(problem(r"\sqrt{8}"), r"\boxed{2\sqrt{2}}")
        assert (grade.status, grade.detail) == ("incorrect", "algebra: timeout the time limit")
        assert scorer.grade(problem("8"), r"\boxed{8}").status == "correct"


def test_workers_that_cannot_start_are_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with MathAnswerScorer(workers=1) as scorer:
        grade = scorer.grade(problem(r"\sqrt{8}"), r"\boxed{2\sqrt{2}}")
        assert grade.status == "scorer_error"
        assert grade.extracted == r"2\sqrt{2}"


def test_grades_from_several_threads(scorer: Scorer) -> None:
    pairs = [(problem(rf"\sqrt{{{n}}}"), rf"\boxed{{{n}^{{1/2}}}}") for n in range(2, 60)]

    def grade(pair: tuple[Problem, str]) -> Grade:
        return scorer.grade(*pair)

    with ThreadPoolExecutor(4) as threads:
        assert {found.status for found in threads.map(grade, pairs)} == {"correct"}


@pytest.mark.parametrize(
    ("output", "status"),
    [
        (r"<think>\boxed{3}?</think> No: \boxed{5}", "correct"),
        (r"maybe \boxed{3}</think> No: \boxed{5}", "correct"),
        (r"\boxed{5}", "correct"),
        (r"<think>\boxed{5}", "no_answer"),
        (r"<think>\boxed{5}</think>", "no_answer"),
        (r"<think>\boxed{5}</think> so \boxed{6}", "incorrect"),
    ],
)
def test_grades_complete_outputs(output: str, status: str) -> None:
    with MathAnswerScorer(workers=1) as scorer:
        assert scorer.grade_output("5", output).status == status
