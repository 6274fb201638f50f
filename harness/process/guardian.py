"""Ends child processes when the harness is killed.

A process that gets SIGKILL cleans nothing up: what it had started would run on and hold the memory
that the next run needs. So a second small process, the guardian, waits for the harness to end. It
runs this file as a script, which may therefore import nothing but the standard library.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CHECK_S = 1.0
LOOK_S = 0.05
KILL_LIMIT_S = 20.0
"""How long to wait for a killed process to end: it may still wait for a driver."""


class Guardian:
    """Ends the processes that it watches as soon as this process ends or leaves the context.

    If this process ends without leaving the context, they get SIGTERM first, so that a run stops in
    order and can be resumed. What is left after the grace period is killed. A guardian that is
    killed itself has a successor, which watches the same processes.
    """

    def __init__(self, grace_s: float) -> None:
        """Starts nothing yet.

        Args:
            grace_s: From SIGTERM to SIGKILL.
        """
        self._grace_s = grace_s
        self._watched: dict[int, str] = {}
        """Start times by process id."""
        self._process: subprocess.Popen[bytes]
        self._pipe: int
        self._is_left = False
        self._lock = threading.RLock()
        self._successions = threading.Thread(target=self._succeed, daemon=True)

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Starts the guardian."""
        self._start()
        self._successions.start()
        return self

    def _start(self) -> None:
        """Starts its process, in a new session that no Ctrl-C reaches."""
        # Neither end survives an exec, so no other process that is started keeps the pipe open.
        read, write = os.pipe()
        os.write(write, _lines(self._watched))
        script = str(Path(__file__).resolve())
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, str(os.getpid()), str(self._grace_s)],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write

    def _succeed(self) -> None:
        """Starts a new guardian process whenever a signal has killed the last one."""
        while self._process.wait() < 0:
            time.sleep(LOOK_S)
            with self._lock:
                if self._is_left:
                    return
                before = self._pipe
                try:
                    self._start()
                except OSError as error:
                    logging.getLogger(__name__).warning(
                        "the process that ends what a killed harness leaves was killed; no other "
                        "can be started: %s",
                        error,
                    )
                    return
                os.close(before)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kills what is still alive, and ends the guardian."""
        with self._lock:
            self._is_left = True
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, b"\n")
            os.close(self._pipe)
        self._process.wait()
        self._successions.join()

    def watch(self, pids: Iterable[int]) -> None:
        """Adds processes to those that the guardian ends; known ones are not repeated."""
        with self._lock:
            started = {pid: start_time(pid) for pid in set(pids) - self._watched.keys()}
            new = {pid: start for pid, start in started.items() if start is not None}
            self._watched |= new
            # If it was just killed, its successor starts soon and gets the whole list.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, _lines(new))


def _lines(processes: Mapping[int, str]) -> bytes:
    """``pid start_time`` of each, as ``guard`` reads it."""
    return "".join(f"{pid} {start}\n" for pid, start in processes.items()).encode()


# --- families of processes --------------------------------------------------------------------


class Process(NamedTuple):
    """A line of the process table."""

    state: str
    parent: int
    session: int
    started: str
    """Start time in clock ticks since boot."""


def process_at(pid: int) -> Process | None:
    """The process with this id, also one that has ended and was not waited for; None without it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
    # From the third on, as proc(5) counts: state, ppid, pgrp, session; starttime is the 22nd.
    return Process(fields[0], int(fields[1]), int(fields[3]), fields[22 - 3])


def start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None if unknown."""
    process = process_at(pid)
    return None if process is None else process.started


def family(roots: Mapping[int, str]) -> dict[int, str]:
    """The live processes among the roots, in the sessions that they lead, and below all of these.

    Args:
        roots: Start times by process id: an id may belong to another process by now. As long as
            anything is left of a session, its number is given to no new process.
    """
    table = _process_table()
    starts = {pid: process.started for pid, process in table.items()}
    known = {pid for pid, started in roots.items() if starts.get(pid, started) == started}
    found = {pid for pid in known if pid in table}
    found |= {pid for pid, process in table.items() if process.session in known}
    while more := {pid for pid, process in table.items() if process.parent in found} - found:
        found |= more
    return {pid: starts[pid] for pid in found if table[pid].state not in "ZX"}


def _process_table() -> dict[int, Process]:
    try:
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    except OSError:  # not Linux
        return {}
    listed = ((pid, process_at(pid)) for pid in pids)
    return {pid: process for pid, process in listed if process is not None}


def kill_family(roots: Mapping[int, str]) -> None:
    """Kills a family, again and again while something is left: it may be starting processes."""
    deadline = time.monotonic() + KILL_LIMIT_S
    while left := family(roots):
        _signal(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(LOOK_S)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


# --- the guardian's process -------------------------------------------------------------------


def guard(pipe: int, parent: int, grace_s: float) -> None:
    """Reads lines ``pid start_time`` until the parent ends or sends an empty one; ends them."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a scheduler may send it to all processes at once
    watched: dict[int, str] = {}
    rest = b""
    is_left_in_order = False
    # A fork without exec would keep the pipe open; it does not change who the parent is.
    while True:
        is_orphaned = os.getppid() != parent
        if not select.select([pipe], [], [], CHECK_S)[0]:
            if is_orphaned:
                break
            continue
        *lines, rest = (rest + (chunk := os.read(pipe, 4096))).split(b"\n")
        watched |= {
            int(pid): start.decode() for pid, start in map(bytes.split, filter(None, lines))
        }
        is_left_in_order = b"" in lines
        if not chunk or is_left_in_order:
            break
    # A process in another session is only found while its parent lives.
    alive = family(watched)
    everything = watched | alive
    if not is_left_in_order:
        # Only those watched: what they started is theirs to stop.
        _signal(watched.keys() & alive.keys(), signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while watched.keys() & family(watched).keys() and time.monotonic() < deadline:
            time.sleep(LOOK_S)
    kill_family(everything)


if __name__ == "__main__":
    guard(sys.stdin.fileno(), int(sys.argv[1]), float(sys.argv[2]))
