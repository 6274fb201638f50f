"""A run in a child process, ``harness run --composed``: as a job, a shard, or part of a night.

The composed configuration goes in through the child's stdin. What the child reports comes back
through a pipe, or is kept in a file. A child that is killed ends nothing but itself.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from harness.io.paths import checkout_dir
from harness.process.reaper import RunCleanup
from harness.process.report import FinishedReport, last_report
from harness.process.spec import JobSpec
from harness.process.start import Child, ChildSpec, Ending


class RunSpec(NamedTuple):
    """The run to make, and where its output goes."""

    config: Mapping[str, Any]
    """The composed configuration, plain."""
    cores: tuple[int, ...] | None = None
    """CPU cores that it may use; None: any."""
    environment: Mapping[str, str] | None = None
    """Added to this process's."""
    stdout: int | IO[bytes] | None = None
    """As in ``ChildSpec``."""
    stderr: int | IO[bytes] | None = None
    """As in ``ChildSpec``. None without a prefix: this process prints the error that ends it."""
    prefix: str | None = None
    """As in ``ChildSpec``."""
    report_file: Path | None = None
    """A file for the report that outlives this process; None: a pipe."""


class RunChild:
    """A run that was started."""

    def __init__(self, children: RunCleanup, spec: RunSpec) -> None:
        """Starts the child.

        Raises:
            OSError: It cannot be started, or its report file not made.
        """
        self._report = FinishedReport()
        with _report_to(spec.report_file) as (self._reader, descriptor):
            self.child: Child = children.start(_child_spec(spec, descriptor))

    def wait(self, limit_s: float | None = None) -> Ending | None:
        """Waits for its end; None if it still runs after the limit."""
        return self.child.wait(limit_s)

    def report(self) -> FinishedReport:
        """The last report of the child; may be read repeatedly."""
        if not self._reader.closed:
            with self._reader as stream:
                self._report = last_report(stream.read() or b"")
        return self._report

    def finish(self) -> FinishedReport:
        """Waits for its end; what it did not report itself is added from how it ended."""
        ending = self.child.wait()
        assert ending is not None, "without a limit, it has ended"
        report = self.report()
        if ending.is_killed:
            return report.model_copy(
                update={"status": FinishedReport().status, "error": str(ending)}
            )
        code = ending.status
        if code and report.error is None and (report.status, code) != (4, 4):
            return report.model_copy(update={"status": code, "error": str(ending)})
        return report


def read_report(file: Path) -> FinishedReport:
    """The report that a run wrote to a file, also if it or its parent was killed."""
    try:
        return last_report(file.read_bytes())
    except OSError:
        return FinishedReport()


def _child_spec(spec: RunSpec, descriptor: int) -> ChildSpec:
    debug = ["--debug"] if logging.getLogger("harness").level == logging.DEBUG else []
    job = JobSpec(
        config=dict(spec.config),
        cores=spec.cores,
        is_quiet=spec.prefix is None and spec.stderr is None,
        answer=descriptor,
    )
    return ChildSpec(
        command=[sys.executable, "-m", "harness", "run", "--composed", *debug],
        environment={**os.environ, **_import_path(), **(spec.environment or {})},
        stdin=job.model_dump_json().encode(),
        stdout=spec.stdout,
        stderr=spec.stderr,
        prefix=spec.prefix,
        pass_fds=[descriptor],
    )


@contextlib.contextmanager
def _report_to(file: Path | None) -> Iterator[tuple[IO[bytes], int]]:
    """The open reading end of a report, and the descriptor that the child writes to."""
    if file is None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        reader: IO[bytes] = os.fdopen(read, "rb", buffering=0)
    else:
        write = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        reader = file.open("rb", buffering=0)
    try:
        yield reader, write
    except BaseException:
        reader.close()
        raise
    finally:
        os.close(write)


def _import_path() -> dict[str, str]:
    """A checkout need not be installed, nor be where the child looks."""
    checkout = checkout_dir()
    if checkout is None:
        return {}
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{checkout}{os.pathsep}{before}" if before else str(checkout)}
