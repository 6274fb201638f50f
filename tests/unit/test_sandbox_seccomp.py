"""The filter of system calls, run in an interpreter of its own for both architectures.

The numbers are compared with the kernel's headers where these are installed.
"""

import errno
import re
import signal
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.scorers.sandbox import seccomp, syscalls
from harness.scorers.sandbox.seccomp import Filter

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
CALLS = {
    # what programs need, on both
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "futex": (202, 98),
    "exit_group": (231, 94),
    "socketpair": (53, 199),
    "epoll_create1": (291, 20),
    "getrandom": (318, 278),
    "clock_nanosleep": (230, 115),
    "openat": (257, 56),
    "unlinkat": (263, 35),
    # what they may not have
    "socket": (41, 198),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "clone3": (435, 435),
    "memfd_create": (319, 279),
    "fchmod": (91, 52),
    "kill": (62, 129),
    "clone": (56, 220),
    "prctl": (157, 167),
}
OWN_PID = 4321


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(syscalls, "MACHINE", request.param)
    return str(request.param)


def evaluate(
    filter_: Filter, machine: str, number: int, arguments: tuple[int, ...] = (), arch: int = 0
) -> str:
    """Runs the filter as the kernel would; returns ``allow``, ``kill`` or the errno's name."""
    for offset in filter_._pid_offsets:
        struct.pack_into("I", filter_._code, offset, OWN_PID)
    padded = [value & (1 << 64) - 1 for value in arguments] + [0] * (6 - len(arguments))
    data = struct.pack("IIQ6Q", number, arch or ARCH[machine], 0, *padded)
    steps = list(struct.iter_unpack("HBBI", bytes(filter_._code)))
    accumulator, at = 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x06:
            answer = {0x7FFF0000: "allow", 0x80000000: "kill", 0x50000: "pretend"}.get(operand)
            return answer or errno.errorcode[operand & 0xFFFF]
        if code == 0x20:
            (accumulator,) = struct.unpack_from("I", data, operand)
        elif code == 0x54:
            accumulator &= operand
        else:
            holds = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[code]
            at += yes if holds else no


def number_of(call: str, machine: str) -> int:
    return CALLS[call][0 if machine == "x86_64" else 1]


@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        *[(call, (), "allow") for call in list(CALLS)[:13]],
        ("socket", (2, 1, 0), "EACCES"),
        ("execve", (), "EACCES"),
        ("ptrace", (), "EPERM"),
        ("unshare", (), "EPERM"),
        ("clone3", (), "ENOSYS"),
        ("memfd_create", (), "ENOSYS"),
        ("fchmod", (), "pretend"),
        ("kill", (OWN_PID, 9), "allow"),
        ("kill", (OWN_PID + 1, 0), "EPERM"),
        ("kill", (-1, 9), "EPERM"),
        ("kill", (0, 9), "EPERM"),
        ("clone", (0x3D0F00,), "allow"),  # as pthread_create calls it
        ("clone", (int(signal.SIGCHLD),), "EPERM"),  # as fork does
        ("prctl", (1, 0), "EPERM"),
        ("prctl", (15, 0), "allow"),
        ("openat", (-100, 0, 0o1101), "allow"),  # to write and truncate
        ("openat", (-100, 0, 0o1000), "EPERM"),  # to read and truncate
    ],
)
def test_answers(machine: str, call: str, arguments: tuple[int, ...], answer: str) -> None:
    filter_ = Filter(sees_host_files=True)
    assert evaluate(filter_, machine, number_of(call, machine), arguments) == answer


def test_a_private_file_system_may_be_changed(machine: str) -> None:
    filter_ = Filter(sees_host_files=False)
    assert evaluate(filter_, machine, number_of("fchmod", machine)) == "allow"


def test_other_architectures_and_unknown_numbers(machine: str) -> None:
    filter_ = Filter(sees_host_files=True)
    assert evaluate(filter_, machine, 0, arch=0x40000003) == "kill"
    assert evaluate(filter_, machine, 0x40000000 | 41) == "kill"
    assert evaluate(filter_, machine, 600) == "ENOSYS"


def test_every_denied_call_is_denied(machine: str) -> None:
    filter_ = Filter(sees_host_files=True)
    column = 0 if machine == "x86_64" else 1
    for table in (seccomp._DENIED, seccomp._TOUCHES_FILES):
        for answer, calls in table.items():
            for name, numbers in calls.items():
                if (number := numbers[column]) is not None:
                    wanted = errno.errorcode.get(answer, "pretend")
                    assert evaluate(filter_, machine, number) == wanted, name


def test_numbers_are_those_of_the_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.is_file():
        pytest.skip(f"needs the kernel's headers ({header})")
    text = header.read_text()
    known = {
        name: int(number) for name, number in re.findall(r"#define __NR\d?_(\w+)\s+(\d+)", text)
    }
    column = 0 if machine == "x86_64" else 1
    compared = 0
    tables: list[Mapping[str, tuple[int | None, ...]]] = [
        *seccomp._DENIED.values(),
        *seccomp._TOUCHES_FILES.values(),
        CALLS,
    ]
    for name, numbers in [pair for table in tables for pair in table.items()]:
        number = known.get(name)
        if number is not None and numbers[column] is not None:
            assert numbers[column] == number, name
            compared += 1
    assert compared > 70


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "MACHINE", "m68k")
    with pytest.raises(OSError, match="m68k"):
        Filter(sees_host_files=True)
