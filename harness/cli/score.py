"""``harness score``: grade a run's completions again, without generating anything."""

import logging
from contextlib import ExitStack
from pathlib import Path

from harness.errors import StoreError
from harness.machine.hardware import usable_cores
from harness.records import VerdictStatus
from harness.runner.execute import finish
from harness.runner.graders import questions_of, scorer_name_of, start_scorers, with_scorers
from harness.runner.hand_over import hand_over
from harness.runner.included import PRICING, include_again
from harness.runner.pipeline import Scoring, score_missing
from harness.runner.shards import asked_ids
from harness.store.killed_sessions import settled
from harness.store.progress import RunProgress
from harness.store.run_files import Run, find_run

log = logging.getLogger(__name__)


def score(name: str, results_dir: Path) -> int:
    """Scores a run anew with this harness's scorers; the old verdicts go when the new are whole.

    Returns:
        0, or 4 when there were more errors or truncation than allowed.

    Raises:
        StoreError: There is no such run, or it is not complete.
        UnavailableError: A folder of the user's with price lists that it saw is not there.
    """
    run = find_run(name, results_dir)
    with ExitStack() as stack:
        stack.enter_context(run)
        manifest = settled(run.folder, run.read_manifest())
        include_again(manifest.config.included, {PRICING})
        before = _old_statuses(run)
        names = {task.name: scorer_name_of(task.scorer) for task in manifest.tasks}
        # Nothing generates now, so scoring may have every core that it is not told to leave.
        workers = manifest.config.scoring.workers or len(usable_cores())
        scoring_config = manifest.config.scoring.model_copy(update={"workers": workers})
        config = manifest.config.model_copy(update={"scoring": scoring_config})
        scorers = start_scorers(config, names, stack)
        expected = len(asked_ids(run.read_prompts(), manifest.config))
        recorded = sum(1 for _ in run.read_completions(with_text=False))
        if recorded != expected:
            raise StoreError(
                f"run {run.run_id} has {recorded} of {expected} completions; finish it first with "
                f"harness run resume={run.shown}"
            )
        questions = questions_of(
            run.read_problems(), run.read_prompts(), scorers, manifest.model.reasoning
        )
        run.start_new_verdicts()
        progress = RunProgress(total=recorded, done=recorded)
        with progress, Scoring(run, questions, progress, workers) as scoring:
            score_missing(run, scoring)
        # From here to the end the folder's files are of two scorings, and the manifest says so.
        run.write_manifest(manifest.model_copy(update={"status": "running"}))
        run.keep_new_verdicts()
        after = run.read_verdicts()
        moved = sum(before[key] != after[key].status for key in after if key in before)
        log.info("%d of %d verdicts changed", moved, len(after))
        return hand_over(finish(run, with_scorers(manifest, scorers)), is_graded_again=True)


def _old_statuses(run: Run) -> dict[str, VerdictStatus]:
    try:
        return {key: verdict.status for key, verdict in run.read_verdicts().items()}
    except StoreError as error:  # they are replaced in any case
        log.warning("the old verdicts cannot be compared: %s", error)
        return {}
