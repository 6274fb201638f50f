"""The sandbox as its users see it: several wardens, safe to be called from several threads."""

import platform
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from harness.scorers.sandbox.client import WardenClient, WardenFailedError
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport, require_level
from harness.scorers.sandbox.packages import numpy_version
from harness.scorers.sandbox.protocol import Job, Outcome


class Sandbox:
    """Runs programs, as many at once as it has workers; further callers wait their turn.

    ::

        with Sandbox(SandboxConfig(), workers=2) as sandbox:
            outcome = sandbox.run_tests(program, tests, "has_close_elements", prelude=prompt)
            outcome = sandbox.run_program(source)
    """

    def __init__(
        self, config: SandboxConfig, workers: int, *, report: LevelReport | None = None
    ) -> None:
        """Prepares; the wardens start on entering.

        Args:
            config: What to demand and what to allow.
            workers: Programs to run at once; more than there are cores only slows all of them.
            report: The level to use, where it is known; found out on entering otherwise.
        """
        self._config = config
        self._workers = workers
        self._report = report
        self._idle: queue.Queue[_Seat] = queue.Queue()
        self._is_closed = False
        self._seats = [_Seat() for _ in range(workers)]
        self._taking_all = threading.Lock()

    def __enter__(self) -> Self:
        if self._report is None:
            self._report = require_level(self._config)
        try:
            for seat in self._seats:
                seat.client = self._start()
                self._idle.put(seat)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def run_tests(
        self, program: str, tests: str, entry_point: str, *, prelude: str = ""
    ) -> Outcome:
        """Runs a program with a benchmark's tests.

        Args:
            program: The code under test, which defines ``entry_point``.
            tests: Source that defines ``check(candidate)``.
            entry_point: The function that ``check`` is called with.
            prelude: Source of the problem's helpers that the tests may use; needed only by the
                confirming run, which does not have the program's namespace.
        """
        confirm = self._config.confirm_passes
        limit_s = self._config.time_limit_s
        return self._run(Job(program, limit_s, tests, entry_point, prelude, confirm))

    def run_program(self, source: str, *, time_limit_s: float | None = None) -> Outcome:
        """Runs a program that brings its own tests, as ``python solution.py`` would.

        It passes if it ends with exit status 0 and none of its own tests was seen to fail or to be
        left out; ``sandbox.script`` and ``sandbox.owntests`` have the rules. Nothing is
        confirmed in another process, because the tests cannot be separated from the rest: a program
        that searches its own interpreter for the one-time code can forge a pass.
        """
        return self._run(Job(source, time_limit_s or self._config.time_limit_s))

    def report(self) -> LevelReport:
        """The sandbox in use; known once the pool was entered."""
        assert self._report is not None, "enter the sandbox first"
        return self._report

    def context(self) -> dict[str, str]:
        """What a verdict depends on, for the manifest and the fingerprint."""
        return {
            "sandbox.level": self.report().level,
            "sandbox.time_limit_s": f"{self._config.time_limit_s:g}",
            "sandbox.memory_bytes": str(self._config.memory_bytes),
            "sandbox.confirm_passes": str(self._config.confirm_passes).lower(),
            "sandbox.numpy": numpy_version() if self._config.numpy else "none",
            "python": ".".join(platform.python_version_tuple()[:2]),
        }

    def _run(self, job: Job) -> Outcome:
        seat = self._idle.get()
        try:
            outcome = self._run_on(seat, job)
        finally:
            self._idle.put(seat)
        if not (outcome.is_starved or outcome.is_killed):
            return outcome
        with self._all_seats() as seats:
            outcome = self._run_on(seats[0], job)
        if outcome.is_starved and outcome.waited_s is not None:
            return _starved(outcome)
        if outcome.is_killed and self.report().level == "namespaces":
            return _killed(outcome)
        return outcome

    @contextmanager
    def _all_seats(self) -> Iterator[list["_Seat"]]:
        """Waits until no other program runs, and keeps it so."""
        with self._taking_all:
            seats = [self._idle.get() for _ in self._seats]
            try:
                yield seats
            finally:
                for seat in seats:
                    self._idle.put(seat)

    def _run_on(self, seat: "_Seat", job: Job) -> Outcome:
        """Runs a job; when the warden dies of it or before it, once more on a new one."""
        failure: WardenFailedError | None = None
        for _ in range(2):
            try:
                client = seat.client  # closing the sandbox empties the seat from another thread
                if client is None:
                    client = seat.client = self._start()
                if self._is_closed:  # and may have done so just before there was a client
                    raise WardenFailedError("the sandbox was closed")
                return client.run(job)
            except WardenFailedError as error:
                seat.discard()
                failure = error
            except BaseException:  # an interrupt: its answer would be taken for the next one's
                seat.discard()
                raise
        return Outcome("error", f"error: {failure}", wall_s=0.0, cpu_s=0.0)

    def _start(self) -> WardenClient:
        if self._is_closed:
            raise WardenFailedError("the sandbox was closed")
        return WardenClient(self.report().level, self._config.limits())

    def _close(self) -> None:
        self._is_closed = True
        for seat in self._seats:
            seat.discard()


class _Seat:
    """The place of one warden. Empty until it is needed again, after its warden failed."""

    def __init__(self) -> None:
        self.client: WardenClient | None = None

    def discard(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            client.close()


def _starved(outcome: Outcome) -> Outcome:
    """No verdict: even when run alone, the program got too little CPU time."""
    waited = f"waited {outcome.waited_s:.1f} s of {outcome.wall_s:.1f} s for a CPU"
    return replace(outcome, kind="error", detail=f"error: starved: even alone it {waited}")


def _killed(outcome: Outcome) -> Outcome:
    """No verdict: no program can end process 1 of its namespace by SIGKILL.

    Below that level it may have done so itself, and what it did twice it has done.
    """
    return replace(outcome, kind="error", detail="error: killed from outside, and again when alone")
