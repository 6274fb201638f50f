"""The process between harness and programs: it holds nothing of value and forks the programs.

Started by ``client`` in a clean interpreter whose standard input is the connection to the
harness. It prepares its level of confinement once, and then forks one child for each job, and
two more for a confirming run.
"""

import fcntl
import gc
import importlib
import os
import pwd
import socket
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import NoReturn

from harness.scorers.sandbox import (
    child,
    namespaces,
    program,
    script,
    syscalls,
    verdicts,
    watch,
    workdir,
)
from harness.scorers.sandbox.child import Confinement
from harness.scorers.sandbox.finder import NumpyFinder
from harness.scorers.sandbox.landlock import Ruleset
from harness.scorers.sandbox.protocol import Job, Outcome, Setup, receive, send
from harness.scorers.sandbox.seccomp import Filter

_NICENESS = 10
"""Grading must not slow the model that generates on the same cores."""

_DEVICES = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
_LIBRARIES = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"]
_TIME_ZONES = "/usr/share/zoneinfo"
_FIRST_UID, _UIDS = 63_000, 2_000
"""A range of user ids that Debian and systemd assign to no account; ids in use are skipped."""
_CONFIRMING_LIMITS = 2
"""How many time limits a confirming run may take: it has twice the processes."""
_PRELOADED = """
    abc bisect cmath collections copy dataclasses datetime decimal enum fractions functools hashlib
    heapq itertools json math numbers operator random re statistics string sys tempfile textwrap
    time traceback typing
"""
"""Modules that short programs import. Each further one makes every fork a little slower."""


def main() -> None:
    """Serves the harness until it hangs up."""
    control = _take_control()
    try:
        setup = Setup(**receive(control))
        warden = Warden(setup, control)
    except OSError as error:
        send(control, {"failed": str(error)})
        return
    send(control, {"ready": setup.level})
    try:
        while True:
            send(control, warden.run(Job(**receive(control))))
    except (EOFError, ConnectionError, watch.HarnessGoneError):
        warden.clean_up()
    except Exception as error:
        send(control, {"failed": f"{type(error).__name__}: {error}"})
        raise


def _take_control() -> socket.socket:
    """The connection, out of the way of the numbers that a child uses, which are kept free."""
    connection = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 32)
    for number in (0, child.VERDICT, child.CHANNEL):
        os.dup2(1, number)
    return socket.socket(fileno=connection)


