"""The embedded maths task: its shape, its originality, and that its answers are computed."""

import importlib.util
import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = ROOT / "tasks" / "math_mini" / "problems.jsonl"
DATA = Path(os.environ.get("HARNESS_DATA_DIR") or ROOT.parent / "shared" / "data")

SUBJECTS = {
    "algebra": "Algebra",
    "counting_and_probability": "Counting & Probability",
    "geometry": "Geometry",
    "intermediate_algebra": "Intermediate Algebra",
    "number_theory": "Number Theory",
    "prealgebra": "Prealgebra",
    "precalculus": "Precalculus",
}
GRID = {
    f"mini/{slug}/{level}-{letter}.json": (subject, level)
    for slug, subject in SUBJECTS.items()
    for level in range(1, 6)
    for letter in "ab"
}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def load_checker() -> ModuleType:
    path = ROOT / "scripts" / "check_math_mini.py"
    spec = importlib.util.spec_from_file_location("check_math_mini", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROWS = read(PROBLEMS)
each_row = pytest.mark.parametrize("row", ROWS, ids=[row["unique_id"] for row in ROWS])


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    return load_checker()


def test_the_grid_of_seven_subjects_five_levels_and_two_problems_is_full() -> None:
    assert len(ROWS) == 70
    assert {row["unique_id"]: (row["subject"], row["level"]) for row in ROWS} == GRID
    assert len({row["problem"] for row in ROWS}) == 70


@each_row
def test_a_row_has_the_keys_and_types_of_math_500(row: dict[str, Any]) -> None:
    kinds = {key: type(value) for key, value in row.items()}
    texts = ("problem", "solution", "answer", "subject", "unique_id")
    assert kinds == {**dict.fromkeys(texts, str), "level": int}
    assert all(row[key] == row[key].strip() != "" for key in texts)


@each_row
def test_the_latex_is_balanced_and_needs_no_figure(row: dict[str, Any]) -> None:
    for key in ("problem", "solution", "answer"):
        text = row[key].replace(r"\$", "")
        assert text.count("$") % 2 == 0
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        assert text.count(r"\begin") == text.count(r"\end")
        assert "[asy]" not in text
    assert "$" not in row["answer"]


@each_row
def test_the_solution_ends_with_the_boxed_answer(row: dict[str, Any]) -> None:
    before, box, end = row["solution"].rpartition(rf"\boxed{{{row['answer']}}}")
    assert box
    assert r"\boxed" not in before
    # Nothing but the end of the formula and perhaps a unit may follow.
    assert re.fullmatch(r"\.?\$[a-z ]*\.?", end), end


def word_overlap(one: str, other: str) -> float:
    """Shared share of the words, numbers and variables of two texts, from 0 to 1."""
    words, others = (set(re.findall(r"[a-z]+|\d+", text.lower())) for text in (one, other))
    return len(words & others) / len(words | others)


def test_no_question_is_one_of_math_500() -> None:
    path = DATA / "math500.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    published = [row["problem"] for row in read(path)]
    assert len(published) == 500
    assert word_overlap(published[0], f"Please do this: {published[0]}") > 0.8
    close = [
        (row["unique_id"], question)
        for row in ROWS
        for question in published
        if word_overlap(row["problem"], question) > 0.8
    ]
    assert close == []


def altered(answer: str) -> str:
    """A wrong answer that looks like the right one."""
    if digit := re.search(r"\d", answer):
        at = digit.start()
        return f"{answer[:at]}{(int(answer[at]) + 1) % 10}{answer[at + 1 :]}"
    return {r"\text{(E)}": r"\text{(D)}", r"\text{Friday}": r"\text{Thursday}", "-x-6": "x-6"}[
        answer
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_every_answer_is_what_the_check_computes(
    checker: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(checker.CHECKS) == set(GRID)
    status = checker.main()
    assert (capsys.readouterr().out, status) == ("70 answers checked\n", 0)


@each_row
def test_the_check_sees_an_altered_answer(row: dict[str, Any], checker: ModuleType) -> None:
    wrong = altered(row["answer"])
    message = checker.mismatch(row["unique_id"], wrong)
    assert message == f"{row['unique_id']}: has {wrong!r}, computed {row['answer']!r}"


def test_the_check_fails_with_one_line_for_each_of_two_mismatches(
    checker: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [dict(row) for row in ROWS]
    for index in (3, 40):
        rows[index]["answer"] = altered(rows[index]["answer"])
    assert checker.main([write(tmp_path / "wrong.jsonl", rows)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [rows[i]["unique_id"] for i in (3, 40)]


def test_a_problem_without_a_check_and_a_check_without_a_problem_fail(
    checker: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stranger = {**ROWS[0], "unique_id": "mini/algebra/1-z.json"}
    assert checker.main([write(tmp_path / "other.jsonl", [stranger, *ROWS[1:]])]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "mini/algebra/1-z.json: no check computes this answer",
        "mini/algebra/1-a.json: no such problem",
    ]
