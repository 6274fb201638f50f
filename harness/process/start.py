"""Starts a child process, waits for it, and ends it with all that it started."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

from harness.process.guardian import family, kill_family, start_time

PUMP_LIMIT_S = 20.0
"""A process that holds the child's stderr open after its end holds nothing else up for longer."""


class ChildSpec(NamedTuple):
    """A child process to start. It leads a new session, so a Ctrl-C reaches the parent only."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """Environment variables; None: the parent's."""
    stdin: bytes | None = None
    """Sent to the child, then its stdin ends; None: it has none."""
    stdout: int | IO[bytes] | None = None
    """A descriptor or file; None: the parent's."""
    stderr: int | IO[bytes] | None = None
    """As ``stdout``; not used with a prefix."""
    prefix: str | None = None
    """A prefix for each line of its stderr, which is copied to this process's ``sys.stderr``."""
    pass_fds: Sequence[int] = ()
    """Descriptors that it inherits."""


class Ending(NamedTuple):
    """How a child ended."""

    status: int
    """The exit status; negative: the signal that ended the child."""

    @property
    def is_killed(self) -> bool:
        """Whether a signal ended it: then it has no exit status."""
        return self.status < 0

    def __str__(self) -> str:
        if not self.is_killed:
            return f"exit status {self.status}"
        number = -self.status
        known = {each.value: each.name for each in signal.Signals}
        why = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"ended by {known.get(number, f'signal {number}')}{why}"


class Child:
    """A child process that was started."""

    def __init__(self, spec: ChildSpec) -> None:
        """Starts it; ``ChildCleanup.start`` also sees to its end.

        Raises:
            OSError: It cannot be started.
        """
        self._stdin = spec.stdin
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            list(spec.command),
            stdin=subprocess.DEVNULL if spec.stdin is None else subprocess.PIPE,
            stdout=spec.stdout,
            stderr=spec.stderr if spec.prefix is None else subprocess.PIPE,
            env=None if spec.environment is None else dict(spec.environment),
            pass_fds=spec.pass_fds,
            start_new_session=True,
        )
        started = start_time(self.pid)
        self._family: dict[int, str] = {} if started is None else {self.pid: started}
        self._pump: threading.Thread | None = None
        if spec.prefix is not None and self._process.stderr is not None:
            self._pump = threading.Thread(
                target=_copy_lines, args=(self._process.stderr, spec.prefix), daemon=True
            )
            self._pump.start()

    @property
    def pid(self) -> int:
        """The child's process id, which is also its session's."""
        return self._process.pid

    def send_stdin(self) -> None:
        """Sends what it is to read, and closes its stdin."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
                stdin.write(self._stdin or b"")

    def poll(self) -> Ending | None:
        """How it ended; None while it runs."""
        status = self._process.poll()
        return None if status is None else Ending(status)

    def wait(self, limit_s: float | None = None) -> Ending | None:
        """Waits for its end; None if it still runs after the limit."""
        try:
            ending = Ending(self._process.wait(limit_s))
        except subprocess.TimeoutExpired:
            return None
        if self._pump is not None:
            self._pump.join(PUMP_LIMIT_S)
        return ending

    def look_for_descendants(self) -> None:
        """Records the child's descendants: those in another session are only found while it lives.

        Not needed under a ``RunCleanup``, whose process gets all orphans.
        """
        self._family |= family(self._family)

    def terminate(self) -> None:
        """Sends the signal of Ctrl-C: a run keeps what it has and can be resumed."""
        self.look_for_descendants()
        self._process.terminate()

    def kill(self) -> Ending:
        """Kills what is left of it, its session, and all that these started."""
        if self._family:
            kill_family(self._family)
        else:  # without /proc
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return Ending(self._process.wait())


def _copy_lines(stream: IO[bytes], prefix: str) -> None:
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip("\n")
            sys.stderr.write(f"{prefix}{text}\n")
            sys.stderr.flush()
