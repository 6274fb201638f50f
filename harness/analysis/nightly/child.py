"""One run of a night, in a child process: whatever ends it ends nothing else."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.config.overrides import quoted
from harness.config.settings import RunConfig
from harness.engines.guardian import Guardian
from harness.process.report import FinishedReport, last_report
from harness.process.spec import JobSpec

GRACE_S = 60.0
"""For a run that is told to stop, before it is killed."""


class Ended(NamedTuple):
    """How a run ended."""

    exit_status: int
    """Negative: the signal that killed it."""
    is_too_long: bool
    report: FinishedReport


def dry_run_command(overrides: Sequence[str], results_dir: Path) -> list[str]:
    """``harness run --dry-run`` of one job, whatever an experiment sweeps over."""
    command = [sys.executable, "-m", "harness", "run", "--dry-run", *overrides]
    return [*command, "hydra.mode=RUN", f"results_dir={quoted(str(results_dir))}"]


def run_child(config: RunConfig, log: Path, report: Path, scratch: Path, limit_s: float) -> Ended:
    """Makes a run in a child process, with its output in ``log``.

    Whatever happens, nothing that it started is left: on the way out its process group is killed,
    and a guardian kills it should this process be killed.

    Args:
        config: Of the run.
        log: A file to be made.
        report: A file to be made, for the child's report: it outlives this process too.
        scratch: Its ``TMPDIR``.
        limit_s: After so long it is stopped.
    """
    is_too_long = False
    with log.open("wb") as stream, _appending(report) as answer, Guardian() as guardian:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--composed"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=[answer],
            start_new_session=True,  # Ctrl-C reaches it through us alone, once
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        guardian.watch([process.pid])
        try:
            _brief(process, config, answer)
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            is_too_long = True
        finally:
            _stop(process)
    return Ended(process.returncode, is_too_long, read_report(report))


def read_report(file: Path) -> FinishedReport:
    """What a run reported before it ended, or before the night was killed."""
    try:
        return last_report(file.read_bytes())
    except OSError:
        return FinishedReport()


@contextmanager
def _appending(file: Path) -> Iterator[int]:
    """A descriptor that appends to a new, empty file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    descriptor = os.open(file, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _brief(process: subprocess.Popen[bytes], config: RunConfig, answer: int) -> None:
    plain = config.model_dump(mode="json")
    spec = JobSpec(config=plain, answer=answer, parent=os.getpid())
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(spec.model_dump_json().encode())


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks it to stop in order if it still runs, then ends it and all of its group."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
