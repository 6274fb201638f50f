"""Waiting for a child: until it ends, or its time is up; then it is dead, with all it started."""

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.scorers.sandbox.program import BROKEN
from harness.scorers.sandbox.protocol import send
from harness.scorers.sandbox.runqueue import RunQueue

_STRETCH = 60
"""A program that waits for a CPU gets its time limit, but never more than this many times it."""
_TURN_S = 0.01
"""Until the next look at a program that waits for its turn."""
_HEARTBEAT_S = 5.0
_LAST_WORDS_S = 1.0
"""Seconds for the text of a failure, whose class is already known; waiting for a CPU not
counted."""
_LAST_BREATH_S = 1.0
"""Seconds for a process to end whose peer noticed its end; waiting for a CPU not counted."""
_GLANCE_S = 0.25
"""Between two looks at what a running program has written to disk."""
_MAX_VERDICT = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child's life ended, before anybody interprets it."""

    verdict: bytes
    status: int
    """As from ``os.waitstatus_to_exitcode``: negative for a signal."""
    wall_s: float
    cpu_s: float
    is_late: bool = False
    """Whether it was stopped at its deadline."""
    is_overfull: bool = False
    """Whether it was stopped because of what it had written to disk."""
    is_starved: bool = False
    """Whether it is late without having had enough CPU time."""
    is_killed: bool = False
    """Whether it, or its peer, died of a SIGKILL that this watch did not send."""
    waited_s: float | None = None
    """Seconds that it waited for a CPU; None where that was not measured."""


class HarnessGoneError(Exception):
    """The process that requested this program is gone."""


