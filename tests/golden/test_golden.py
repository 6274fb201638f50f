"""What must not move unnoticed: verdicts on recorded completions, and the shape of the files."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.run.pipeline import Question, judge, problem_id_of
from harness.scorers.build import build_scorer
from harness.scorers.sandbox.config import SandboxConfig
from harness.store.result import result_schema
from harness.store.run_files import Run

HERE = Path(__file__).resolve().parent
RUNS = sorted(path for path in (HERE / "runs").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def scorers():
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                build_scorer(name, workers=2, math_limit_s=8.0, sandbox=SandboxConfig())
            )
            for name in ("math_answer", "python_tests")
        }


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_recorded_completions_get_their_recorded_verdicts(folder, scorers):
    """A difference here moves published numbers: it belongs in the changelog under that heading."""
    run = Run(folder)
    problems, prompts, recorded = run.read_problems(), run.read_prompts(), run.read_verdicts()
    scorer_of = {task.name: task.scorer.partition("@")[0] for task in run.read_manifest().tasks}
    for completion in run.read_completions():
        problem_id = problem_id_of(completion.request_id)
        scorer = scorers[scorer_of[problem_id.partition("/")[0]]]
        question = Question(problems[problem_id], prompts[problem_id].opened_think, scorer)
        found, was = judge(question, completion), recorded[completion.request_id]
        assert (found.status, found.extracted) == (was.status, was.extracted), was.request_id


def test_the_schema_of_results_is_the_published_one(golden):
    """Raise SCHEMA_VERSION if old files no longer validate, then write it with --update-golden."""
    schema = json.dumps(result_schema(), indent=1) + "\n"
    assert golden(HERE / "result.schema.json", schema) == schema
