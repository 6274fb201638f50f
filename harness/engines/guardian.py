"""A guardian of processes: a small process of its own that ends them should the harness be killed.

A process that gets SIGKILL cleans nothing up. What it had started then runs on for ever, and holds
the memory that the next run needs.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

CHECK_S = 1.0
# Linux counts a process's start time in field 22; the fields after the name begin with the third.
START_FIELD = 22 - 3


class Guardian:
    """Kills what it watches as soon as this process ends or leaves the context."""

    def __init__(self) -> None:
        self._watched: set[int] = set()
        self._process: subprocess.Popen[bytes]
        self._pipe: int

    def __enter__(self) -> Self:
        """Starts the guardian, in a session of its own that no Ctrl-C reaches."""
        # Neither end outlives an exec, so no other process that is started keeps the pipe open.
        read, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid())],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends what is still alive, and the guardian."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, b"\n")
        os.close(self._pipe)
        self._process.wait()

    def watch(self, pids: Iterable[int]) -> None:
        """Tells the guardian of processes; those it knows already are not told twice."""
        for pid in set(pids) - self._watched:
            if (started := start_time(pid)) is not None:
                self._watched.add(pid)
                # A guardian that was killed itself is no reason to end a run.
                with contextlib.suppress(BrokenPipeError):
                    os.write(self._pipe, f"{pid} {started}\n".encode())


def start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None where it is not to be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[START_FIELD]  # a name may contain anything


def kill(watched: Mapping[int, str]) -> None:
    """Kills processes, but none that took over the id of one that ended."""
    for pid, started in watched.items():
        if start_time(pid) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def guard(pipe: int, parent: int) -> None:
    """Reads lines ``pid start_time`` until the parent ends or sends an empty one, then kills."""
    watched: dict[int, str] = {}
    rest = b""
    # A fork without exec would keep the pipe open; it does not change who the parent is.
    while True:
        orphaned = os.getppid() != parent
        if not select.select([pipe], [], [], CHECK_S)[0]:
            if orphaned:
                break
            continue
        *lines, rest = (rest + (chunk := os.read(pipe, 4096))).split(b"\n")
        watched |= {
            int(pid): start.decode() for pid, start in map(bytes.split, filter(None, lines))
        }
        if not chunk or b"" in lines:
            break
    kill(watched)


if __name__ == "__main__":
    guard(sys.stdin.fileno(), int(sys.argv[1]))
