"""The messages between harness and warden: length-prefixed JSON over one socket."""

import json
import socket
import struct
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["namespaces", "landlock", "seccomp", "none"]
LEVELS: tuple[Level, ...] = ("namespaces", "landlock", "seccomp", "none")
"""Strongest first."""

Kind = Literal[
    "passed",
    "assertion",
    "exception",
    "timeout",
    "memory",
    "crash",
    "forbidden",
    "unconfirmed",
    "untested",
    "error",
]
"""How a program ended. ``untested`` is a whole program that ended before or without its own tests;
``error`` is a failure of the sandbox, not of the program."""

_HEADER = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one program."""

    time_limit_s: float = 10.0
    memory_bytes: int = 2 << 30
    numpy: bool = True
    """Whether it may import numpy."""


@dataclass(frozen=True, slots=True)
class Job:
    """One program for a warden to run."""

    program: str
    """The code under test."""
    time_limit_s: float
    tests: str | None = None
    """Source that defines ``check(candidate)``; None when the program brings its own tests."""
    entry_point: str = ""
    """The function that ``check`` is called with."""
    prelude: str = ""
    """Trusted source for the confirming run: the problem's helpers that the tests may use."""
    confirm: bool = False
    """Run the tests of a pass once more, in another process than the candidate."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one program."""

    kind: Kind
    detail: str
    """One printable line. Begins with ``kind`` unless the program passed."""
    wall_s: float
    cpu_s: float
    is_starved: bool = False
    """It was stopped at its deadline without having had enough CPU time."""
    is_killed: bool = False
    """Something outside killed it: a person, or the kernel for lack of memory."""
    waited_s: float | None = None
    """The part of ``wall_s`` in which it waited for a CPU; None where that was not measured."""

    @property
    def passed(self) -> bool:
        """Whether every test passed, and the pass was confirmed if requested."""
        return self.kind == "passed"


@dataclass(frozen=True, slots=True)
class Setup:
    """How a warden is to confine its children."""

    level: Level
    memory_bytes: int
    work_dir: str
    """Folder for the programs' files; empty at level ``namespaces``, which has its own."""
    numpy: list[str]
    """Folders of numpy, the package itself first; empty if programs may not import it."""


def send(sock: socket.socket, message: Job | Outcome | Setup | dict[str, str]) -> None:
    """Sends one message. Lone surrogates survive, because JSON escapes them."""
    body = json.dumps(message if isinstance(message, dict) else asdict(message)).encode("ascii")
    sock.sendall(_HEADER.pack(len(body)) + body)


def receive(sock: socket.socket) -> dict[str, Any]:
    """Receives one message.

    Raises:
        EOFError: The other side is gone.
    """
    (length,) = _HEADER.unpack(_receive_exactly(sock, _HEADER.size))
    message: dict[str, Any] = json.loads(_receive_exactly(sock, length))
    return message


def _receive_exactly(sock: socket.socket, length: int) -> bytes:
    chunks = []
    while length:
        chunk = sock.recv(min(length, 1 << 20))
        if not chunk:
            raise EOFError("the other side closed the connection")
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)
