"""Clearing up: of old nights the figures stay, the texts go."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.analysis.nightly.record import Night
from harness.errors import StoreError, UserError
from harness.store.run_files import Run, runs_dir

KEPT_FILES = frozenset({"result.json", "manifest.json"})
"""Enough to compare with, and to be listed."""


def check_keep(keep: int) -> None:
    """Refuses what keeps nothing.

    Raises:
        UserError: Names the argument.
    """
    if keep < 1:
        raise UserError(f"--keep {keep}: nights whose runs are kept whole, at least 1")


def prune(
    nights: Sequence[Night], keep: int, results_dir: Path, spared: Collection[str]
) -> list[str]:
    """Clears up after all but the newest ``keep`` nights.

    Only runs that the history names are touched, so never one that a user made; of a finished run
    ``result.json`` and ``manifest.json`` stay.

    Args:
        nights: The history.
        keep: How many dates stay whole.
        results_dir: Where runs and logs are.
        spared: Ids of runs that stay whole, such as baselines.

    Returns:
        The ids of the runs of which something was removed.
    """
    dates = sorted({night.night for night in nights})
    old = [night for night in nights if night.night in dates[:-keep]]
    pruned = []
    for night in old:
        if night.log is not None and Path(night.log).name == night.log:
            (results_dir / "nightly" / "logs" / night.log).unlink(missing_ok=True)
        if night.run_id and night.run_id not in spared and _prune_run(night.run_id, results_dir):
            pruned.append(night.run_id)
    return pruned


def _prune_run(run_id: str, results_dir: Path) -> bool:
    """Whether anything was removed."""
    folder = runs_dir(results_dir) / run_id
    if Path(run_id).name != run_id or folder.is_symlink() or not folder.is_dir():
        return False
    removed = [entry for entry in folder.iterdir() if entry.name not in KEPT_FILES]
    is_finished = (folder / "result.json").is_file()
    if is_finished and not removed:
        return False
    run = Run(folder)
    try:
        manifest = run.read_manifest()
        if manifest.run_id != run_id or run.is_being_written():
            return False
    except StoreError:
        return False  # damaged, or another version's: nothing to be sure about
    for shard in manifest.merged_from:  # its texts a second time
        _prune_run(shard, results_dir)
    if not is_finished:
        shutil.rmtree(folder)
        return True
    for entry in removed:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / ".lock").unlink(missing_ok=True)  # made by the check for a writer
    return True
