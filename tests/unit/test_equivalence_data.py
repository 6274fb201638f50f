"""Grading measured on real golds: MATH-500, systematic mutations of it, and pairs with labels."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.scorers.equivalence.checker import Equivalence
from harness.scorers.math_answer import MathAnswerScorer

DATA = Path(
    os.environ.get("HARNESS_DATA_DIR") or Path(__file__).parents[2].parent / "shared" / "data"
)
MIN_ACCURACY = 0.98


def rows(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"needs {name} in HARNESS_DATA_DIR or ../shared/data")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def golds() -> list[str]:
    return list(dict.fromkeys(row["answer"] for row in rows("math500.jsonl")))


def test_labelled_pairs(scorer: MathAnswerScorer, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = rows("grading_dev.jsonl")
    missed: list[tuple[str | None, ...]] = []
    credited: list[tuple[str | None, ...]] = []
    for pair in pairs:
        grade = scorer.grade_output(pair["gold"], pair["output"])
        assert grade.status != "scorer_error", (pair["id"], grade)
        if (grade.status == "correct") != pair["expected"]:
            wrong = (pair["id"], pair["category"], pair["gold"], grade.extracted, grade.detail)
            (missed if pair["expected"] else credited).append(wrong)
    accuracy = 1 - (len(missed) + len(credited)) / len(pairs)
    with capsys.disabled():
        print(f"\n{len(pairs)} pairs, accuracy {accuracy:.4f}, missed: {missed}")  # noqa: T201 - a figure to read
    assert not credited, "false credit"
    assert accuracy >= MIN_ACCURACY


def test_every_gold_is_itself_in_every_wrapping(scorer: MathAnswerScorer, golds: list[str]) -> None:
    wrappings = (
        "Therefore the answer is $\\boxed{%s}$.",
        "<think>maybe \\boxed{0}?</think>\n\n\\[\n\\boxed{ %s }\n\\]\n\nThis completes it.",
        "so \\boxed{%s.}",
        "so \\fbox{$%s$}",
    )
    for gold in golds:
        for wrapping in wrappings:
            grade = scorer.grade_output(gold, wrapping % gold)
            assert grade.status == "correct", (gold, wrapping, grade)


def test_every_gold_can_be_read_by_type(equivalence: Equivalence, golds: list[str]) -> None:
    """None of them falls back on string equality: a wrong answer is wrong, not unknown."""
    for gold in golds:
        found = equivalence.compare(gold, "\\sqrt{987654321}")
        assert not found.is_equal, gold
        assert found.status == "ok", (gold, found)


# Golds of MATH-500 that say the same with and without a unit, a name or a base.
ALIKE = {
    ("90^\\circ", "90"), ("x=5", "5"), ("1,-2", "-2,1"), ("40_9", "40"), ("120^\\circ", "120"),
    ("\\frac{1}{4}", "\\frac14"), ("30^\\circ", "30"), ("36^\\circ", "36"), ("\\$36", "36"),
    ("10,\\!080", "10080"), ("15\\mbox{ cm}^2", "15"), ("2 \\sqrt{5}", "2\\sqrt{5}"),
}  # fmt: skip


def test_no_gold_is_credited_for_another(equivalence: Equivalence, golds: list[str]) -> None:
    credited = {
        (gold, answer)
        for gold in golds
        for answer in golds
        if gold != answer and equivalence.compare(gold, answer).is_equal
    }
    unexplained = {
        (gold, answer)
        for gold, answer in credited
        if (gold, answer) not in ALIKE and (answer, gold) not in ALIKE
    }
    assert not unexplained


def another_digit(gold: str) -> list[str]:
    changed = []
    for found in re.finditer(r"\d", gold):
        digit = str((int(found[0]) + 1) % 10)
        changed.append(gold[: found.start()] + digit + gold[found.end() :])
    return changed


def another_sign(gold: str) -> list[str]:
    is_text = "\\text{" in gold[:6] or "pm" in gold or "matrix" in gold or "x=" in gold
    is_single = not re.search(r"[,(\[=]|\\in", gold)
    return [f"-({gold})"] if is_single and not is_text and gold != "0" else []


def another_order(gold: str) -> list[str]:
    found = re.fullmatch(r"(?:\\left)?([(\[])(.*),(.*?)(?:\\right)?([)\]])", gold)
    if not found or "," in found[2] or found[2].strip() == found[3].strip():
        return []
    return [f"{found[1]}{found[3]},{found[2]}{found[4]}"]


def other_brackets(gold: str) -> list[str]:
    swapped = str.maketrans("()[]", "[]()")
    if not re.match(r"(?:\\left)? ?[(\[]", gold) or not gold.rstrip().endswith((")", "]")):
        return []
    return [gold.translate(swapped)] if "cup" in gold or "," in gold else []


def a_dropped_element(gold: str) -> list[str]:
    if "," not in gold or re.search(r"\d,(?:\\!)?\s?\d{3}", gold):
        return []
    first, _, others = gold.partition(",")
    opened = re.match(r"(?:\\left)?\s*(?:\\\{|[(\[])", first)
    return [others.strip() if not opened else opened[0] + others]


def a_hedge(gold: str) -> list[str]:
    other = "7" if gold != "7" else "8"
    return [
        gold + rf"\text{{ or }}{other}",
        rf"{other}\text{{ or }}{gold}",
        f"{gold}, {other}",
        rf"\text{{not }}{gold}",
        gold + r"\text{ or more}",
    ]


def another_base(gold: str) -> list[str]:
    found = re.fullmatch(r"(\d+)_\{?(\d)\}?", gold)
    return [f"{found[1]}_{int(found[2]) + 1}", str(int(found[1], int(found[2])))] if found else []


def a_term_more(gold: str) -> list[str]:
    is_text = "\\text{(" in gold or re.fullmatch(r"\\text\{[A-Za-z]+\}", gold)
    # Times 2 and squared leave a 0 as it is, squared a 1: they are the last term of some golds.
    by_end = {"0": [], "1": [gold + r"\cdot 2"]}.get(gold[-1], [gold + r"\cdot 2", gold + "^2"])
    return [] if is_text else [gold + "+1", *by_end]


def a_rounding(gold: str) -> list[str]:
    found = re.fullmatch(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", gold)
    if not found:
        return []
    value = int(found[1]) / int(found[2])
    return [f"{value:.3f}", f"{value:.2f}"] if round(value, 6) != round(value, 3) else []


MUTATIONS = (
    another_digit, another_sign, another_order, other_brackets, a_dropped_element, a_hedge,
    another_base, a_term_more, a_rounding,
)  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_mutated_golds_are_refused(equivalence: Equivalence, golds: list[str], mutate: Any) -> None:
    tried, credited = 0, []
    for gold in golds:
        for answer in mutate(gold):
            tried += 1
            if equivalence.compare(gold, answer).is_equal:
                credited.append((gold, answer))
    assert tried >= 5
    assert not credited
