"""vLLM's OpenAI-compatible server as a child process: start, wait, stop."""

import contextlib
import json
import logging
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.engines.endpoint import get_text
from harness.engines.last_words import PORT_TAKEN, WRONG_SETTING, last_words
from harness.errors import ConfigError, HarnessError, UnavailableError
from harness.io.redaction import keep_secret
from harness.process.reaper import ChildCleanup
from harness.process.start import Child, ChildSpec

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
    """One server process."""

    def __init__(self, child: Child, port: int, key: str, log: Path) -> None:
        self.child = child
        self.root = f"http://{HOST}:{port}"
        """The URL without ``/v1``."""
        self.api_key = key
        self.log = log

    def get(self, path: str) -> str | None:
        """The response body of a path; None without a successful answer."""
        return get_text(f"{self.root}{path}", ANSWER_LIMIT_S, is_own=True)

    def why_gone(self) -> str | None:
        """What ended the server; None while it is healthy."""
        if self.child.poll() is None and self.get("/health") is not None:
            return None
        ending = self.child.wait(ANSWER_LIMIT_S)
        state = "no longer answers" if ending is None else f"ended with status {ending.status}"
        return f"vllm's server {state}: {last_words(own_log(self.log))[1]} (log: {self.log})"

    def pids(self) -> list[int]:
        """Process ids of the server, its engine and its workers."""
        import psutil

        try:
            whole = psutil.Process(self.child.pid)
            return [whole.pid, *(child.pid for child in whole.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def wait_until_healthy(self, limit_s: float) -> None:
        """Returns when the server is ready.

        Raises:
            UnavailableError: It ended, or needs longer than the limit.
            ConfigError: It ended over one of its arguments.
        """
        deadline = time.monotonic() + limit_s
        while (ending := self.child.poll()) is None:
            is_healthy = self.get("/health") is not None
            self.child.look_for_descendants()
            if is_healthy:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"engine.start_limit_s={limit_s:g}: vllm's server was not ready by then "
                    f"(log: {self.log}); give it longer"
                )
            time.sleep(LOOK_S)
        kind, words = last_words(own_log(self.log))
        message = (
            f"engine=vllm_server: the server ended with status {ending.status} while "
            f"it started: {words} (log: {self.log})"
        )
        raise ConfigError(message) if kind in WRONG_SETTING else UnavailableError(message)


@contextlib.contextmanager
def serving(
    arguments: list[str], environment: Mapping[str, str], log_file: Path, start_limit_s: float
) -> Iterator[ServerProcess]:
    """A healthy server, which ends with the context or when the harness is killed.

    Raises:
        UnavailableError: It does not start; the message holds what its log says.
        ConfigError: It refuses an argument.
    """
    with ChildCleanup(STOP_LIMIT_S) as children:
        yield _started(arguments, environment, log_file, start_limit_s, children)


def _started(
    arguments: list[str],
    environment: Mapping[str, str],
    log_file: Path,
    start_limit_s: float,
    children: ChildCleanup,
) -> ServerProcess:
    for attempt in range(1, PORT_TRIES + 1):
        server = _launch(arguments, environment, log_file, children)
        try:
            server.wait_until_healthy(start_limit_s)
        except HarnessError as error:
            if PORT_TAKEN not in str(error).lower() or attempt == PORT_TRIES:
                raise
            children.stop([server.child])
            log.info("%s was taken by another process; trying another port", server.root)
        else:
            return server
    raise AssertionError("the last try returns or raises")


def _launch(
    arguments: list[str], environment: Mapping[str, str], log_file: Path, children: ChildCleanup
) -> ServerProcess:
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
        child = children.start(
            ChildSpec(
                command=[*command, "--host", HOST, "--port", str(port), *arguments],
                environment={**environment, "VLLM_API_KEY": key},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        )
    return ServerProcess(child, port, key, log_file)


def free_port() -> int:
    """A port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def flags(args: Mapping[str, Any]) -> list[str]:
    """Arguments in the form of vLLM's command line."""
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
    """The part of the log that the newest server wrote; earlier ones used the same file."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return text.rpartition(BEGINNING)[2]