class Warden:
    """Runs jobs at one level of confinement."""

    def __init__(self, setup: Setup, control: socket.socket) -> None:
        """Prepares the level.

        Raises:
            OSError: This machine cannot do it.
        """
        _lower_priority()
        # Before it enters its namespace, in which every warden is process 1.
        self._number = os.getpid()
        for name in _PRELOADED.split():
            importlib.import_module(name)
        if setup.numpy:
            NumpyFinder(setup.numpy[0]).install()
        self._readable = [*_readable(), *setup.numpy]
        _hide_own_modules()
        self._level = setup.level
        self._base = setup.work_dir
        self._proc = _open_proc()
        self._pid_space: int | None = None
        if setup.level == "namespaces":
            self._work_dirs = ["/tmp", "/oracle"]  # noqa: S108 - its own, see namespaces
            namespaces.enter(self._readable, _DEVICES, self._work_dirs)
            self._pid_space = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self._proc)
        else:
            self._work_dirs = [f"{self._base}/program", f"{self._base}/oracle"]
            for path in self._work_dirs:
                os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib says no more
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._confinements = [self._confinement(role, setup) for role in (0, 1)]
        syscalls.drop_bounding_set()
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        # A program of the same user could read and change its verdict in this process's memory.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        is_overfull = None if setup.level == "namespaces" else self._is_overfull
        self._watch = watch.Watch(control, self._proc, is_overfull)
        gc.collect()
        gc.freeze()

    def run(self, job: Job) -> Outcome:
        """Runs one job; a pass is run once more, apart from its tests, if requested."""
        outcome = self._run_together(job)
        if not (outcome.passed and job.confirm):
            return outcome
        return verdicts.confirmed(outcome, self._run_apart(job))

    def clean_up(self) -> None:
        """Removes the folder that this level has on the host, in case the harness cannot."""
        if self._level != "namespaces":
            workdir.remove(self._base)

    def _run_together(self, job: Job) -> Outcome:
        secret = _secret()
        with self._work_dir(0), _pipe() as (verdict, report):
            run = script.run_script if job.tests is None else program.run_together
            body = partial(run, job, secret, child.VERDICT)
            runner = self._fork(0, body, (report,), job.time_limit_s, secret)
            ending = self._watch.wait((runner,), verdict, job.time_limit_s)
        return verdicts.outcome(ending, secret, job.time_limit_s)

    def _run_apart(self, job: Job) -> Outcome:
        secret = _secret()
        limit_s = job.time_limit_s * _CONFIRMING_LIMITS
        with ExitStack() as stack:
            for role in (0, 1):
                stack.enter_context(self._work_dir(role))
            verdict, report = stack.enter_context(_pipe())
            excuse, complaint = stack.enter_context(_pipe())
            near, far = (stack.enter_context(end) for end in socket.socketpair())
            body = partial(program.serve_candidate, job, child.CHANNEL, child.VERDICT)
            candidate = self._fork(0, body, (complaint, far.fileno()), limit_s, secret)
            body = partial(program.run_oracle, job, child.CHANNEL, secret, child.VERDICT)
            oracle = self._fork(1, body, (report, near.fileno()), limit_s, secret)
            # Each side must see the other's end, so no other process may hold a descriptor.
            near.close()
            far.close()
            ending = self._watch.wait((oracle, candidate), verdict, limit_s)
            candidate_report = _drain(excuse)
        return verdicts.outcome(ending, secret, limit_s, candidate_report=candidate_report)

    def _fork(
        self,
        role: int,
        body: Callable[[], NoReturn],
        descriptors: tuple[int, ...],
        limit_s: float,
        secret: bytes,
    ) -> int:
        """A confined child that runs ``body``; returns its process id."""
        if self._pid_space is not None:
            # Only the first child after this gets the new namespace, as its process 1.
            syscalls.setns(self._pid_space, syscalls.CLONE_NEWPID)
            syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            self._live(role, body, descriptors, limit_s, secret)
        return pid

    def _live(
        self,
        role: int,
        body: Callable[[], NoReturn],
        descriptors: tuple[int, ...],
        limit_s: float,
        secret: bytes,
    ) -> NoReturn:
        """The whole life of a child."""
        try:
            self._confinements[role].enter(descriptors, limit_s)
        except BaseException as error:  # noqa: BLE001 - nothing may run half confined
            reason = f"{type(error).__name__}: {error}".encode("ascii", "replace")
            os.write(descriptors[0], verdicts.UNCONFINED + secret + reason)
            os._exit(1)
        body()

    def _confinement(self, role: int, setup: Setup) -> Confinement:
        path = self._work_dirs[role]
        has_world = setup.level == "namespaces"
        uid = _private_uid(2 * self._number + role, [path, *setup.numpy])
        if not has_world:  # there each program's folder is mounted for its user
            uid = _hand_over(path, uid)
        return Confinement(
            uid=uid,
            work_dir=path,
            memory_bytes=setup.memory_bytes,
            ruleset=Ruleset(self._readable, _DEVICES, path) if setup.level == "landlock" else None,
            filter=None if setup.level == "none" else Filter(sees_host_files=not has_world),
            is_first_process=has_world,
            warden=os.getpid(),
        )

    @contextmanager
    def _work_dir(self, role: int) -> Iterator[None]:
        """An empty folder for one program, of which nothing remains."""
        path, uid = self._work_dirs[role], self._confinements[role].uid
        if self._level == "namespaces":
            namespaces.mount_work_dir(path, os.getuid() if uid is None else uid)
        try:
            yield
        finally:
            if self._level == "namespaces":
                syscalls.umount(path)
            else:
                watch.kill_orphans(self._proc)
                workdir.empty(path)

    def _is_overfull(self) -> bool:
        return any(workdir.is_overfull(path) for path in self._work_dirs)


def _secret() -> bytes:
    return os.urandom(16).hex().encode("ascii")


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe: its reading end and its writing end."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _drain(descriptor: int) -> bytes:
    """Reads what is in a pipe, without waiting for more."""
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1024)
    except BlockingIOError:
        return b""


def _lower_priority() -> None:
    """Lowers this process's CPU priority, and makes it the first to be killed out of memory."""
    os.nice(_NICENESS)
    for name, value in (("autogroup", str(_NICENESS)), ("oom_score_adj", "1000")):
        # The kernel may have no such setting, and what is better than needed may stay.
        with suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(value)


def _hide_own_modules() -> None:
    """Shows programs only what a plain interpreter has: none of this, and an empty ``__main__``."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = ["solution.py"]


def _open_proc() -> int | None:
    with suppress(OSError):
        return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    return None


def _readable() -> list[str]:
    """The paths that Python needs to import modules later."""
    prefixes = {sys.base_prefix, sys.base_exec_prefix}
    libraries = [f"{prefix}/{name}" for prefix in prefixes for name in ("lib", sys.platlibdir)]
    return [*_LIBRARIES, *libraries, *sys.path, _TIME_ZONES]


def _private_uid(offset: int, needed: list[str]) -> int | None:
    """A user id that no account has, for a role of a warden; None where none can be used.

    Args:
        offset: Where in the range to begin, so that wardens do not share a user.
        needed: Paths that the user must be able to reach, besides Python's own.
    """
    for attempt in range(_UIDS // 2):
        uid = _FIRST_UID + (offset + 2 * attempt) % _UIDS
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid if _works_as(uid, needed) else None
    return None


def _works_as(uid: int, needed: list[str]) -> bool:
    """Tries, in a child, whether that user can be become, and can then use Python."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    try:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.listdir(os.path.dirname(os.__file__))  # noqa: PTH120, PTH208
        for path in needed:
            os.stat(f"{path}/.")  # noqa: PTH116 - also tests the right to enter it
    except OSError:
        os._exit(1)
    os._exit(0)


def _hand_over(work_dir: str, uid: int | None) -> int | None:
    """Gives a folder to a user; returns that user, or None if it may not be given."""
    if uid is not None:
        try:
            os.chown(work_dir, uid, uid)
        except PermissionError:
            return None
    return uid
