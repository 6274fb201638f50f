"""The number after ``####``: where it is found, and the task that asks for it."""

from pathlib import Path

import pytest

from harness.records import MathReference, Problem
from harness.scorers.build import definition_of, standard_settings
from harness.scorers.gsm8k_answer import number_after_mark
from harness.tasks import Shots, load_task, parse_selection


@pytest.mark.parametrize(
    ("answer", "number", "is_complete"),
    [
        ("6 * 2 = 12\n#### 12", "12", False),
        ("#### 12\n", "12", True),
        ("#### -1,250.50 dollars", "-1250.50", True),
        ("#### 18.\n", "18", True),
        ("#### 5\n#### 6\n", "5", True),
        ("#### $18", None, True),
        ("The answer is 12.", None, True),
        (r"\boxed{12}", None, True),
        ("#### ,", None, False),
        ("", None, True),
    ],
)
def test_the_first_marked_number_is_the_answer(
    answer: str, number: str | None, is_complete: bool
) -> None:
    assert number_after_mark(answer) == (number, is_complete)


@pytest.mark.parametrize(
    ("answer", "status"),
    [("so 9 + 9 = 18\n#### 18\n\n", "correct"), ("#### 18.00", "correct"), ("#### 17", "incorrect"),
     (r"It is $\boxed{18}$.", "no_answer")],
)  # fmt: skip
def test_grades(answer: str, status: str) -> None:
    problem = Problem(
        problem_id="gsm8k_fewshot/0", question="?", reference=MathReference(answer="18")
    )
    with definition_of("gsm8k_answer").build(standard_settings(1)) as scorer:
        grade = scorer.grade(problem, answer)
    assert (scorer.name, grade.status) == ("gsm8k_answer@1", status)


def test_known_problems_are_graded_as_they_say() -> None:
    definition = definition_of("gsm8k_answer")
    assert definition.command is None, "harness grade math means the box"
    with definition.build(standard_settings(1)) as scorer:
        for known in definition.known_problems:
            assert scorer.grade(known.problem, known.right).status == "correct"
            assert scorer.grade(known.problem, known.wrong).status == "incorrect"
            right = definition.right_answer(known.problem)
            assert scorer.grade(known.problem, str(right)).status == "correct"


def test_five_examples_end_with_the_mark_and_are_no_problems_of_the_task(shared_data: Path) -> None:
    task = load_task(parse_selection("gsm8k_fewshot:2"), shared_data, Shots(5, 0))
    assert len(task.examples) == 5
    every = load_task(parse_selection("gsm8k_fewshot"), shared_data).problems
    assert not {each.question for each in task.examples} & {each.question for each in every}
    for example in task.examples:
        assert number_after_mark(example.answer).text is not None


def test_both_forms_of_gsm8k_ask_the_same_problems(shared_data: Path) -> None:
    boxed, marked = (load_task(parse_selection(name), shared_data) for name in
                     ("gsm8k", "gsm8k_fewshot"))  # fmt: skip
    assert [each.question for each in boxed.problems] == [each.question for each in marked.problems]
    assert [each.reference for each in boxed.problems] == [
        each.reference for each in marked.problems
    ]
    assert (boxed.before_answer, marked.before_answer) == ("\n\n", " ")
