"""What a command does with a run that it made: prints it, and sends it to its tracker."""

import sys

from harness.runner.finished import Finished
from harness.runner.summary import print_result
from harness.runner.trackers import track
from harness.store.manifest import dump_json


def hand_over(finished: Finished, *, is_graded_again: bool = False) -> int:
    """Prints what came of a run, then sends it to the tracker of its configuration.

    If stdout is no terminal, its last line is JSON for programs.

    Args:
        finished: As ``run``, ``finish`` or ``merge_runs`` returned it.
        is_graded_again: It was sent when it was made, and is not sent again.

    Returns:
        The run's exit status.
    """
    if finished.shard is not None and not sys.stdout.isatty():
        facts = {"run_id": finished.folder.name, "path": str(finished.folder)}
        print(dump_json({**facts, **finished.shard._asdict()}))  # noqa: T201
    if finished.result is not None:
        print_result(finished.result, finished.folder)
        if not is_graded_again:
            track(finished.result.manifest.config.tracker, finished.result, finished.folder)
    return finished.status
