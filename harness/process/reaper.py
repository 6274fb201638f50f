"""Sees to the end of child processes: in order, after an error, after a signal, after a SIGKILL."""

import contextlib
import ctypes
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from harness.machine import hardware
from harness.process.guardian import KILL_LIMIT_S, Guardian
from harness.process.interruption import deferred
from harness.process.start import Child, ChildSpec

log = logging.getLogger(__name__)

STOP_LIMIT_S = 60.0
"""Seconds from SIGTERM to SIGKILL: a run stops its engine and closes its files."""
LEFTOVER_LIMIT_S = 20.0
"""Grace period before leftover processes are killed: vLLM's need some seconds."""
MEMORY_LIMIT_S = 30.0
MEMORY_SLACK_BYTES = 256 << 20
LOOK_S = 0.2
_PR_SET_CHILD_SUBREAPER = 36


class ChildCleanup:
    """Starts children that end with this context, or with this process if that is killed.

    Those that still run when the context is left get SIGTERM, and after a grace period SIGKILL,
    together with all that they started. A second signal to this process ends the grace period.
    """

    def __init__(self, grace_s: float) -> None:
        """Starts nothing yet.

        Args:
            grace_s: From SIGTERM to SIGKILL.
        """
        self.grace_s = grace_s
        self._guardian = Guardian(grace_s)
        self._children: list[Child] = []
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Starts the guardian."""
        self._resources.enter_context(self._guardian)
        self._resources.callback(self._stop_all)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all children."""
        self._resources.close()

    def start(self, spec: ChildSpec) -> Child:
        """Starts a child process.

        Raises:
            OSError: It cannot be started.
        """
        with deferred():  # no signal can come before it is known whom to stop
            child = Child(spec)
            self._children.append(child)
            self._guardian.watch([child.pid])
        child.send_stdin()
        return child

    def stop(self, children: Sequence[Child]) -> None:
        """Ends some of the children, all at once."""
        try:
            for child in children:
                child.terminate()
            deadline = time.monotonic() + self.grace_s
            for child in children:
                child.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for child in children:
                self._kill(child)

    def _stop_all(self) -> None:
        self.stop(self._children)

    def _kill(self, child: Child) -> None:
        child.kill()


class RunCleanup(ChildCleanup):
    """Cleans up after child processes that are runs: no process outlives the context.

    What a child leaves behind becomes a child of this process. It has some time to end by itself,
    then it is killed, which is logged. At last the GPU memory has to be free again.
    """

    def __init__(self, *, of_divided_run: bool = False) -> None:
        """Starts nothing yet.

        Args:
            of_divided_run: A child may have worker processes, which it has to stop in time.
        """
        super().__init__(STOP_LIMIT_S + _cleanup_limit_s() if of_divided_run else STOP_LIMIT_S)
        self._before: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        """Makes this process the parent of any process that its children leave behind."""
        with contextlib.ExitStack() as resources:
            _adopt_orphans(is_on=True)
            resources.callback(_adopt_orphans, is_on=False)
            used_bytes, _ = hardware.gpu_memory_bytes(())
            if used_bytes is not None:
                resources.callback(_await_gpu_memory, used_bytes)
            resources.enter_context(self._guardian)
            self._before = frozenset(_own_children())
            resources.callback(self._end_leftovers)
            resources.callback(self._stop_all)
            self._resources = resources.pop_all()
        return self

    def _kill(self, child: Child) -> None:
        if child.poll() is None:
            child.kill()

    def _leftovers(self) -> list[Any]:
        import psutil

        found: list[Any] = []
        for pid, child in _own_children().items():
            if pid not in self._before and pid != self._guardian.pid:
                found.append(child)
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += child.children(recursive=True)
        return found

    def _end_leftovers(self) -> None:
        import psutil

        for _ in _looks(LEFTOVER_LIMIT_S):
            psutil.wait_procs(self._leftovers(), timeout=0)  # reaps what has ended
            if not self._leftovers():
                return
        leftovers = self._leftovers()
        for process in leftovers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(leftovers, timeout=LEFTOVER_LIMIT_S)
        log.warning("%d processes that a job had left behind were killed", len(leftovers))


def _cleanup_limit_s() -> float:
    """How long the end of a ``RunCleanup`` may take."""
    return STOP_LIMIT_S + KILL_LIMIT_S + 2 * LEFTOVER_LIMIT_S + MEMORY_LIMIT_S


def _own_children() -> dict[int, Any]:
    import psutil

    return {child.pid: child for child in psutil.Process().children()}


def _adopt_orphans(*, is_on: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(is_on), 0, 0, 0)


def _await_gpu_memory(before_bytes: int) -> None:
    """Waits until the driver has the memory back, and logs it if that does not happen."""
    most = before_bytes + MEMORY_SLACK_BYTES
    now = before_bytes
    for _ in _looks(MEMORY_LIMIT_S):
        now = hardware.gpu_memory_bytes(())[0] or 0
        if now <= most:
            return
    log.warning(
        "GPU memory in use is %.1f GB, before the job it was %.1f GB: another process has it, "
        "or the driver has not given it back",
        now / 1e9,
        before_bytes / 1e9,
    )


def _looks(limit_s: float) -> Iterator[None]:
    """Time to look again, until the limit; the first time at once."""
    end = time.monotonic() + limit_s
    while True:
        yield
        if time.monotonic() >= end:
            return
        time.sleep(LOOK_S)
