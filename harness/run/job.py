"""A run in a process of its own: what it takes is given back when it ends, however it ends.

The composed configuration goes in through the child's stdin, what became of it comes back through
a pipe; its output is the parent's. A child that is killed ends nothing but itself.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from harness.config.settings import load_run_config
from harness.errors import Interrupted
from harness.io.paths import checkout_dir
from harness.machine import hardware
from harness.process.report import FinishedReport, describe, last_report, report_to
from harness.process.spec import JobSpec
from harness.scorers.sandbox import syscalls

log = logging.getLogger(__name__)

GRACE_S = 20.0
"""What a job started has so long to end by itself: vLLM's processes take some seconds."""
MEMORY_LIMIT_S = 30.0
MEMORY_SLACK_BYTES = 256 << 20
LOOK_S = 0.2


def job() -> int:
    """The child's side: runs what stdin says.

    Returns:
        Its exit status.

    Raises:
        Interrupted: The parent is gone already.
    """
    spec = JobSpec.model_validate_json(sys.stdin.buffer.read())
    os.set_inheritable(spec.answer, False)
    if sys.platform == "linux":
        # A parent that is killed cannot stop it: then it stops as at Ctrl-C, and can be resumed.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)
        if spec.cores:
            os.sched_setaffinity(0, spec.cores)
    if os.getppid() != spec.parent:
        raise Interrupted("the process that started this run is gone")
    report = FinishedReport()

    def on_start(folder: Path) -> None:
        nonlocal report
        report = report.model_copy(update={"run": str(folder)})
        report_to(spec.answer, report)

    try:
        from harness.run.run import run

        finished = run(load_run_config(spec.config), on_start=on_start)
    except (Exception, Interrupted) as error:
        report_to(spec.answer, report.failed(error))
        if not spec.is_quiet:
            raise
        log.debug("%s", describe(error), exc_info=True)
        return report.failed(error).status
    report_to(spec.answer, FinishedReport(status=finished.status, run=str(finished.folder)))
    return finished.status


