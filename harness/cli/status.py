"""``harness status``: how far runs are, at a look or again and again."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.status import UNDER_WAY, RunState, Watch
from harness.errors import StoreError, UserError
from harness.report.status import all_runs, one_run, screen
from harness.store.manifest import dump_json
from harness.store.run_files import find_run, runs_dir


def status(options: argparse.Namespace) -> int:
    """Shows runs; with ``--follow`` until none is under way any more.

    Returns:
        0, whatever state the runs are in.

    Raises:
        UserError: A number is out of range.
        StoreError: There is no such run or folder, or one run's files cannot be read.
    """
    if options.top < 1:
        raise UserError(f"--top {options.top}: should be 1 or more")
    if options.every <= 0:
        raise UserError(f"--every {options.every:g}: should be more than 0 seconds")
    folder = _folder_of_runs(options.run, options.results_dir)
    one = None if folder else Watch(find_run(options.run, options.results_dir).folder)
    watches: dict[Path, Watch] = {}
    with screen(is_live=options.follow and not options.json) as show:
        while True:
            states = [one.look()] if one else _look_at_all(folder, watches, options.top)
            if options.json:
                lines = [state.model_dump(mode="json") for state in states]
                print(dump_json(lines[0] if one else lines), flush=True)  # noqa: T201
            else:
                show(one_run(states[0]) if one else all_runs(states, str(folder)))
            if not options.follow or not any(each.state in UNDER_WAY for each in states):
                return 0
            time.sleep(options.every)


def _folder_of_runs(given: str | None, results_dir: Path) -> Path | None:
    """The folder whose runs are meant; None where one run is."""
    if given is None:
        return runs_dir(results_dir)
    path = Path(given).expanduser()
    for folder in (path, runs_dir(path)):
        if not (path / "manifest.json").exists() and any(folder.glob("*/manifest.json")):
            return folder
    return None


def _look_at_all(folder: Path | None, watches: dict[Path, Watch], top: int) -> Sequence[RunState]:
    """The newest runs, those under way first."""
    assert folder is not None
    states = []
    files = sorted(folder.glob("*/manifest.json"), key=lambda file: file.parent.name, reverse=True)
    for file in files[:top]:
        watch = watches.setdefault(file.parent, Watch(file.parent))
        try:
            states.append(watch.look())
        except StoreError as error:
            print(f"harness: left out: {error}", file=sys.stderr)  # noqa: T201
            watches.pop(file.parent)
    return sorted(states, key=lambda each: each.state not in UNDER_WAY)
