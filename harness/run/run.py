"""``harness run``: from a configuration to a complete run folder."""

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness.config.settings import RunConfig
from harness.engines.build import prepare_process, resolve_auto
from harness.errors import CanaryError, Interrupted, StoreError
from harness.machine.provenance import collect
from harness.records import RequestId
from harness.run.finished import Finished
from harness.run.pipeline import Scoring, build_requests, generate, run_clock, score_missing
from harness.run.preflight import check_memory, is_offline, no_network
from harness.run.result import scoring_workers, write_result
from harness.run.sessions import Life, opened_engine, write_life
from harness.run.setup import (
    Setup,
    find_finished_shard,
    find_unfinished,
    questions_of,
    reopen,
    results_dir_of,
    set_up,
    with_scorers,
)
from harness.run.shards import of_shard
from harness.run.summary import show_result
from harness.run.trackers import check_tracker, track
from harness.run.workers import run_workers
from harness.store.heartbeat import forget
from harness.store.killed_sessions import last_moment_s, settled
from harness.store.manifest import CanaryReport, RunManifest, dump_json
from harness.store.progress import RunProgress
from harness.store.run_files import Run, find_run

log = logging.getLogger(__name__)


def run(config: RunConfig, *, on_start: Callable[[Path], None] = lambda _: None) -> Finished:
    """Runs or continues a benchmark.

    Args:
        config: The composed configuration; of a run that is continued, the recorded one with what
            the user changed.
        on_start: Gets the run's folder before anything is generated, for a caller that has to know
            it even if this process is killed.

    Raises:
        HarnessError: The run did not come to its end.
    """
    check_tracker(config.tracker)
    finished = _run(config, on_start)
    if finished.result is not None:
        track(config.tracker, finished.result, finished.folder)
    return finished


def _run(config: RunConfig, on_start: Callable[[Path], None]) -> Finished:
    if config.shards > 1 and config.shard is None and config.resume in {None, "auto"}:
        return run_workers(config)
    results_dir = results_dir_of(config)
    engine, why = resolve_auto(config.engine)
    if engine.recording is not None:
        engine = engine.with_recording(str(find_run(engine.recording, results_dir).folder))
    config = config.model_copy(update={"engine": engine})
    if (finished := find_finished_shard(config, results_dir)) is not None:
        log.info("shard %s is done already: run %s", config.shard_name, finished.folder)
        return Finished(finished.folder, result=None, status=0)
    with ExitStack() as stack:
        found = find_unfinished(config, results_dir)
        prepare_process(config.engine)
        if is_offline(config):
            stack.enter_context(no_network())
        if found is None:
            log.info("%s", why)
            setup = set_up(config, results_dir, stack)
        else:
            setup = reopen(found, config, stack)
        log.info("run %s", setup.run.folder)
        on_start(setup.run.folder)
        try:
            return _complete(setup, is_new=found is None)
        except (Exception, Interrupted) as error:
            _record_end(setup, error)
            raise


