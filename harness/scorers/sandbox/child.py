"""Turns a fresh fork into a confined process: the steps, in the order that their rights require."""

import os
import resource
import signal
from dataclasses import dataclass

from harness.scorers.sandbox import syscalls
from harness.scorers.sandbox.landlock import Ruleset
from harness.scorers.sandbox.seccomp import Filter

VERDICT, CHANNEL = 3, 4
"""The only descriptors of a child besides 0, 1 and 2, which are the null device.

A warden keeps these numbers free of anything that it needs.
"""

MiB = 1 << 20
_STACK_BYTES = 64 * MiB
"""Deep recursion through C functions is a right program's right; it starts at 8 MiB elsewhere."""
_FILE_BYTES = 16 * MiB
_OPEN_FILES = 128
_THREADS = 256
_CPU_GRACE_S = 1
_WARDENS_OPEN_FILES = 1024


@dataclass(frozen=True, slots=True)
class Confinement:
    """All that one role of a warden's children is confined by."""

    uid: int | None
    """A separate user id; None keeps the warden's."""
    work_dir: str
    memory_bytes: int
    ruleset: Ruleset | None
    filter: Filter | None
    is_first_process: bool
    """Whether the child is process 1 of its namespace."""
    warden: int
    """Process id of the parent, as long as it lives."""

    def enter(self, descriptors: tuple[int, ...], time_limit_s: float) -> None:
        """Confines the calling process for good.

        Args:
            descriptors: Open files to keep, as numbers ``VERDICT`` and onwards.
            time_limit_s: Seconds of CPU, after which the kernel kills what the warden did not.
        """
        for at, descriptor in enumerate(descriptors):
            os.dup2(descriptor, VERDICT + at)
        os.setpgid(0, 0)
        os.chdir(self.work_dir)
        os.environ["HOME"] = os.environ["TMPDIR"] = self.work_dir
        self._limit_resources(time_limit_s)
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        # Changing the user clears the death signal, so it is set after.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        # A parent that died before that sends none; in a namespace all die with its process 1.
        if not self.is_first_process and os.getppid() != self.warden:
            os._exit(1)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        if self.ruleset is not None:
            self.ruleset.restrict_self()
        os.closerange(VERDICT + len(descriptors), _WARDENS_OPEN_FILES)
        syscalls.drop_capabilities()
        if self.filter is not None:
            self.filter.install(1 if self.is_first_process else os.getpid())

    def _limit_resources(self, time_limit_s: float) -> None:
        cpu_s = int(time_limit_s) + 1 + _CPU_GRACE_S
        limits = {
            resource.RLIMIT_AS: self.memory_bytes,
            resource.RLIMIT_STACK: _STACK_BYTES,
            resource.RLIMIT_FSIZE: _FILE_BYTES,
            resource.RLIMIT_NOFILE: _OPEN_FILES,
            resource.RLIMIT_CPU: cpu_s,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
        if self.uid is not None:  # a shared user's other processes would count
            limits[resource.RLIMIT_NPROC] = _THREADS
        for kind, wanted in limits.items():
            _, most = resource.getrlimit(kind)
            value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.setrlimit(kind, (value, value))
