"""Prepares a run from its configuration: all decisions are made here, once."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.config.settings import RunConfig
from harness.machine.provenance import collect
from harness.records import RequestId
from harness.runner.decisions import (
    find_finished_shard,
    find_unfinished,
    results_dir_of,
    with_engine,
    with_recording,
)
from harness.runner.ending import recorded_end
from harness.runner.finished import Finished
from harness.runner.pipeline import build_requests
from harness.runner.preflight import check_memory, is_offline, no_network
from harness.runner.prepare_new import prepare_new
from harness.runner.prepare_resume import prepare_resume
from harness.runner.prepared import PreparedRun, PreparedShards
from harness.runner.shards import of_shard
from harness.store.killed_sessions import last_moment_s
from harness.store.run_files import Run

log = logging.getLogger(__name__)


def prepare(
    config: RunConfig, stack: ExitStack, on_start: Callable[[Path], None]
) -> PreparedRun | PreparedShards | Finished:
    """Prepares a run: decides everything that the configuration leaves open.

    Args:
        config: The composed configuration; of a run that is continued, the recorded one with what
            the user changed.
        stack: Ends what is started here, and frees the run's folder.
        on_start: Gets the folder of the run.

    Returns:
        A run to be executed, several shards of one, or a shard that is finished already.

    Raises:
        UnavailableError: This machine lacks something; of a resumed run, it can go on later.
    """
    config, why = with_engine(config)
    if config.is_divided and config.resume in {None, "auto"}:
        log.info("%s", why)
        return PreparedShards(config)
    results_dir = results_dir_of(config)
    config, recording = with_recording(config, results_dir)
    if (done := find_finished_shard(config, results_dir)) is not None:
        log.info("shard %s is done already: run %s", config.shard_name, done.folder)
        return Finished(done.folder, result=None, status=0)
    found = find_unfinished(config, results_dir)
    config.engine.prepare_process()
    if is_offline(config):
        stack.enter_context(no_network())
    if found is None:
        log.info("%s", why)
        prepared = prepare_new(config, recording, results_dir, stack)
    else:
        prepared = prepare_resume(found, config, recording, stack)
    log.info("run %s", prepared.run.folder)
    on_start(prepared.run.folder)
    with recorded_end(prepared.run):
        prepared = _with_requests(prepared)
        if found is not None and prepared.missing:  # a new run was checked before it had a folder
            check_memory(prepared.manifest.config, collect())
    return prepared


def _with_requests(prepared: PreparedRun) -> PreparedRun:
    """Adds the requests of this run or shard, and those of them that are missing."""
    config = prepared.manifest.config
    requests = build_requests(
        list(prepared.prompts.values()),
        config.protocol.sampling,
        config.protocol.samples_per_problem,
        config.seed,
    )
    mine = of_shard((request.request_id for request in requests), config)
    requests = [request for request in requests if request.request_id in mine]
    done, last_finish_s = _recorded(prepared.run, failed_too=not prepared.retries)
    missing = [request for request in requests if request.request_id not in done]
    if prepared.retries:
        log.info("%d requests failed or are missing; asking them again", len(missing))
    elif done:
        log.info("%d of %d requests are recorded already", len(done), len(requests))
    return replace(
        prepared,
        requests=requests,
        missing=missing,
        clock_start_s=max(last_finish_s, last_moment_s(prepared.manifest)),
    )


def _recorded(run: Run, *, failed_too: bool) -> tuple[set[RequestId], float]:
    """The completed requests, and the time of the last one on the run's clock."""
    done, last_s = set(), 0.0
    for completion in run.read_completions(with_text=False):
        if failed_too or not completion.is_failure:
            done.add(completion.request_id)
        last_s = max(last_s, completion.finished_s or 0.0)
    return done, last_s
