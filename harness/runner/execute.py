"""Executes a prepared run: generates, grades, and writes the result."""

import logging
from datetime import UTC, datetime
from functools import partial

from harness.runner.build_result import exit_status, scoring_workers, write_result
from harness.runner.ending import recorded_end
from harness.runner.finished import Finished, FinishedShard
from harness.runner.graders import questions_of, with_scorers
from harness.runner.pipeline import Scoring, generate, run_clock, score_missing
from harness.runner.prepared import PreparedRun
from harness.runner.sessions import SessionLog, opened_engine
from harness.store.heartbeat import forget
from harness.store.manifest import RunManifest
from harness.store.progress import RunProgress
from harness.store.run_files import Run

log = logging.getLogger(__name__)


def execute(prepared: PreparedRun) -> Finished:
    """Generates and grades what is missing, then writes the result."""
    with recorded_end(prepared.run):
        return _execute(prepared)


def _execute(prepared: PreparedRun) -> Finished:
    run, manifest, missing = prepared.run, prepared.manifest, prepared.missing
    config = manifest.config
    if prepared.regrade:
        run.start_new_verdicts()
    questions = questions_of(
        prepared.problems, prepared.prompts, prepared.scorers, manifest.model.reasoning
    )
    asked = {request.request_id for request in missing}
    progress = RunProgress(
        total=len(prepared.requests),
        done=len(prepared.requests) - len(missing),
        max_new_tokens=config.protocol.max_new_tokens,
    )
    graded = run.read_verdicts().values()
    progress.already_graded([each for each in graded if each.request_id not in asked])
    session_log = SessionLog.of(manifest)
    with progress, Scoring(run, questions, progress, scoring_workers(config)) as scoring:
        if missing:
            # one clock for the process, which continues even while no engine runs
            clock = run_clock(prepared.clock_start_s)
            generate(
                run,
                missing,
                partial(opened_engine, prepared, clock, session_log, progress),
                scoring,
                progress,
                # the failures of a recording are facts
                None if prepared.recording else config.limits.stop_at_error_fraction,
            )
        scoring.wait()
        score_missing(run, scoring, scorer_errors_too=prepared.retries)
    manifest = session_log.apply_to(manifest)
    if prepared.regrade:
        run.keep_new_verdicts()
        manifest = with_scorers(manifest, prepared.scorers)
    return finish(run, manifest)


def finish(run: Run, manifest: RunManifest) -> Finished:
    """Writes the result of a run that has all its verdicts."""
    # A run that is only graded again finished when it did.
    is_done = manifest.status == "complete" and manifest.finished_at is not None
    finished_at = manifest.finished_at if is_done else datetime.now(UTC)
    complete = manifest.model_copy(
        update={"status": "complete", "finished_at": finished_at, "error": None}
    )
    if complete.config.shard is not None:
        return _finish_shard(run, complete)
    result = write_result(run, complete)
    forget(run.folder)  # what it says is in the manifest now
    return Finished(run.folder, result, exit_status(result)[0])


def _finish_shard(run: Run, complete: RunManifest) -> Finished:
    """Ends a shard, which has no result: only the merged run has one."""
    run.write_manifest(complete)
    forget(run.folder)
    config = complete.config
    asked = sum(task.problems for task in complete.tasks) * config.protocol.samples_per_problem
    assert config.shard is not None
    mine = FinishedShard(config.shard, config.shards, len(run.read_verdicts()))
    log.info(
        "shard %s is done: %d of %d requests; harness merge joins them",
        config.shard_name,
        mine.requests,
        asked,
    )
    return Finished(run.folder, result=None, status=0, shard=mine)
