"""The string that votes are counted by: the same for one spelling in other clothes, only then."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.equivalence.canonical import canonical
from harness.scorers.equivalence.checker import Equivalence


@pytest.mark.parametrize(
    "spellings",
    [
        [r"\dfrac12", r"\frac{1}{2}", r"\tfrac 1 2", r"$\frac12$", r" \frac{1}{2}. "],
        ["3", "3.", " 3 ", "$3$", r"\(3\)", "{3}", "**3**"],
        ["1,234,567", r"1{,}234{,}567", "1234567", r"1\,234\,567"],
        [r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac\pi2)", "(3, \\dfrac{π}{2})"],
        [r"\text{east}", r"\mbox{east}", r"\textbf{ east }"],
        [r"90^\circ", "90^{\\circ}", "90°"],
        [r"x \le 3", r"x\leq3", "x ≤ 3", "x<=3"],
        [r"\sum\limits_{k=1}^{n} k", r"\sum_{k=1}^n k"],
    ],
)
def test_one_string_for_all_spellings(spellings: list[str]) -> None:
    assert len({canonical(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [r"\frac{1}{23}", r"\frac{12}{3}", r"\frac123", r"\frac{1}{2}", r"\frac12^3"],
        ["3", "-3", "33", "3!", "3.5", "3x"],
        ["(3, 4)", "(4, 3)", "[3, 4]", r"\{3, 4\}", "3, 4"],
        ["x", "X", r"\text{x}", "x^2", "x_2"],
        [r"\text{ab}", "ab"],
        ["1/2", "0.5", r"\frac{1}{2}"],
        [r"10\text{ cm}", r"10\text{ m}", "10"],
    ],
)
def test_other_answers_have_other_strings(answers: list[str]) -> None:
    assert len({canonical(answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("", ""), (" \n", ""), (".", "."), ("7 " * 2000, " ".join("7" * 2000)), ("{" * 60, "{" * 60)],
    ids=["empty", "blank", "a full stop", "too long", "too deep"],
)
def test_an_answer_without_tokens_stands_for_itself(answer: str, expected: str) -> None:
    assert canonical(answer) == expected


@given(st.text(max_size=60), st.text(max_size=60))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_any_text_has_one_and_is_blank_only_if_blank(one: str, two: str) -> None:
    assert (canonical(one) == "") == (not one.split())
    assert canonical(one) == canonical(f" {one}\n")
    if canonical(one) and canonical(one) == canonical(two):
        assert Equivalence().compare(one, two).is_equal


def test_needs_no_sympy() -> None:
    script = (
        "import sys\n"
        "from harness.scorers.equivalence.canonical import canonical\n"
        "canonical('x^2')\n"
        "print(sorted({'sympy', 'math_verify', 'subprocess', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
