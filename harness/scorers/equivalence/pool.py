"""A few worker processes that can be killed, and the pipes to them."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.errors import UnavailableError

_ROOT = Path(__file__).resolve().parents[3]
START_LIMIT_S = 120.0
"""The first pair of a worker also pays for its imports, on a busy machine slowly."""


_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
"""Signals that no pair can cause: a person, or the kernel out of memory, chose the process."""


class Expired(Exception):  # noqa: N818 - what became of a pair
    """A pair outlived its limit, or ended its worker. The message says which."""


class _DiedError(Exception):
    """The worker ended without an answer."""

    def __init__(self, exit_status: int) -> None:
        how = f"by signal {-exit_status}" if exit_status < 0 else f"with exit status {exit_status}"
        super().__init__(f"ended {how}")
        self.exit_status = exit_status


class Pool:
    """Gives each pair to an idle worker. ``ask`` is thread-safe."""

    def __init__(self, workers: int, pair_limit_s: float) -> None:
        self._workers = [_Worker(pair_limit_s) for _ in range(workers)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._is_started = False

    def start(self) -> None:
        """Starts all workers; they import in the background.

        Raises:
            UnavailableError: A process cannot be started.
        """
        for worker in self._workers:
            worker.start()
            self._idle.put(worker)
        self._is_started = True

    def stop(self) -> None:
        """Ends all workers."""
        self._is_started = False
        for worker in self._workers:
            worker.kill()
        self._idle = queue.SimpleQueue()

    def ask(self, gold: str, answer: str) -> dict[str, Any]:
        """A worker's verdict on one pair.

        Raises:
            Expired: The pair cost its worker, which will be replaced.
            UnavailableError: No worker can be started, or each is killed from outside.
        """
        if not self._is_started:
            raise RuntimeError("comparing by algebra needs an entered Equivalence")
        worker = self._idle.get()
        try:
            return self._ask(worker, gold, answer)
        finally:
            self._idle.put(worker)

    def _ask(self, worker: "_Worker", gold: str, answer: str) -> dict[str, Any]:
        """Compares once more when the worker died: its killer may not have meant the pair.

        That must not read as a wrong answer.
        """
        try:
            return worker.ask(gold, answer)
        except _DiedError as died:
            if not self._is_started:
                raise UnavailableError(f"the processes were stopped: {died}") from None
        try:
            return worker.ask(gold, answer)
        except _DiedError as died:
            if died.exit_status in _FROM_OUTSIDE:
                raise UnavailableError(f"a process to compare answers {died}, twice") from None
            if not worker.is_warm:
                what = f"a process to compare answers does not work: it {died}"
                raise UnavailableError(what) from None
            raise Expired("the memory limit, or a crash") from None


class _Worker:
    """One process, started again whenever a pair has cost it."""

    def __init__(self, pair_limit_s: float) -> None:
        self._pair_limit_s = pair_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self.is_warm = False

    def start(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", "harness.scorers.equivalence.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # A Ctrl-C in the terminal is the parent's to handle: no worker may die of it.
                process_group=0,
                env={"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0",
                     "PYTHONUTF8": "1"},
            )  # fmt: skip
        except OSError as error:
            raise UnavailableError(f"cannot start a process to compare answers: {error}") from error
        self.is_warm = False

    def kill(self) -> int:
        """Ends it, if it has not ended by itself; returns its exit status."""
        if self._process is None:
            return 0
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        exit_status = self._process.wait()
        self._process = None
        return exit_status

    def ask(self, gold: str, answer: str) -> dict[str, Any]:
        self._warm_up()
        return self._exchange(gold, answer, self._pair_limit_s)

    def _warm_up(self) -> None:
        """Lets the worker import and work once, outside of the first pair's time limit."""
        if self._process is None:
            self.start()
        if self.is_warm:
            return
        try:
            verdict = self._exchange("\\sqrt{8}", "2\\sqrt{2}", START_LIMIT_S)
        except Expired as error:
            raise UnavailableError(f"a process to compare answers does not work: {error}") from None
        if verdict != {"is_equal": True}:
            raise UnavailableError(f"the comparison of answers does not work here: {verdict}")
        self.is_warm = True

    def _exchange(self, gold: str, answer: str, limit_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"gold": gold, "answer": answer, "limit_s": limit_s}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            reply = self._read_line(time.monotonic() + limit_s)
        except Expired:
            self.kill()
            raise
        except OSError:  # a broken pipe: it was gone before
            raise _DiedError(self.kill()) from None
        if not reply:
            raise _DiedError(self.kill())
        verdict: dict[str, Any] = json.loads(reply)
        return verdict

    def _read_line(self, deadline: float) -> bytes:
        """A whole line, or nothing when the worker ended before it was whole."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
        reply = b""
        while not reply.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise Expired("the time limit")
            piece = os.read(descriptor, 65536)
            if not piece:
                return b""
            reply += piece
        return reply
