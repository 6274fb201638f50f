"""One run of a night, in a process of its own: what happens to it ends nothing else."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.config.overrides import quoted
from harness.engines.guardian import Guardian

GRACE_S = 60.0
"""For a run that is told to stop, before it is killed."""
_RUN_FOLDER = re.compile(r"^harness: run (/.*)$", re.MULTILINE)
_SAID = re.compile(r"^harness: (?!job |exit status )(.+)$", re.MULTILINE)


class Ended(NamedTuple):
    """How a run ended."""

    exit_status: int
    """Negative: the signal that killed it."""
    is_too_long: bool
    folder: Path | None
    """Of the run, if it came so far."""
    said: str | None
    """The last line that was meant for people."""


def run_command(overrides: Sequence[str], results_dir: Path) -> list[str]:
    """``harness run`` of one job, whatever an experiment sweeps over."""
    command = [sys.executable, "-m", "harness", "run", *overrides]
    return [*command, "hydra.mode=RUN", f"results_dir={quoted(str(results_dir))}"]


def run_child(
    overrides: Sequence[str], results_dir: Path, log: Path, scratch: Path, limit_s: float
) -> Ended:
    """Runs ``harness run`` to its end, with its output in ``log``.

    Whatever happens, nothing that it started is left: on the way out its process group is killed,
    and a guardian kills it should this process be killed.

    Args:
        overrides: Of ``harness run``.
        results_dir: Where its run goes.
        log: A file to be made.
        scratch: Its ``TMPDIR``.
        limit_s: After so long it is stopped.
    """
    command = run_command(overrides, results_dir)
    is_too_long = False
    with log.open("wb") as stream, Guardian() as guardian:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us alone, once
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        guardian.watch([process.pid])
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            is_too_long = True
        finally:
            _stop(process)
    return Ended(process.returncode, is_too_long, run_folder(log), last_words(log))


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


def run_folder(log: Path) -> Path | None:
    """The folder that a run says it writes; None if it never came so far."""
    found = _RUN_FOLDER.search(_text(log))
    return None if found is None else Path(found[1])


def last_words(log: Path) -> str | None:
    """What a run said last, without what is said of every run."""
    said = [line for line in _SAID.findall(_text(log)) if not line.startswith("everything up to")]
    return said[-1].strip() if said else None


def _text(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
