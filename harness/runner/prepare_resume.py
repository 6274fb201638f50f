"""Prepares a stopped run to continue."""

import logging
from contextlib import ExitStack

from harness.config.changes import NOT_RECORDED, config_changes, recorded, worded
from harness.config.settings import RunConfig
from harness.runner.graders import contexts, scorer_name_of, start_scorers
from harness.runner.prepared import PreparedRun
from harness.store.killed_sessions import settled
from harness.store.manifest import RunManifest
from harness.store.run_files import Run

log = logging.getLogger(__name__)


def prepare_resume(
    run: Run, config: RunConfig, recording: Run | None, stack: ExitStack
) -> PreparedRun:
    """Prepares a stopped run to continue.

    Args:
        run: As ``find_unfinished`` found it.
        config: Holds from now on.
        recording: The run that is replayed.
        stack: Ends what is started here.

    Raises:
        StoreError: Another process writes it.
    """
    stack.enter_context(run)
    manifest = run.read_manifest()  # again: only under the lock is it the last word
    for note in run.cut_torn_lines():
        log.warning("%s", note)
    manifest = _with_config(manifest, config)
    names = {task.name: scorer_name_of(task.scorer) for task in manifest.tasks}
    scorers = start_scorers(manifest.config, names, stack)
    regrade = contexts(scorers) != manifest.scorer_context
    if regrade:
        log.warning("the scorers or their settings changed since; everything is graded anew")
    update: dict[str, object] = {"status": "running", "error": None}
    sessions = len(manifest.sessions)
    if manifest.status == "complete" and sessions not in manifest.complete_after:
        update["complete_after"] = (*manifest.complete_after, sessions)
    # An earlier session may have been killed: then its end is only known from its last heartbeat.
    manifest = settled(run.folder, manifest.model_copy(update=update))
    run.write_manifest(manifest)
    return PreparedRun(
        run=run,
        manifest=manifest,
        problems=run.read_problems(),
        prompts=run.read_prompts(),
        scorers=scorers,
        recording=recording,
        regrade=regrade,
        retries=config.retry is not None,
    )


def _with_config(manifest: RunManifest, config: RunConfig) -> RunManifest:
    """The manifest under a changed configuration, with the changes on record."""
    was = manifest.config
    changes = recorded(config_changes(was, config), len(manifest.sessions))
    if not changes:
        return manifest
    log.info("the run continues with changed values: %s", worded(changes))
    kept = {name: getattr(was, name) for name in NOT_RECORDED}
    return manifest.model_copy(
        update={
            "config": config.model_copy(update=kept),
            "config_changes": (*manifest.config_changes, *changes),
        }
    )
