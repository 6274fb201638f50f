"""How long processes waited for a CPU, which distinguishes a starved program from a slow one.

From ``/proc/PID/task/*/schedstat``, of which anybody may read everybody's.
"""

import os
import time

_TICKS_S = 0.02
"""Some ticks of the clock by which the kernel counts, even at 100 a second."""


class RunQueue:
    """The waiting of some processes, by their pid descriptors."""

    def __init__(self, proc: int, handles: list[int]) -> None:
        """Prepares to look.

        Args:
            proc: An open folder, the host's ``/proc``. It may count processes otherwise than the
                caller does, so each is looked up by its descriptor.
            handles: Pid descriptors of the caller's.
        """
        self._proc = proc
        self._handles = handles

    def waited_s(self) -> float:
        """Seconds that the processes waited for a CPU, up to their last turn.

        Raises:
            OSError: The kernel does not say.
        """
        waits = []
        for handle in self._handles:
            lines = [line for _, line in self._tasks(handle).values()]
            waits.append(max((int(line.split()[1]) for line in lines), default=0))
        return sum(waits) / 1e9

    def is_waiting(self) -> bool:
        """Whether a thread waits just now, so that ``waited_s`` does not yet count all of it.

        Takes some milliseconds to tell: a thread that runs has other numbers after them.

        Raises:
            OSError: The kernel does not say.
        """
        before = self._runnable()
        time.sleep(_TICKS_S)
        after = self._runnable()
        return any(before.get(name) == line for name, line in after.items())

    def _runnable(self) -> dict[str, str]:
        return {
            name: line
            for handle in self._handles
            for name, (state, line) in self._tasks(handle).items()
            if state == "R"
        }

    def _tasks(self, handle: int) -> dict[str, tuple[str, str]]:
        """State and scheduling numbers of each thread of a process; empty when it is dead."""
        info = self._read(f"self/fdinfo/{handle}")
        pid = next((line.split()[1] for line in info.splitlines() if line.startswith("Pid:")), "-1")
        if pid == "-1":
            return {}
        tasks = {}
        folder = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._proc)
        try:
            names = os.listdir(folder)  # noqa: PTH208 - pathlib knows no descriptors
        finally:
            os.close(folder)
        for name in names:
            try:
                state = self._read(f"{pid}/task/{name}/stat").rpartition(") ")[2][:1]
                tasks[name] = (state, self._read(f"{pid}/task/{name}/schedstat"))
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
        return tasks

    def _read(self, path: str) -> str:
        descriptor = os.open(path, os.O_RDONLY, dir_fd=self._proc)
        try:
            return os.read(descriptor, 4096).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
