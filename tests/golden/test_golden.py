"""What must not move unnoticed: verdicts on recorded completions, and the shape of the files."""

import json
import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.runner.pipeline import Question, judge
from harness.scorers.base import Scorer
from harness.scorers.build import build_scorer
from harness.scorers.sandbox.config import SandboxConfig
from harness.store.result import result_schema
from harness.store.run_files import Run
from tests.conftest import Golden
from tests.golden.make_r1_style import FOLDER, make

HERE = Path(__file__).resolve().parent
RUNS = sorted(path for path in (HERE / "runs").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def scorers() -> Iterator[dict[str, Scorer]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                build_scorer(name, workers=2, math_limit_s=8.0, sandbox=SandboxConfig())
            )
            for name in ("math_answer", "python_tests")
        }


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_recorded_completions_get_their_recorded_verdicts(
    folder: Path, scorers: dict[str, Scorer]
) -> None:
    """A difference here moves published numbers: it belongs in the changelog under that heading."""
    run = Run(folder)
    problems, prompts, recorded = run.read_problems(), run.read_prompts(), run.read_verdicts()
    scorer_of = {task.name: task.scorer.partition("@")[0] for task in run.read_manifest().tasks}
    for completion in run.read_completions():
        problem_id = completion.request_id.problem_id
        scorer = scorers[scorer_of[problem_id.partition("/")[0]]]
        question = Question(problems[problem_id], prompts[problem_id].opened_think, scorer)
        found, was = judge(question, completion), recorded[completion.request_id]
        assert (found.status, found.extracted) == (was.status, was.extracted), was.request_id


def test_prompts_and_answers_are_made_as_they_were_recorded(tmp_path: Path) -> None:
    """Chat templates, tokens, and how an answer's tokens are counted."""
    make(tmp_path / "today")
    today, recorded = Run(tmp_path / "today"), Run(FOLDER)
    assert today.read_problems() == recorded.read_problems()
    assert today.read_prompts() == recorded.read_prompts()
    assert list(today.read_attempts()) == list(recorded.read_attempts())


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_every_figure_of_a_recording_is_the_committed_one(
    folder: Path, golden: Golden, tmp_path: Path
) -> None:
    """A difference here moves published numbers, as above. The words of a method may change."""
    run = tmp_path / folder.name
    shutil.copytree(folder, run)
    status = main(["score", str(run)])
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    found = {
        "exit_status": status,
        "estimates": {
            f"{each['task'] or 'run'}/{each['metric']}": without_words(each)
            for each in result["estimates"]
        },
        "budget_curve": without_words(result["budget_curve"]),
        "failures": result["failures"],
        "failed_attempts": [each["request_id"] for each in result["failed_attempts"]],
    }
    assert len(found["estimates"]) == len(result["estimates"])
    committed = golden(HERE / "figures" / f"{folder.name}.json", json.dumps(found, indent=1) + "\n")
    figures, known = leaves(found), leaves(json.loads(committed))
    assert figures.keys() == known.keys()
    assert {
        name: (each, known[name])
        for name, each in figures.items()
        if not is_same(each, known[name])
    } == {}


def is_same(one: Any, other: Any) -> bool:
    """Floating point apart, whose last digits depend on the machine."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return type(one) is type(other) and one == other


def without_words(value: Any) -> Any:
    """All but what says how a figure was computed."""
    match value:
        case dict():
            words = {"method", "undefined", "missing_end"}
            return {key: without_words(each) for key, each in value.items() if key not in words}
        case list():
            return [without_words(each) for each in value]
    return value


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every single value by its path; an empty list or object is one too."""
    parts: Iterable[tuple[object, Any]]
    match value:
        case dict() if value:
            parts = value.items()
        case list() if value:
            parts = enumerate(value)
        case _:
            return {path: repr(value) if isinstance(value, dict | list) else value}
    return {
        key: leaf for name, each in parts for key, leaf in leaves(each, f"{path}/{name}").items()
    }


def test_the_schema_of_results_is_the_published_one(golden: Golden) -> None:
    """Raise SCHEMA_VERSION if old files no longer validate, then write it with --update-golden."""
    schema = json.dumps(result_schema(), indent=1) + "\n"
    assert golden(HERE / "result.schema.json", schema) == schema
