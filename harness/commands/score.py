"""``harness score``: grade a run's completions again, without generating anything."""

import logging
from contextlib import ExitStack
from pathlib import Path

from harness.commands.run import finish
from harness.commands.setup import contexts, questions_of, scorer_name_of, start_scorers
from harness.errors import StoreError
from harness.fingerprint import fingerprint
from harness.manifest import RunManifest
from harness.pipeline import Scoring, score_missing
from harness.progress import RunProgress
from harness.result import scoring_workers
from harness.store import find_run
from harness.tasks import ScorerName

log = logging.getLogger(__name__)


def score(name: str, results_dir: Path) -> int:
    """Scores a run anew with this harness's scorers; the old verdicts go when the new are whole.

    Returns:
        0, or 4 when there were more errors or truncation than allowed.

    Raises:
        StoreError: There is no such run, or it is not complete.
    """
    run = find_run(name, results_dir)
    with ExitStack() as stack:
        stack.enter_context(run)
        manifest = run.read_manifest()
        before = run.read_verdicts()
        names: dict[str, ScorerName] = {
            task.name: scorer_name_of(task.scorer) for task in manifest.tasks
        }
        scorers = start_scorers(manifest.config, names, stack)
        manifest = _with_new_scorers(manifest, contexts(scorers), names)
        expected = sum(task.problems for task in manifest.tasks)
        expected *= manifest.config.protocol.samples_per_problem
        recorded = sum(1 for _ in run.read_completions())
        if recorded != expected:
            raise StoreError(
                f"run {run.run_id} has {recorded} of {expected} completions; finish it first with "
                f"harness run resume={run.run_id}"
            )
        questions = questions_of(run.read_problems(), run.read_prompts(), scorers)
        run.start_new_verdicts()
        progress = RunProgress(total=recorded, done=recorded)
        with (
            progress,
            Scoring(run, questions, progress, scoring_workers(manifest.config)) as scoring,
        ):
            score_missing(run, scoring)
        run.keep_new_verdicts()
        after = run.read_verdicts()
        moved = sum(before[key].status != after[key].status for key in after if key in before)
        log.info("%d of %d verdicts changed", moved, len(after))
        return finish(run, manifest)


def _with_new_scorers(
    manifest: RunManifest, context: dict[str, dict[str, str]], names: dict[str, ScorerName]
) -> RunManifest:
    """The manifest as if the run had been scored by these from the start."""
    current = {name.partition("@")[0]: name for name in context}
    fields = {}
    for task, old in manifest.protocol_fields.items():
        scorer = current[names[task]]
        kept = {key: value for key, value in old.items() if not key.startswith("scorer")}
        added = {f"scorer.{key}": value for key, value in sorted(context[scorer].items())}
        fields[task] = {**kept, "scorer": scorer, **added}
    return manifest.model_copy(
        update={
            "tasks": tuple(
                task.model_copy(update={"scorer": current[names[task.name]]})
                for task in manifest.tasks
            ),
            "protocol_fields": fields,
            "protocol_fingerprints": {task: fingerprint(each) for task, each in fields.items()},
            "scorer_context": context,
        }
    )
