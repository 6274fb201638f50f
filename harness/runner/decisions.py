"""Decides what a configuration leaves open: the engine, the results folder, and the run to resume.

No other module of a run makes these decisions.

Nothing else on the way of a run asks these questions.
"""

import logging
from pathlib import Path

from harness.config.changes import config_changes, deciding, recorded, worded
from harness.config.settings import RunConfig, differing_keys
from harness.errors import ConfigError, StoreError
from harness.io.paths import default_results_dir
from harness.store.manifest import RunManifest
from harness.store.run_files import Run, complete_runs, find_run, unfinished_runs

log = logging.getLogger(__name__)


def results_dir_of(config: RunConfig) -> Path:
    """The folder in which this configuration keeps its runs."""
    named = config.results_dir
    return default_results_dir() if named is None else Path(named).expanduser().resolve()


def with_engine(config: RunConfig) -> tuple[RunConfig, str]:
    """The configuration with its engine chosen, and one line that says which and why.

    Raises:
        ConfigError: vLLM has no such argument.
        UnavailableError: vLLM was asked for and is not installed.
    """
    engine, why = config.engine.resolved()
    return config.model_copy(update={"engine": engine}), why


def with_recording(config: RunConfig, results_dir: Path) -> tuple[RunConfig, Run | None]:
    """The configuration with the full path of its recording, and that recording; None without one.

    Raises:
        StoreError: There is no such run.
    """
    if config.engine.recording is None:
        return config, None
    recording = find_run(config.engine.recording, results_dir)
    engine = config.engine.with_recording(str(recording.folder))
    return config.model_copy(update={"engine": engine}), recording


def refuse_other_recording(config: RunConfig, recording: RunManifest) -> None:
    """Refuses a recording of another model, protocol or seed.

    Raises:
        ConfigError: Names the keys that differ.
    """
    differing = [
        key
        for key in differing_keys(config, recording.config)
        if key.partition(".")[0] in {"model", "protocol", "seed"}
    ]
    if differing:
        raise ConfigError(
            f"engine.run={config.engine.recording}: it was made with other values of "
            f"{', '.join(differing)}; a recording answers for its own model and protocol alone"
        )


def find_resumed(name: str, results_dir: Path) -> Run:
    """The run that ``resume=RUN`` names.

    Raises:
        StoreError: There is none.
    """
    try:
        return find_run(name, results_dir)
    except StoreError as error:
        raise StoreError(f"resume={error}") from error


def find_unfinished(config: RunConfig, results_dir: Path) -> Run | None:
    """The run that ``resume`` means; None for a new one.

    Raises:
        ConfigError: Values that decide answers differ from the recorded ones; lists them.
        StoreError: There is no such run.
    """
    if config.resume is None:
        return None
    if config.resume == "auto":
        return _find_same(config, results_dir)
    run = find_resumed(config.resume, results_dir)
    manifest = run.read_manifest()
    if manifest.is_refused:
        raise StoreError(
            f"resume={config.resume}: its known problems showed a fault, which its prompts may "
            "have too, and nothing else was generated; start a new run"
        )
    if config.retry is not None and manifest.merged_from:
        raise StoreError(
            f"retry={config.retry}: run {run.run_id} was merged; retry its parts that have failed "
            f"requests ({', '.join(manifest.merged_from)}), then join all with harness merge"
        )
    if refused := deciding(config_changes(manifest.config, config)):
        raise ConfigError(
            f"resume={config.resume}: {worded(refused)}; answers depend on it, so leave it as it "
            f"was (harness run resume={config.resume} alone) or start a new run"
        )
    return run


def _find_same(config: RunConfig, results_dir: Path) -> Run | None:
    """The newest unfinished run with the same configuration that no process is writing."""
    near: tuple[Run, str] | None = None
    for run, manifest in unfinished_runs(results_dir):
        if manifest.is_refused:
            continue
        if differing_keys(config, manifest.config):
            changes = config_changes(manifest.config, config)
            if near is None and not deciding(changes):
                near = run, worded(recorded(changes, 0))
        # Looking takes the lock for a moment: of another shard's run it would be in its way.
        elif not run.is_being_written():
            return run
    log.info("resume=auto: no unfinished run with this configuration; starting a new one")
    if near is not None:
        run, words = near
        log.info("resume=%s with the same command would continue that run (%s)", run.shown, words)
    return None


def find_finished_shard(config: RunConfig, results_dir: Path) -> Run | None:
    """With ``resume=auto``: this shard, if it is done and no merged run contains it yet."""
    if config.shard is None or config.resume != "auto":
        return None
    done = complete_runs(results_dir)
    merged = {run_id for _, manifest in done for run_id in manifest.merged_from}
    for run, manifest in done:
        if run.run_id not in merged and not differing_keys(config, manifest.config):
            return run
    return None
