"""Which problem of ours an entry of another harness's log is about, by its texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.interop.readers import open_log
from harness.interop.readers.problems import OurProblems
from harness.interop.readers.records import ForeignAnswer, ForeignEntry
from harness.tasks import load_task, parse_selection
from tests.unit.test_foreign_fuzz import HEADER, SAMPLE, zipped

PROBLEMS = load_task(parse_selection("math_mini")).problems
MINE, OTHER = PROBLEMS[0], PROBLEMS[1]
NOT_OURS = "How many legs have four spiders?"


def found(*texts: str) -> str | None:
    answers = (ForeignAnswer(status="correct"),)
    entry = ForeignEntry(place="", task_names=(), texts=texts, answers=answers, judged=1, solved=1)
    problem = OurProblems("math_mini").find(entry)
    return None if problem is None else problem.problem_id


@pytest.mark.parametrize(
    "prompt",
    [
        "{} Please reason step by step. The answer to this question: in a box.",
        "Problem: How old is she?\nSolution: 3\n\nProblem:\n{}\n\nSolution:",
        "Question 1: {other}\nAnswer: 13\nQuestion 2: {}\nAnswer:",
        "{other}\n13\n\n{}\n",
    ],
)
def test_the_question_that_stands_last_is_the_one_that_was_asked(prompt: str) -> None:
    text = prompt.format(MINE.question, other=OTHER.question)
    assert found(text) == MINE.problem_id
    assert found(MINE.question, text) == MINE.problem_id
    assert found("Algebra", "125", text) == MINE.problem_id


@pytest.mark.parametrize(
    "texts",
    [
        ("Problem: {ours}\nSolution: 125\n\nProblem: {theirs}\nSolution:",),
        ("Question 1: {ours}\nAnswer: 125\nQuestion 2: {theirs}\nAnswer:",),
        ("**Q**: {ours}\n**A**: 125\n**Q**: {theirs}\n**A**:",),
        ("{theirs}", "{ours}\n125\n\n{theirs}\n"),
        ("{ours}\n125\n\n{theirs}\n", "{theirs}"),
    ],
)
def test_an_example_is_not_what_was_asked(texts: tuple[str, ...]) -> None:
    assert found(*(each.format(ours=MINE.question, theirs=NOT_OURS) for each in texts)) is None


TURNS = [
    {"role": "user", "content": MINE.question},
    {"role": "assistant", "content": "125"},
    {"role": "user", "content": NOT_OURS},
]


@pytest.mark.parametrize("given", [NOT_OURS, TURNS])
def test_a_turn_before_the_last_is_an_example_in_inspect(given: Any, tmp_path: Path) -> None:
    asked = {**SAMPLE, "id": 2, "input": OTHER.question, "messages": []}
    example = {**SAMPLE, "id": 1, "input": given, "messages": TURNS}
    content = {
        "header.json": HEADER,
        "samples/1_epoch_1.json": example,
        "samples/2_epoch_1.json": asked,
    }
    check_left_out(zipped(tmp_path / "log.eval", content))


def test_a_turn_before_the_last_is_an_example_in_evalscope(tmp_path: Path) -> None:
    score = {"score": {"value": {"acc": 1.0}, "main_score_name": "acc"}, "sample_id": 0}
    reviews = [
        {"index": index, "target": "1", "messages": messages, "sample_score": score}
        for index, messages in enumerate((TURNS, [{"role": "user", "content": OTHER.question}]))
    ]
    file = tmp_path / "math_mini_main.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in reviews), encoding="utf-8")
    check_left_out(file)


def check_left_out(file: Path) -> None:
    log = open_log(file)
    assert [each.problem.problem_id for each in log] == [OTHER.problem_id]
    assert log.left_out == 1
