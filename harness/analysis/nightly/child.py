"""Runs one job of a night in a child process, so that its failure ends nothing else."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.config.overrides import quoted
from harness.config.settings import RunConfig
from harness.process.reaper import RunCleanup
from harness.process.report import FinishedReport
from harness.process.run_child import RunChild, RunSpec


class Ended(NamedTuple):
    """How a run ended."""

    exit_status: int
    """Negative: the signal that killed it."""
    is_too_long: bool
    report: FinishedReport


def dry_run_command(overrides: Sequence[str], results_dir: Path) -> list[str]:
    """The command ``harness run --dry-run`` for one job, without its experiment's sweep."""
    command = [sys.executable, "-m", "harness", "run", "--dry-run", *overrides]
    return [*command, "hydra.mode=RUN", f"results_dir={quoted(str(results_dir))}"]


def run_child(config: RunConfig, log: Path, report: Path, scratch: Path, limit_s: float) -> Ended:
    """Makes a run in a child process, with its output in ``log``. Nothing that it started is left.

    Args:
        config: Of the run.
        log: A file to be made.
        report: A file to be made, for the child's report: it outlives this process too.
        scratch: Its ``TMPDIR``.
        limit_s: Seconds after which it is stopped.
    """
    cleanup = RunCleanup(of_divided_run=config.is_divided)
    with log.open("wb") as stream, cleanup as children:
        run = RunChild(
            children,
            RunSpec(
                config=config.model_dump(mode="json"),
                environment={"TMPDIR": str(scratch)},
                stdout=stream,
                stderr=subprocess.STDOUT,
                report_file=report,
            ),
        )
        is_too_long = run.wait(limit_s) is None
        if is_too_long:
            children.stop([run.child])
        ending = run.child.wait()
        assert ending is not None, "without a limit, it has ended"
        return Ended(ending.status, is_too_long, run.report())
