"""The harness's end of one warden: starts it, sends it jobs, ends it."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import harness
from harness.errors import HarnessError
from harness.scorers.sandbox import packages, workdir
from harness.scorers.sandbox.protocol import Job, Level, Limits, Outcome, Setup, receive, send

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop());"
    "from harness.scorers.sandbox.warden import main; del sys.path[0]; main()"
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
"""The last one is for numpy: threads of its BLAS would count against a program's limits."""
_START_LIMIT_S = 60.0
_GOODBYE_S = 2.0
_REMOVALS, _REMOVAL_PAUSE_S = 50, 0.02
_PATIENCE_S = 60.0
"""Seconds between two signs of life of a warden, which sends one every few seconds."""


class WardenFailedError(HarnessError):
    """The warden could not start, died or hung. This is no verdict on the program that it ran."""


class WardenClient:
    """One warden process. Not to be used by two threads at once."""

    def __init__(self, level: Level, limits: Limits) -> None:
        """Starts the warden and waits until it is ready.

        Raises:
            WardenFailedError: It cannot work at this level here, and says why.
        """
        self._work_dir = None if level == "namespaces" else _make_work_dir()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*_interpreter(), "-c", _BOOT, str(Path(harness.__file__).parent.parent)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        self._socket = ours
        self._limits = limits
        numpy = packages.numpy_folders() if limits.numpy else []
        self._setup = Setup(level, limits.memory_bytes, self._work_dir or "", numpy)
        self._greet()

    def _greet(self) -> None:
        try:
            self._socket.settimeout(_START_LIMIT_S)
            send(self._socket, self._setup)
            answer = receive(self._socket)
        except (EOFError, OSError) as error:
            self.close()
            raise WardenFailedError(f"the warden did not start: {error}") from error
        if "ready" not in answer:
            self.close()
            raise WardenFailedError(str(answer.get("failed")))
        # At level ``namespaces`` the process that was started waits for the real warden.
        self._own = {process.pid for process in psutil.Process(self._process.pid).children()}

    @property
    def has_numpy(self) -> bool:
        """Whether its programs may import numpy."""
        return bool(self._setup.numpy)

    def run(self, job: Job) -> Outcome:
        """Runs one job.

        Raises:
            WardenFailedError: The warden died or hung, and cannot be used again.
        """
        try:
            self._socket.settimeout(_PATIENCE_S)
            send(self._socket, job)
            while "alive" in (answer := receive(self._socket)):
                pass
        except (EOFError, OSError) as error:
            raise WardenFailedError(f"the warden died: {error}") from error
        if "failed" in answer:
            raise WardenFailedError(f"the warden broke: {answer['failed']}")
        return Outcome(**answer)

    def programs(self) -> list[psutil.Process]:
        """Processes under the warden now: none between two jobs."""
        descendants = psutil.Process(self._process.pid).children(recursive=True)
        return [process for process in descendants if process.pid not in self._own]

    def close(self) -> None:
        """Ends the warden and all its processes. Idempotent and thread-safe."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a warden takes this for good-bye
        self._socket.close()
        try:
            self._process.wait(timeout=_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove_work_dir()

    def _remove_work_dir(self) -> None:
        """A killed warden's program dies with it, but perhaps a moment later."""
        if self._work_dir is None:
            return
        for _ in range(_REMOVALS):
            with contextlib.suppress(OSError):
                workdir.remove(self._work_dir)
                return
            time.sleep(_REMOVAL_PAUSE_S)
        workdir.remove(self._work_dir)


def _make_work_dir() -> str:
    path = tempfile.mkdtemp(prefix="harness-sandbox-")
    # Programs of another user must be able to pass through, though not to look around.
    Path(path).chmod(0o711)
    return path


def _interpreter() -> list[str]:
    """Python without its user's habits: no site-packages, no startup files, no bytecode written.

    The real file: a version manager's shim would run a shell first, and another user might not
    be allowed to read it.
    """
    return [os.path.realpath(sys.executable), "-S", "-s", "-P", "-B", "-X", "utf8"]
