"""What outlives a harness that was killed, and what does not."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.process.guardian import kill_family, start_time
from tests.facts import known

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="start times come from /proc")

ROOT = str(Path(__file__).resolve().parents[2])
# A harness that starts three processes and has two of them guarded; the fork holds its pipe.
HARNESS = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from harness.process.guardian import Guardian
with Guardian(30.0) as guardian:
    guarded, other = (subprocess.Popen(["sleep", "600"], stdout=2) for _ in range(2))
    if (forked := os.fork()) == 0:
        os.dup2(2, 1)
        time.sleep(600)
        os._exit(0)
    guardian.watch([guarded.pid])
    guardian.watch([guarded.pid, forked])
    print(guarded.pid, forked, other.pid, guardian.pid, flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


def alive(pid: int) -> bool:
    """Whether it runs; one that ended may wait for ever to be noticed by its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_dead(*pids: int) -> bool:
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.fixture
def harness() -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A harness, with the ids of what it started: guarded, forked, other and its guardian."""
    command = [sys.executable, "-c", HARNESS, ROOT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        started = {pid: start_time(pid) for pid in pids}
        try:
            yield process, pids
        finally:
            process.kill()
            kill_family({pid: start for pid, start in started.items() if start is not None})


def test_what_a_killed_harness_had_guarded_is_ended(
    harness: tuple["subprocess.Popen[str]", list[int]],
) -> None:
    process, (guarded, forked, other, guardian) = harness
    assert all(map(alive, (guarded, forked, other, guardian)))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert wait_until_dead(guarded, forked, guardian)
    assert alive(other)


def successor(parent: int, guardian: int) -> int:
    """The id of the guardian that took the place of one that was killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(parent).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.pid != guardian and "guardian.py" in " ".join(child.cmdline()):
                    return child.pid
    pytest.fail("it has no successor")


def test_a_guardian_that_is_killed_has_a_successor_that_watches_the_same(
    harness: tuple["subprocess.Popen[str]", list[int]],
) -> None:
    process, (guarded, forked, other, guardian) = harness
    for _ in range(2):
        os.kill(guardian, signal.SIGKILL)
        guardian = successor(process.pid, guardian)
    assert all(map(alive, (guarded, forked, other)))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert wait_until_dead(guarded, forked, guardian)
    assert alive(other)


def test_a_killed_guardian_does_not_hold_up_the_end(
    harness: tuple["subprocess.Popen[str]", list[int]],
) -> None:
    process, (*_, guardian) = harness
    os.kill(guardian, signal.SIGKILL)
    stdout, _ = process.communicate("\n", timeout=60)
    assert (stdout, process.returncode) == ("left\n", 0)
    assert wait_until_dead(guardian)


def test_leaving_ends_what_is_guarded_and_nothing_else(
    harness: tuple["subprocess.Popen[str]", list[int]],
) -> None:
    process, (guarded, forked, other, guardian) = harness
    stdout, _ = process.communicate("\n")
    assert (stdout, process.returncode) == ("left\n", 0)
    assert wait_until_dead(guarded, forked, guardian)
    assert alive(other)


def test_a_guardian_outlives_ctrl_c(harness: tuple["subprocess.Popen[str]", list[int]]) -> None:
    process, (*_, guardian) = harness
    assert os.getsid(guardian) == guardian != os.getsid(process.pid)


def test_a_process_that_took_over_an_id_is_spared() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        started = known(start_time(process.pid))
        kill_family({process.pid: f"{started}0"})
        assert process.poll() is None
        kill_family({process.pid: started})
        assert process.wait() == -signal.SIGKILL
    assert start_time(process.pid) is None
