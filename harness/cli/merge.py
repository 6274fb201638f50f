"""``harness merge``: the shards of a run become that run, if none is missing."""

import argparse

from harness.runner.hand_over import hand_over
from harness.runner.merge import merge_runs
from harness.store.run_files import find_run


def merge(options: argparse.Namespace) -> int:
    """Joins shards that were run anywhere.

    Returns:
        0, or 4 when there were more errors or truncation than allowed.

    Raises:
        StoreError: A shard is missing, there twice, or not finished.
        NotComparableError: They are not of one run.
    """
    runs = [find_run(name, options.results_dir) for name in options.runs]
    return hand_over(merge_runs(runs, options.results_dir))
