"""Runs a benchmark from a configuration to its result. Prints nothing and sends nothing."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness.config.settings import RunConfig
from harness.runner.execute import execute
from harness.runner.finished import Finished
from harness.runner.prepare import prepare
from harness.runner.prepared import PreparedRun, PreparedShards
from harness.runner.trackers import check_tracker
from harness.runner.workers import run_shards


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
    with ExitStack() as stack:
        match prepare(config, stack, on_start):
            case PreparedRun() as prepared:
                finished = execute(prepared)
            case PreparedShards() as shards:
                finished = run_shards(shards)
                on_start(finished.folder)
            case Finished() as finished:
                on_start(finished.folder)
    return finished
