"""Prints a command's finished run, and sends it to its tracker."""

import sys
from pathlib import Path

from harness.runner.answer import print_answer
from harness.runner.build_result import exit_status
from harness.runner.finished import Finished
from harness.runner.summary import headline, print_summary
from harness.runner.trackers import track
from harness.store.manifest import dump_json
from harness.store.result import RunResult


def hand_over(finished: Finished, *, is_graded_again: bool = False) -> int:
    """Prints the result of a run, then sends it to the tracker of its configuration.

    If stdout is no terminal, its last line is JSON for programs.

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
        _print_result(finished.result, finished.folder)
        if not is_graded_again:
            track(finished.result.manifest.config.tracker, finished.result, finished.folder)
    return finished.status


def _print_result(result: RunResult, folder: Path) -> None:
    """The answer, the tables below it, and for programs a line of JSON if stdout is no terminal."""
    _, reasons = exit_status(result)
    print_answer(result, folder)
    print_summary(result, folder, reasons)
    if not sys.stdout.isatty():
        print(dump_json(headline(result, folder)))  # noqa: T201
