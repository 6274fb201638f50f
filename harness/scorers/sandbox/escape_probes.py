"""Programs that try to escape: a level of confinement must hold all of them before it is used."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.scorers.sandbox.client import WardenClient
from harness.scorers.sandbox.protocol import LEVELS, Job, Kind, Level

_SECRET = "only the harness may read or change this"  # noqa: S105
_TESTS = "def check(candidate):\n    assert candidate(2) == 4\n"
_QUICK_S, _GENEROUS_S = 0.3, 20.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The targets of the escape probes."""

    secret: Path
    """A file outside of any work folder."""
    listener: socket.socket

    @property
    def port(self) -> int:
        """The listener's port, on this host only."""
        return int(self.listener.getsockname()[1])

    def damage(self) -> str | None:
        """What the last program has damaged; None for nothing."""
        if self.secret.read_text() != _SECRET:
            return "the file outside was changed"
        with contextlib.suppress(BlockingIOError):
            self.listener.accept()[0].close()
            return "a connection was made"
        return None


@dataclass(frozen=True, slots=True)
class Canary:
    """One program, and how it must end. It may use the names in ``_arguments``."""

    promise: str
    """The promise of the level, in a few words."""
    program: str
    ends: Kind = "passed"
    weakest: Level = "none"
    """The weakest level that promises it."""
    time_limit_s: float = _GENEROUS_S
    has_tests: bool = False
    needs_numpy: bool = False

    def failure(self, client: WardenClient, scene: Scene) -> str | None:
        """What failed; None when the promise held."""
        program = f"{_arguments(scene)}\n{self.program}"
        tests = _TESTS if self.has_tests else None
        job = Job(program, self.time_limit_s, tests, "double", confirm=self.has_tests)
        outcome = client.run(job)
        if outcome.kind != self.ends:
            return f"{self.promise}: {outcome.detail or outcome.kind}"
        if damage := scene.damage():
            return f"{self.promise}: {damage}"
        return None


def failures(client: WardenClient, level: Level) -> list[str]:
    """Runs all probes for a level; returns what failed."""
    with _scene() as scene:
        found = [
            canary.failure(client, scene)
            for canary in CANARIES
            if LEVELS.index(level) <= LEVELS.index(canary.weakest)
            and (client.has_numpy or not canary.needs_numpy)
        ]
    if alive := [process.pid for process in client.programs()]:
        found.append(f"no process outlives its verdict: {alive} did")
    return [failure for failure in found if failure is not None]


@contextmanager
def _scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        Path(folder).chmod(0o777)  # only the sandbox protects it
        secret = Path(folder, "secret")
        secret.write_text(_SECRET)
        secret.chmod(0o666)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield Scene(secret, listener)


def _arguments(scene: Scene) -> str:
    return f"SECRET, PORT, HARNESS = {str(scene.secret)!r}, {scene.port}, {os.getpid()}"


def _refused(attempt: str) -> str:
    """A program that passes if its attempt raises an OSError."""
    return (
        f"import os, signal, socket\n"
        f"try:\n    {attempt}\n"
        "except OSError:\n    pass\n"
        "else:\n    raise AssertionError('it was possible')\n"
    )


_GRANDCHILD = """
import os, time
try:
    child = os.fork()
except OSError:
    child = None
if child == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
time.sleep(0.05)
"""
_FORKS = """
import os, time
def fork_many():
    for _ in range(600):
        if os.fork() == 0:
            time.sleep(60)
try:
    fork_many()
except OSError:
    pass
else:
    raise AssertionError('600 forks')
"""
_IMPORTS = """
import asyncio, ctypes, hashlib, pathlib, sqlite3, tempfile, threading
async def three():
    await asyncio.sleep(0)
    return 3
assert asyncio.run(three()) == 3
assert sqlite3.connect(':memory:').execute('select 4').fetchone() == (4,)
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, 'a')
    file.write_text('five')
    assert file.read_text() == 'five'
thread = threading.Thread(target=print)
thread.start()
thread.join()
"""
CANARIES = (
    Canary("a right answer passes", "def double(x): return 2 * x", has_tests=True),
    Canary("a wrong answer fails", "def double(x): return x", "assertion", has_tests=True),
    Canary("leaving early fails", "import os; os._exit(0)", "crash", has_tests=True),
    Canary("usual imports work", _IMPORTS),
    Canary(
        "numpy can be imported", "import numpy; assert sum(numpy.ones(3)) == 3", needs_numpy=True
    ),
    Canary("an endless loop is stopped", "while True: pass", "timeout", time_limit_s=_QUICK_S),
    Canary("8 GB are refused", "x = bytearray(8 << 30)", "memory"),
    Canary(
        "the environment is empty",
        "import os\n"
        "known = {'HOME', 'LC_CTYPE', 'OMP_NUM_THREADS', 'PATH', 'PYTHONHASHSEED', 'TMPDIR'}\n"
        "extra = set(os.environ) - known\n"
        "assert not extra, extra",
    ),
    Canary("grandchildren die", _GRANDCHILD),
    Canary("forking is bounded", _FORKS, weakest="seccomp"),
    Canary(
        "no connection is made",
        _refused("socket.create_connection(('127.0.0.1', PORT), timeout=1)"),
        weakest="seccomp",
    ),
    Canary("the harness gets no signal", _refused("os.kill(HARNESS, 0)"), weakest="seccomp"),
    Canary(
        "the warden gets no signal",
        _refused("os.kill(os.getppid(), signal.SIGTERM)"),
        weakest="seccomp",
    ),
    Canary(
        "the warden's memory is out of reach",
        _refused("open(f'/proc/{os.getppid()}/mem', 'rb')"),
        weakest="seccomp",
    ),
    Canary("other files are unreadable", _refused("open(SECRET).read()"), weakest="landlock"),
    Canary("other files are unwritable", _refused("open(SECRET, 'a')"), weakest="landlock"),
    Canary("other files are unremovable", _refused("os.unlink(SECRET)"), weakest="landlock"),
    Canary(
        "no file appears elsewhere",
        _refused("open(os.path.dirname(SECRET) + '/new', 'w')"),
        weakest="landlock",
    ),
)
