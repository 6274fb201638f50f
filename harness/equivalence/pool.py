"""A few worker processes that can be killed, and the pipes to them."""

import json
import os
import queue
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.errors import UnavailableError

_ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 120.0
"""The first pair of a worker also pays for importing sympy, on a busy machine slowly."""


class Expired(Exception):  # noqa: N818 - what became of a pair
    """A pair outlived its limit, or ended its worker. The message says which."""


class Pool:
    """Lends each pair to an idle worker. ``ask`` may be called from several threads at once."""

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
            Expired: The pair cost its worker, which has been replaced.
            UnavailableError: No worker can be started.
        """
        if not self._is_started:
            raise RuntimeError("comparing by algebra needs an entered Equivalence")
        worker = self._idle.get()
        try:
            return worker.ask(gold, answer)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, started again whenever a pair has cost it."""

    def __init__(self, pair_limit_s: float) -> None:
        self._pair_limit_s = pair_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._is_warm = False

    def start(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", "harness.equivalence.worker"],
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
        self._is_warm = False

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        self._process.wait()
        self._process = None

    def ask(self, gold: str, answer: str) -> dict[str, Any]:
        self._warm_up()
        return self._exchange(gold, answer, self._pair_limit_s)

    def _warm_up(self) -> None:
        """Lets the worker import and work once, so that no pair's limit pays for it."""
        if self._process is None:
            self.start()
        if self._is_warm:
            return
        try:
            verdict = self._exchange("\\sqrt{8}", "2\\sqrt{2}", START_LIMIT_S)
        except Expired as error:
            raise UnavailableError(f"a process to compare answers does not work: {error}") from None
        if verdict != {"is_equal": True}:
            raise UnavailableError(f"math-verify does not work here: {verdict}")
        self._is_warm = True

    def _exchange(self, gold: str, answer: str, limit_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"gold": gold, "answer": answer, "limit_s": limit_s}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            reply = self._read_line(time.monotonic() + limit_s)
        except (Expired, OSError) as error:
            self.kill()
            raise Expired(str(error) or type(error).__name__) from None
        verdict: dict[str, Any] = json.loads(reply)
        return verdict

    def _read_line(self, deadline: float) -> bytes:
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
                raise Expired("the memory limit, or a crash")
            reply += piece
        return reply
