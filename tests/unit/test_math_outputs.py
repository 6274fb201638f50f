"""Whole outputs graded: kinds of mistakes that other graders were reported for, in both directions.

The rows are this project's own, several for each kind: answers that deserve credit beside answers
that look like them and do not.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.equivalence.checker import Equivalence
from harness.scorers.equivalence.nouns import NOUNS
from harness.scorers.math_answer import MathAnswerScorer
from tests.unit.test_equivalence_data import rows

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cases" / "math_outputs.json").read_text(encoding="utf-8")
)
KINDS = list(dict.fromkeys(case["kind"] for case in CASES))


def misjudged(scorer: MathAnswerScorer, cases: list[dict[str, Any]]) -> list[Any]:
    wrong = []
    for case in cases:
        grade = scorer.grade_output(case["gold"], case["output"])
        if grade.status == "scorer_error" or (grade.status == "correct") != case["expected"]:
            wrong.append((case, grade))
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_of_each_kind(scorer: MathAnswerScorer, kind: str) -> None:
    assert not misjudged(scorer, [case for case in CASES if case["kind"] == kind])


def test_each_kind_has_cases_in_both_directions() -> None:
    assert len(KINDS) >= 20
    counts = Counter((case["kind"], case["expected"]) for case in CASES)
    assert min(counts[kind, expected] for kind in KINDS for expected in (True, False)) >= 4
    assert len({(case["gold"], case["output"]) for case in CASES}) == len(CASES)


def test_reported_faults(scorer: MathAnswerScorer) -> None:
    assert not misjudged(scorer, rows("grading_faults.jsonl"))


# --- what must hold for any number ------------------------------------------------------------

FUZZ = settings(derandomize=True, max_examples=40, deadline=None)
FAR = st.integers(-20_000, 20_000)


def shifted(number: int, letter: str = "x") -> str:
    return f"{letter}-{number}" if number >= 0 else f"{letter}+{-number}"


@given(FAR)
@FUZZ
def test_an_absolute_value_turns_wherever_it_does(equivalence: Equivalence, turn: int) -> None:
    gold = f"|{shifted(turn)}|"
    root = rf"\sqrt{{x^2 - ({2 * turn})x + {turn**2}}}"
    assert equivalence.compare(gold, f"|-({shifted(turn)})|").is_equal
    assert equivalence.compare(gold, root).is_equal
    assert not equivalence.compare(gold, shifted(turn)).is_equal
    assert not equivalence.compare(root, shifted(turn)).is_equal
    assert not equivalence.compare(root, f"-({shifted(turn)})").is_equal


@given(st.integers(-300, 300), st.integers(1, 40))
@FUZZ
def test_two_formulas_that_differ_on_one_piece_differ(
    equivalence: Equivalence, low: int, width: int
) -> None:
    gold = f"|{shifted(low)}|+|{shifted(low + width)}|"
    assert equivalence.compare(gold, f"|{shifted(low + width)}|+|{shifted(low)}|").is_equal
    assert not equivalence.compare(gold, f"|2x-({2 * low + width})|").is_equal


@given(st.integers(2, 12))
@FUZZ
def test_floors_and_ceilings_of_whole_numbers(equivalence: Equivalence, by: int) -> None:
    gold = rf"\lceil n/{by} \rceil"
    assert equivalence.compare(gold, rf"\lfloor \frac{{n+{by - 1}}}{{{by}}} \rfloor").is_equal
    assert not equivalence.compare(gold, rf"\lfloor \frac{{n+{by}}}{{{by}}} \rfloor").is_equal
    assert not equivalence.compare(gold, rf"\lfloor n/{by} \rfloor + 1").is_equal
    assert not equivalence.compare(gold, rf"\frac{{n}}{{{by}}}").is_equal


@given(st.integers(2, 99), st.from_regex(r"[a-z]{2,9}", fullmatch=True))
@FUZZ
def test_a_word_that_is_on_no_list_counts(equivalence: Equivalence, number: int, word: str) -> None:
    unknown = f"q{word}x"
    gold = str(number)
    assert not equivalence.compare(gold, rf"{gold}\text{{ {unknown}}}").is_equal
    assert not equivalence.compare(gold, rf"\text{{{unknown} of }}{gold}").is_equal
    assert not equivalence.compare(rf"{gold}\text{{ {unknown}}}", gold).is_equal
    assert not equivalence.compare(gold, f"{gold}{unknown}").is_equal


@given(st.integers(2, 99), st.sampled_from(sorted(NOUNS)))
@FUZZ
def test_what_is_counted_may_be_said(equivalence: Equivalence, number: int, noun: str) -> None:
    gold = str(number)
    assert equivalence.compare(gold, rf"{gold}\text{{ {noun}}}").is_equal
    assert equivalence.compare(gold, rf"\text{{there are }}{gold}\text{{ {noun}}}").is_equal
    assert not equivalence.compare(gold, rf"{number + 1}\text{{ {noun}}}").is_equal


@given(st.permutations("ABCDE"), st.permutations("ABCDE"))
@FUZZ
def test_letters_in_a_row_have_their_order(
    equivalence: Equivalence, one: list[str], two: list[str]
) -> None:
    gold, answer = "".join(one), "".join(two)
    assert equivalence.compare(gold, answer).is_equal == (gold == answer)
    assert equivalence.compare(f"3{gold.lower()}", f"3{answer.lower()}").is_equal
