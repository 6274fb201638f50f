"""Waiting for a child: until it ends, or its time is up; then it is dead, with all it started."""

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

_STRETCH = 10
"""A program that waits for a CPU gets its time limit, but never more than this many times it."""
_LAST_WORDS_S = 0.5
"""For the text of a failure, whose class is already known."""
_GLANCE_S = 0.25
"""Between two looks at what a running program has written to disk."""
_MAX_VERDICT = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child's life ended, before anybody interprets it."""

    verdict: bytes
    status: int
    """As ``os.waitstatus_to_exitcode`` has it: negative for a signal."""
    wall_s: float
    cpu_s: float
    is_late: bool = False
    """It was stopped at its deadline."""
    is_overfull: bool = False
    """It was stopped because of what it had written to disk."""
    is_starved: bool = False
    """It is late, but did not have its share of a CPU."""
    waited_s: float | None = None
    """Seconds that it was ready to run and had no CPU, None where that was not looked at."""


class HarnessGoneError(Exception):
    """Whoever asked for this program is not there any more."""


class Watch:
    """Watches one child, and those that work with it."""

    def __init__(
        self, control: int, proc: int | None, is_overfull: Callable[[], bool] | None
    ) -> None:
        """Prepares to watch.

        Args:
            control: The connection to the harness; when it closes, the work is off.
            proc: The host's ``/proc``, to tell a starved program from a slow one.
            is_overfull: Asks whether the programs have filled their disk; None if they cannot.
        """
        self._control = control
        self._proc = proc
        self._is_overfull = is_overfull

    def wait(self, children: tuple[int, ...], verdict: int, limit_s: float) -> Ending:
        """Waits for the first child's end, and then kills all of them.

        Args:
            children: Process ids. The first one decides, the others only help it.
            verdict: Where the first child's verdict comes from.
            limit_s: Seconds, not counting those that the children waited for a CPU.
        """
        start = time.monotonic()
        handles = [os.pidfd_open(child) for child in children]
        try:
            text, late, overfull = self._until_done(handles, verdict, limit_s)
            waited = self._waited_s(handles) if late else None
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
            ends = [os.wait4(child, 0) for child in children]
            for handle in handles:
                os.close(handle)
        wall_s = time.monotonic() - start
        cpu_s = sum(usage.ru_utime + usage.ru_stime for _, _, usage in ends)
        starved = wall_s - waited < limit_s if waited is not None else cpu_s < wall_s / 2
        status = os.waitstatus_to_exitcode(ends[0][1])
        return Ending(text, status, wall_s, cpu_s, late, overfull, late and starved, waited)

    def _until_done(
        self, handles: list[int], verdict: int, limit_s: float
    ) -> tuple[bytes, bool, bool]:
        """The verdict's bytes, whether the deadline came first, and whether the disk is full."""
        start = time.monotonic()
        deadline = start + limit_s
        poll = select.poll()
        poll.register(handles[0], select.POLLIN)
        poll.register(verdict, select.POLLIN)
        poll.register(self._control, 0)  # hanging up is always reported
        text, has_spoken = b"", False
        while True:
            ready = self._pause(poll, deadline)
            if verdict in ready:
                more = os.read(verdict, _MAX_VERDICT)
                text += more
                if not more or len(text) > _MAX_VERDICT:
                    poll.unregister(verdict)
                if not has_spoken:
                    has_spoken, deadline = True, min(deadline, time.monotonic() + _LAST_WORDS_S)
            elif handles[0] in ready:
                return text, False, False
            elif self._is_overfull is not None and self._is_overfull():
                return text, False, True
            elif time.monotonic() >= deadline:
                deadline = deadline if has_spoken else start + self._stretched(limit_s, handles)
                if time.monotonic() >= deadline:
                    return text, not has_spoken, False

    def _pause(self, poll: select.poll, deadline: float) -> set[int]:
        """Waits for news, at most until the deadline; returns the descriptors that have some."""
        pause_s = max(0.0, deadline - time.monotonic())
        if self._is_overfull is not None:
            pause_s = min(pause_s, _GLANCE_S)
        ready = {descriptor for descriptor, _ in poll.poll(math.ceil(pause_s * 1000))}
        if self._control in ready:
            raise HarnessGoneError
        return ready

    def _stretched(self, limit_s: float, handles: list[int]) -> float:
        waited_s = self._waited_s(handles) or 0.0
        return min(limit_s + waited_s, limit_s * _STRETCH)

    def _waited_s(self, handles: list[int]) -> float | None:
        """Seconds that the children were ready to run and had no CPU, None if it cannot be told."""
        if self._proc is None:
            return None
        with contextlib.suppress(OSError, ValueError, IndexError):
            return sum(_run_queue_s(self._proc, handle) for handle in handles)
        return None


def _run_queue_s(proc: int, handle: int) -> float:
    """Of the process behind a handle; a descriptor's own entry knows its number on the host."""
    lines = _read(proc, f"self/fdinfo/{handle}").splitlines()
    pid = next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), -1)
    if pid < 0:  # it is dead already
        return 0.0
    return max(
        int(_read(proc, f"{pid}/task/{task}/schedstat").split()[1]) / 1e9
        for task in _tasks(proc, pid)
    )


def _tasks(proc: int, pid: int) -> list[str]:
    folder = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    try:
        return os.listdir(folder)  # noqa: PTH208 - pathlib knows no descriptors
    finally:
        os.close(folder)


def _read(folder: int, path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, 4096).decode("ascii")
    finally:
        os.close(descriptor)


def kill_orphans(proc: int | None) -> None:
    """Ends what dead children left behind: it is now the caller's, being a subreaper."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if proc is None:
                return
            for orphan in _children(proc):
                os.kill(orphan, signal.SIGKILL)
            time.sleep(0.001)


def _children(proc: int) -> list[int]:
    own = os.getpid()
    found = []
    for name in filter(str.isdecimal, os.listdir(proc)):
        with contextlib.suppress(OSError):
            fields = _read(proc, f"{name}/stat").rpartition(")")[2].split()
            if int(fields[1]) == own:
                found.append(int(name))
    return found