class Job:
    """The parent's side: a child that was started."""

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        cores: Sequence[int] | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: str | None = None,
        is_elsewhere: bool = False,
    ) -> None:
        """Starts it.

        Args:
            config: The composed configuration, plain.
            cores: Those it may use; None: all of this process.
            environment: What it has besides this process's.
            prefix: Stands before each line of its stderr, and its stdout is left out; None: both
                are this process's.
            is_elsewhere: Its stdout goes to stderr.
        """
        read, write = os.pipe()
        self._answer: IO[bytes] = os.fdopen(read, "rb", buffering=0)
        self._report = FinishedReport()
        self._pump: threading.Thread | None = None
        is_apart = prefix is not None
        debug = ["--debug"] if logging.getLogger("harness").level == logging.DEBUG else []
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--composed", *debug],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if is_apart else 2 if is_elsewhere else None,
            stderr=subprocess.PIPE if is_apart else None,
            env={**os.environ, **_import_path(), **(environment or {})},
            pass_fds=[write],
            process_group=0,  # Ctrl-C is this process's, which passes it on once
        )
        try:
            self._brief(config, write, cores, prefix)
        except Interrupted:  # nobody else knows of it yet
            self.stop()
            self._process.wait()
            raise

    def _brief(
        self,
        config: Mapping[str, Any],
        answer: int,
        cores: Sequence[int] | None,
        prefix: str | None,
    ) -> None:
        """Tells it what to do, and passes on what it says."""
        os.close(answer)
        spec = JobSpec(
            config=dict(config),
            cores=None if cores is None else tuple(cores),
            is_quiet=prefix is None,
            answer=answer,
            parent=os.getpid(),
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(spec.model_dump_json().encode())
        if prefix is not None and self._process.stderr is not None:
            self._pump = threading.Thread(
                target=_copy_lines, args=(self._process.stderr, prefix), daemon=True
            )
            self._pump.start()

    def wait(self) -> FinishedReport:
        """Waits for its end, and says what became of it."""
        code = self._process.wait()
        if self._pump is not None:
            self._pump.join(GRACE_S)
        report = self._last_report()
        if code < 0:
            name = signal.Signals(-code).name
            why = " (out of memory?)" if -code == signal.SIGKILL else ""
            return report.model_copy(
                update={"status": FinishedReport().status, "error": f"ended by {name}{why}"}
            )
        if code and report.error is None and (report.status, code) != (4, 4):
            return report.model_copy(update={"status": code, "error": f"exit status {code}"})
        return report

    def stop(self) -> None:
        """Asks it to stop as Ctrl-C does; what it has is kept and can be resumed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def _last_report(self) -> FinishedReport:
        """May be asked again: a signal can end ``wait_for`` after some have ended."""
        if not self._answer.closed:
            os.set_blocking(self._answer.fileno(), False)
            with self._answer as stream:
                self._report = last_report(stream.read() or b"")
        return self._report


def wait_for(jobs: Iterable[Job]) -> list[FinishedReport]:
    """Takes all, which may start them, and waits for all; a signal stops them in order.

    Raises:
        Interrupted: By that signal to this process, when all of them have ended.
    """
    started: list[Job] = []
    try:
        for each in jobs:
            started.append(each)  # one by one: a signal may come between two
        return [each.wait() for each in started]
    except Interrupted:
        for each in started:
            each.stop()
        for each in started:
            each.wait()
        raise


def _import_path() -> dict[str, str]:
    """A checkout need not be installed, nor be where the child looks."""
    checkout = checkout_dir()
    if checkout is None:
        return {}
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{checkout}{os.pathsep}{before}" if before else str(checkout)}


def _copy_lines(stream: IO[bytes], prefix: str) -> None:
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\n")
            sys.stderr.write(f"{prefix}{text}\n")
            sys.stderr.flush()


class Aftermath:
    """Sees to it that what is started inside ends inside: processes first, then GPU memory."""

    def __init__(self) -> None:
        self._before: frozenset[int] = frozenset()
        self._used_bytes: int | None = None

    def __enter__(self) -> Self:
        """Makes this process the parent of whatever its children leave behind."""
        if sys.platform == "linux":
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._before = frozenset(_children())
        self._used_bytes, _ = hardware.gpu_memory_bytes(())
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what is left, and says so; waits for the memory, and says if it does not come."""
        self._end_stragglers()
        self._await_memory()
        if sys.platform == "linux":
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)

    def _end_stragglers(self) -> None:
        import psutil

        def left() -> list[psutil.Process]:
            mine = [child for pid, child in _children().items() if pid not in self._before]
            return [*mine, *(each for child in mine for each in _descendants(child))]

        for _ in _looks(GRACE_S):
            psutil.wait_procs(left(), timeout=0)  # reaps what has ended
            if not left():
                return
        stragglers = left()
        for process in stragglers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stragglers, timeout=GRACE_S)
        log.warning("%d processes that a job had left behind were killed", len(stragglers))

    def _await_memory(self) -> None:
        if self._used_bytes is None:
            return
        most = self._used_bytes + MEMORY_SLACK_BYTES
        now = self._used_bytes
        for _ in _looks(MEMORY_LIMIT_S):
            now = hardware.gpu_memory_bytes(())[0] or 0
            if now <= most:
                return
        log.warning(
            "GPU memory in use is %.1f GB, before the job it was %.1f GB: another process has it, "
            "or the driver has not given it back",
            now / 1e9,
            self._used_bytes / 1e9,
        )


def _children() -> dict[int, Any]:
    import psutil

    return {child.pid: child for child in psutil.Process().children()}


def _descendants(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _looks(limit_s: float) -> Iterator[None]:
    """Time to look again, until the limit; the first time at once."""
    end = time.monotonic() + limit_s
    while True:
        yield
        if time.monotonic() >= end:
            return
        time.sleep(LOOK_S)
