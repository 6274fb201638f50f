"""``harness leaderboard --task`` and logs of other harnesses."""

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main
from harness.tasks import load_task, parse_selection
from tests.unit.leaderboard_results import write_result

KNOWN = Path(__file__).parent / "cases" / "foreign" / "inspect_math_mini.eval"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One run, of HumanEval."""
    write_result(tmp_path / "results", "a")
    return tmp_path / "results"


@pytest.fixture
def unnamed(tmp_path: Path) -> Path:
    """A log of ``math_mini`` that calls its task ``sums``."""
    problem = load_task(parse_selection("math_mini")).problems[0]
    review: dict[str, Any] = {
        "index": 0,
        "messages": [{"role": "user", "content": problem.question}],
        "sample_score": {"score": {"value": {"acc": 1.0}}, "sample_id": 0},
    }
    file = tmp_path / "sums_main.jsonl"
    file.write_text(f"{json.dumps(review)}\n", encoding="utf-8")
    return file


def test_a_task_says_which_one_a_log_is_about(
    results: Path, unnamed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", f"--results-dir={results}", f"--log={unnamed}", "--json"]
    assert main(command) == 2
    assert "--task" in capsys.readouterr().err
    assert main([*command, "--task=math_mini"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["task"] for each in shown["foreign"]] == ["math_mini"]
    assert shown["lists"] == []
    assert main([*command, "--task=math_mini", "--task=aime24"]) == 2
    assert "math_mini or aime24" in capsys.readouterr().err


def test_a_log_of_another_task_is_filtered_as_a_run_is(results: Path) -> None:
    found = harness.leaderboard(results, tasks=["humaneval"], logs=[KNOWN])
    assert ([each.task for each in found.lists], found.foreign) == (["humaneval"], ())
    both = harness.leaderboard(results, tasks=["humaneval", "math_mini"], logs=[KNOWN])
    assert ([each.task for each in both.lists], len(both.foreign)) == (["humaneval"], 1)


def test_a_task_that_neither_a_run_nor_a_log_has_is_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", f"--results-dir={results}", f"--log={KNOWN}", "--task=math500"]
    assert main(command) == 2
    assert "--task math500" in capsys.readouterr().err