class Watch:
    """Watches one child, and those that work with it."""

    def __init__(
        self, control: socket.socket, proc: int | None, is_overfull: Callable[[], bool] | None
    ) -> None:
        """Prepares to watch.

        Args:
            control: The connection to the harness; when it closes, the work is off.
            proc: The host's ``/proc``, to tell a starved program from a slow one.
            is_overfull: Returns whether the programs have filled their disk; None if they cannot.
        """
        self._control = control
        self._proc = proc
        self._is_overfull = is_overfull
        self._next_heartbeat = math.inf

    def wait(self, children: tuple[int, ...], verdict: int, limit_s: float) -> Ending:
        """Waits for the first child's end, and then kills all of them.

        Args:
            children: Process ids. The first one decides, the others only help it.
            verdict: Where the first child's verdict comes from.
            limit_s: Seconds, not counting those that the children waited for a CPU.
        """
        start = time.monotonic()
        self._next_heartbeat = start + _HEARTBEAT_S
        handles = [os.pidfd_open(child) for child in children]
        try:
            queue = None if self._proc is None else RunQueue(self._proc, handles)
            text, late, overfull = self._until_done(handles[0], verdict, limit_s, queue)
            # Before the kill: to die, too, a child needs a CPU, and this process to see it.
            elapsed_s = time.monotonic() - start
            waited = _waited_s(queue) if late else None
            if text.startswith(BROKEN) and not (late or overfull):
                for handle in handles[1:]:
                    self._await_end(handle, start, queue)
            ended = [_has_ended(handle) for handle in handles]
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
            ends = [os.wait4(child, 0) for child in children]
            for handle in handles:
                os.close(handle)
        wall_s = time.monotonic() - start
        cpu_s = sum(usage.ru_utime + usage.ru_stime for _, _, usage in ends)
        starved = late and (
            elapsed_s - waited < limit_s if waited is not None else cpu_s < wall_s / 2
        )
        statuses = [os.waitstatus_to_exitcode(status) for _, status, _ in ends]
        killed = cpu_s < limit_s and any(
            was_over and status == -signal.SIGKILL
            for was_over, status in zip(ended, statuses, strict=True)
        )
        return Ending(text, statuses[0], wall_s, cpu_s, late, overfull, starved, killed, waited)

    def _until_done(
        self, handle: int, verdict: int, limit_s: float, queue: RunQueue | None
    ) -> tuple[bytes, bool, bool]:
        """The verdict's bytes, whether the deadline came first, and whether the disk is full."""
        start = time.monotonic()
        deadline = start + limit_s
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(verdict, select.POLLIN)
        poll.register(self._control.fileno(), 0)  # hanging up is always reported
        text, has_spoken = b"", False
        while True:
            ready = self._pause(poll, deadline)
            if verdict in ready:
                more = os.read(verdict, _MAX_VERDICT)
                text += more
                if not more or len(text) > _MAX_VERDICT:
                    poll.unregister(verdict)
                if not has_spoken:
                    has_spoken = True
                    limit_s = min(limit_s, _used_s(start, queue) + _LAST_WORDS_S)
                    deadline = min(deadline, time.monotonic() + _LAST_WORDS_S)
            elif handle in ready:
                return text, False, False
            elif self._is_overfull is not None and self._is_overfull():
                return text, False, True
            elif time.monotonic() >= deadline:
                left_s = self._left_s(limit_s, start, queue)
                if left_s <= 0:
                    return text, not has_spoken, False
                deadline = time.monotonic() + left_s

    def _await_end(self, handle: int, start: float, queue: RunQueue | None) -> None:
        """Lets a process end whose peer saw its end: a dying process closes its connections first.

        One that only closed them gains no more than a moment, watched as before.
        """
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(self._control.fileno(), 0)
        limit_s = _used_s(start, queue) + _LAST_BREATH_S
        deadline = time.monotonic() + _LAST_BREATH_S
        while handle not in self._pause(poll, deadline):
            if self._is_overfull is not None and self._is_overfull():
                return
            if time.monotonic() >= deadline:
                left_s = self._left_s(limit_s, start, queue)
                if left_s <= 0:
                    return
                deadline = time.monotonic() + left_s

    def _pause(self, poll: select.poll, deadline: float) -> set[int]:
        """Waits for news, at most until the deadline; returns the descriptors that have some."""
        longest_s = _HEARTBEAT_S if self._is_overfull is None else _GLANCE_S
        pause_s = max(0.0, min(deadline - time.monotonic(), longest_s))
        ready = {descriptor for descriptor, _ in poll.poll(math.ceil(pause_s * 1000))}
        if self._control.fileno() in ready:
            raise HarnessGoneError
        if time.monotonic() >= self._next_heartbeat:
            self._next_heartbeat += _HEARTBEAT_S
            send(self._control, {"alive": ""})
        return ready

    def _left_s(self, limit_s: float, start: float, queue: RunQueue | None) -> float:
        """Seconds that a program may still run, because it had to wait for a CPU."""
        # The time is taken first: this process, too, may have to wait between any two steps.
        elapsed_s = time.monotonic() - start
        if queue is None or elapsed_s >= limit_s * _STRETCH:
            return 0.0
        with contextlib.suppress(OSError):
            if queue.is_waiting():
                return _TURN_S
            return limit_s - (elapsed_s - queue.waited_s())
        return 0.0


def _used_s(start: float, queue: RunQueue | None) -> float:
    """Seconds since the start in which the programs had a CPU or did not need one.

    Rather too many than too few, because a limit is counted from here.
    """
    # The time is taken last: this process, too, may have to wait between any two steps.
    waited_s = _waited_s(queue) or 0.0
    return time.monotonic() - start - waited_s


def _waited_s(queue: RunQueue | None) -> float | None:
    if queue is not None:
        with contextlib.suppress(OSError):
            return queue.waited_s()
    return None


def _has_ended(handle: int) -> bool:
    """Whether the process of a descriptor is over, though perhaps not waited for."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


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
            descriptor = os.open(f"{name}/stat", os.O_RDONLY, dir_fd=proc)
            with open(descriptor, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                _, parent, *_ = file.read().rpartition(")")[2].split()
            if int(parent) == own:
                found.append(int(name))
    return found