def _complete(setup: Setup, *, is_new: bool) -> Finished:
    """Generates and grades what is missing, then writes and shows the result.

    Raises:
        UnavailableError: There is less memory than when the run began; it can go on later.
    """
    run = setup.run
    manifest = settled(run.folder, setup.manifest)
    config = manifest.config
    requests = build_requests(
        list(setup.prompts.values()),
        config.protocol.sampling,
        config.protocol.samples_per_problem,
        config.seed,
    )
    mine = of_shard((request.request_id for request in requests), config)
    requests = [request for request in requests if request.request_id in mine]
    done, last_finish_s = _recorded(run, failed_too=not setup.retries)
    clock_start_s = max(last_finish_s, last_moment_s(manifest))
    missing = [request for request in requests if request.request_id not in done]
    if setup.retries:
        log.info("%d requests failed or are missing; asking them again", len(missing))
    elif done:
        log.info("%d of %d requests are recorded already", len(done), len(requests))
    if missing and not is_new:  # of a new run the memory was looked at before it had a folder
        check_memory(config, collect())
    if setup.regrade:
        run.start_new_verdicts()
    questions = questions_of(setup.problems, setup.prompts, setup.scorers, manifest.model.reasoning)
    progress = RunProgress(total=len(requests), done=len(done))
    graded = run.read_verdicts().values()
    progress.already_graded([each for each in graded if each.request_id in done])
    life = Life.of(manifest)
    if manifest != setup.manifest:  # an earlier session was killed
        write_life(setup, life)
    with progress, Scoring(run, questions, progress, scoring_workers(config)) as scoring:
        if missing:
            # one clock for the process: it goes on where the last one stopped, engine or no engine
            open_engine = partial(opened_engine, setup, run_clock(clock_start_s), life, progress)
            is_replay = config.engine.recording is not None
            generate(
                run,
                missing,
                open_engine,
                scoring,
                progress,
                # the failures of a recording are facts
                None if is_replay else config.limits.stop_at_error_fraction,
            )
        scoring.wait()
        score_missing(run, scoring, scorer_errors_too=setup.retries)
    manifest = life.onto(manifest)
    if setup.regrade:
        run.keep_new_verdicts()
        manifest = with_scorers(manifest, setup.scorers)
    return finish(run, manifest)


def finish(run: Run, manifest: RunManifest) -> Finished:
    """Writes the result of a run that has all its verdicts, and shows it."""
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
    return Finished(run.folder, result, show_result(result, run.folder))


def _finish_shard(run: Run, complete: RunManifest) -> Finished:
    """A part of a run has no result: no number of it could be defended."""
    run.write_manifest(complete)
    forget(run.folder)
    config = complete.config
    asked = sum(task.problems for task in complete.tasks) * config.protocol.samples_per_problem
    mine = len(run.read_verdicts())
    log.info(
        "shard %s is done: %d of %d requests; harness merge joins them",
        config.shard_name,
        mine,
        asked,
    )
    if not sys.stdout.isatty():
        facts = {"run_id": run.run_id, "path": str(run.folder), "shard": config.shard}
        print(dump_json({**facts, "shards": config.shards, "requests": mine}))  # noqa: T201
    return Finished(run.folder, result=None, status=0)


def _recorded(run: Run, *, failed_too: bool) -> tuple[set[RequestId], float]:
    """The requests that are done, and when the last one was, on the run's clock."""
    done, last_s = set(), 0.0
    for completion in run.read_completions(with_text=False):
        if failed_too or not completion.is_failure:
            done.add(completion.request_id)
        last_s = max(last_s, completion.finished_s or 0.0)
    return done, last_s


def _record_end(setup: Setup, error: BaseException) -> None:
    """Says in the manifest how the run ended, and to the user how to go on.

    What goes wrong after a run is complete does not undo it, and a try that failed before anything
    was kept leaves no folder.
    """
    ended = "interrupted" if isinstance(error, Interrupted) else "failed"
    with suppress(StoreError):
        manifest = setup.run.read_manifest()
        if manifest.status == "complete":
            return
        if not isinstance(error, CanaryError) and setup.run.remove_if_empty():
            log.info("nothing was kept of this run, and its folder is removed")
            return
        update = {"status": ended, "finished_at": datetime.now(UTC), "error": str(error)}
        if isinstance(error, CanaryError) and not manifest.is_refused:
            update["canary"] = _unsent_canary(manifest, str(error))
        setup.run.write_manifest(manifest.model_copy(update=update))
    if isinstance(error, CanaryError):
        return  # going on would meet the same fault
    log.warning("everything up to here is kept; go on with: harness run resume=%s", setup.run.shown)


def _unsent_canary(manifest: RunManifest, fault: str) -> CanaryReport:
    """Of known problems that were not even worth sending: the prompts of this run are no better."""
    return CanaryReport(
        problems=0,
        solved=0,
        faults=(fault,),
        warnings=(),
        max_new_tokens=manifest.config.protocol.max_new_tokens,
        wall_s=0.0,
    )
