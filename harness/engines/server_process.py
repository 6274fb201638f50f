"""vLLM's OpenAI-compatible server as a process of ours: started, waited for, ended."""

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.engines.endpoint import get_text
from harness.engines.guardian import Guardian
from harness.engines.last_words import PORT_TAKEN, WRONG_SETTING, last_words
from harness.errors import ConfigError, HarnessError, UnavailableError
from harness.io.redaction import keep_secret

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Another process can take a port between our finding it free and the server's binding it.
PORT_TRIES = 3
LOOK_S = 0.25
ANSWER_LIMIT_S = 5.0
# The engine's workers need a while to let go of a GPU; what is left then is killed.
STOP_LIMIT_S = 20.0
BEGINNING = "--- a new server ---"


class ServerProcess:
    """One server, alone in its session, so that its whole group can be signalled."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, key: str, log: Path) -> None:
        self._process = process
        self.root = f"http://{HOST}:{port}"
        """Without ``/v1``."""
        self.api_key = key
        self.log = log

    def get(self, path: str) -> str | None:
        """What the server says at a path, None when it does not answer with success."""
        return get_text(f"{self.root}{path}", ANSWER_LIMIT_S, is_own=True)

    def why_gone(self) -> str | None:
        """What ended the server, None while it is healthy."""
        if self._process.poll() is None and self.get("/health") is not None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(ANSWER_LIMIT_S)
        status = self._process.poll()
        state = "answers no more" if status is None else f"ended with status {status}"
        return f"vllm's server {state}: {last_words(own_log(self.log))[1]} (log: {self.log})"

    def pids(self) -> list[int]:
        """The server's process, its engine's and its workers'."""
        import psutil

        try:
            whole = psutil.Process(self._process.pid)
            return [whole.pid, *(child.pid for child in whole.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def wait_until_healthy(self, limit_s: float, guardian: Guardian) -> None:
        """Returns when the server is ready.

        Raises:
            UnavailableError: It ended, or needs longer than the limit.
            ConfigError: It ended over one of its arguments.
        """
        deadline = time.monotonic() + limit_s
        while self._process.poll() is None:
            guardian.watch(self.pids())
            if self.get("/health") is not None:
                guardian.watch(self.pids())
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"engine.start_limit_s={limit_s:g}: vllm's server was not ready by then "
                    f"(log: {self.log}); give it longer"
                )
            time.sleep(LOOK_S)
        kind, words = last_words(own_log(self.log))
        message = (
            f"engine=vllm_server: the server ended with status {self._process.returncode} while "
            f"it started: {words} (log: {self.log})"
        )
        raise ConfigError(message) if kind in WRONG_SETTING else UnavailableError(message)

    def stop(self) -> None:
        """Asks the server to end, with its engine; kills what is left of the group after that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def serving(
    arguments: list[str], environment: Mapping[str, str], log_file: Path, start_limit_s: float
) -> Iterator[ServerProcess]:
    """A healthy server; ended with the context, and by a guardian should the harness be killed.

    Raises:
        UnavailableError: It does not start; the message holds what its log says.
        ConfigError: It refuses an argument.
    """
    with Guardian() as guardian:
        server = _started(arguments, environment, log_file, start_limit_s, guardian)
        try:
            yield server
        finally:
            guardian.watch(server.pids())
            server.stop()


def _started(
    arguments: list[str],
    environment: Mapping[str, str],
    log_file: Path,
    start_limit_s: float,
    guardian: Guardian,
) -> ServerProcess:
    for attempt in range(1, PORT_TRIES + 1):
        server = _launch(arguments, environment, log_file)
        try:
            server.wait_until_healthy(start_limit_s, guardian)
        except BaseException as error:
            server.stop()
            taken = isinstance(error, HarnessError) and PORT_TAKEN in str(error).lower()
            if not taken or attempt == PORT_TRIES:
                raise
            log.info("%s was taken by another process; trying another port", server.root)
        else:
            return server
    raise AssertionError("the last try returns or raises")


def _launch(arguments: list[str], environment: Mapping[str, str], log_file: Path) -> ServerProcess:
    port = free_port()
    # Whoever shares this machine cannot use the server without it, and we cannot take another
    # server for ours.
    key = secrets.token_urlsafe(24)
    keep_secret(key)
    # -P: a folder named vllm in the working directory is not meant.
    command = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        stream = log_file.open("ab")
    except OSError as error:
        raise UnavailableError(
            f"engine=vllm_server: its log {log_file} cannot be written: {error.strerror}"
        ) from error
    with stream:
        stream.write(f"\n{BEGINNING}\n".encode())
        stream.flush()
        process = subprocess.Popen(
            [*command, "--host", HOST, "--port", str(port), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**environment, "VLLM_API_KEY": key},
            start_new_session=True,
        )
    return ServerProcess(process, port, key, log_file)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def flags(args: Mapping[str, Any]) -> list[str]:
    """Arguments as vLLM's command line has them."""
    words: list[str] = []
    for name, value in args.items():
        flag = name.replace("_", "-")
        match value:
            case None:
                continue
            case bool():
                words.append(f"--{flag}" if value else f"--no-{flag}")
            case dict():
                words += [f"--{flag}", json.dumps(value)]
            case list() | tuple():
                words += [f"--{flag}", *map(str, value)]
            case _:
                words += [f"--{flag}", str(value)]
    return words


def own_log(log_file: Path) -> str:
    """What the newest server wrote: those before it used the same file."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return text.rpartition(BEGINNING)[2]
