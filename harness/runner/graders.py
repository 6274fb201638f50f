"""Starts the scorers of a run, and records which they are."""

from collections.abc import Mapping
from contextlib import ExitStack

from harness.config.settings import RunConfig
from harness.errors import StoreError
from harness.records import Problem, Prompt, task_of
from harness.runner.build_result import scoring_workers
from harness.runner.pipeline import Question
from harness.scorers.answers.marks import Reasoning
from harness.scorers.base import Scorer
from harness.scorers.build import build_scorer, find_definition, scorer_origin
from harness.store.fingerprint import fingerprint
from harness.store.manifest import RunManifest


def start_scorers(config: RunConfig, names: dict[str, str], stack: ExitStack) -> dict[str, Scorer]:
    """Starts the scorer of each task; their processes run until the stack unwinds."""
    started: dict[str, Scorer] = {}
    for name in names.values():
        if name not in started:
            scorer = build_scorer(
                name,
                workers=scoring_workers(config),
                math_limit_s=config.scoring.math_limit_s,
                sandbox=config.sandbox,
            )
            started[name] = stack.enter_context(scorer)
    return {task: started[name] for task, name in names.items()}


def contexts(scorers: Mapping[str, Scorer]) -> dict[str, dict[str, str]]:
    """By scorer: what its grades depend on, for another package's scorer that package too."""
    return {scorer.name: _context(scorer) for scorer in scorers.values()}


def _context(scorer: Scorer) -> dict[str, str]:
    package = scorer_origin(scorer.name)
    return {**scorer.context(), **({} if package is None else {"package": package})}


def scorer_name_of(versioned: str) -> str:
    """``math_answer@3`` → ``math_answer``.

    Raises:
        StoreError: There is no such scorer.
    """
    if (found := find_definition(versioned)) is None:
        raise StoreError(f"scorer '{versioned}' is not known to this harness")
    return found.name


def questions_of(
    problems: Mapping[str, Problem],
    prompts: Mapping[str, Prompt],
    scorers: Mapping[str, Scorer],
    reasoning: Reasoning,
) -> dict[str, Question]:
    """What scoring needs to know of each problem; ``reasoning`` is the model's thinking marks."""
    return {
        problem_id: Question(
            problem,
            prompts[problem_id].opened_think,
            scorers[task_of(problem_id)],
            reasoning,
        )
        for problem_id, problem in problems.items()
    }


def with_scorers(manifest: RunManifest, scorers: Mapping[str, Scorer]) -> RunManifest:
    """The manifest as if these scorers had graded the run from the start."""
    context = contexts(scorers)
    fields = {}
    for task, old in manifest.protocol_fields.items():
        scorer = scorers[task].name
        kept = {key: value for key, value in old.items() if not key.startswith("scorer")}
        added = {f"scorer.{key}": value for key, value in sorted(context[scorer].items())}
        fields[task] = {**kept, "scorer": scorer, **added}
    return manifest.model_copy(
        update={
            "tasks": tuple(
                task.model_copy(update={"scorer": scorers[task.name].name})
                for task in manifest.tasks
            ),
            "protocol_fields": fields,
            "protocol_fingerprints": {task: fingerprint(each) for task, each in fields.items()},
            "scorer_context": context,
        }
    )
