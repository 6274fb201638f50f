"""Merges the shards of a run into that run, if none is missing."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.errors import StoreError
from harness.io.jsonl import unwritable
from harness.runner.build_result import exit_status, write_result
from harness.runner.finished import Finished
from harness.runner.included import PRICING, include_again
from harness.runner.shards import Shard, copy_into, read_shards
from harness.store.run_files import Run, create_run, runs_dir

log = logging.getLogger(__name__)

SCRATCH = ".merging"
"""A folder under ``results_dir`` in which no command looks for runs."""


def merge_runs(runs: Sequence[Run], results_dir: Path) -> Finished:
    """Joins shards into the whole run.

    The new run is made elsewhere and moved among the runs when it is complete: an interrupted merge
    leaves none. The shards are unchanged.

    The new run is made elsewhere and put among the runs when it is whole: a merge that is stopped
    leaves none. The shards stay as they are.
    """
    with ExitStack() as stack:
        shards = read_shards(runs)
        for shard in shards:
            stack.enter_context(shard.run)  # locked, so that it is not graded again meanwhile
        include_again(shards[0].manifest.config.included, {PRICING})
        names = ", ".join(shard.run.run_id for shard in shards)
        log.info("merging %d shards: %s", len(shards), names)
        scratch = stack.enter_context(_scratch(results_dir, shards[0]))
        folder = runs_dir(results_dir) / scratch.run_id
        with scratch:  # until it has left, or another merge would take it for one that was killed
            result = write_result(scratch, copy_into(scratch, shards))
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                scratch.folder.rename(folder)
            except OSError as error:
                raise unwritable(folder, error) from error
    return Finished(folder, result, exit_status(result)[0])


@contextmanager
def _scratch(results_dir: Path, shard: Shard) -> Iterator[Run]:
    """A temporary folder for a run; removed if it is still there at the end."""
    config = shard.manifest.config
    place = results_dir / SCRATCH
    for left in runs_dir(place).glob("*"):
        _remove_left(Run(left))
    run = create_run(place, config.model.name, config.engine.kind)
    try:
        yield run
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)


def _remove_left(run: Run) -> None:
    """Removes what a killed merge left, unless another merge is using it."""
    try:
        with run:
            shutil.rmtree(run.folder, ignore_errors=True)
    except StoreError:
        return
