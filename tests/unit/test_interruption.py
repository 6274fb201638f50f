"""A signal ends a command wherever it arrives."""

import subprocess
import sys

import pytest

SIGNALLED_IN_A_CALLBACK = """
import os, signal, time, weakref
from harness.errors import Interrupted
from harness.process.interruption import listen

class Thing:
    pass

def callback(_):
    os.kill(os.getpid(), signal.{name})
    for _ in range(100):
        pass
    print("not reached")

listen()
thing = Thing()
kept = weakref.ref(thing, callback)
try:
    del thing
    print("swallowed", flush=True)
    time.sleep(600)
except Interrupted as error:
    print(error)
"""

BROKEN_FINALIZER = """
from harness.process.interruption import listen

class Thing:
    def __del__(self):
        raise ValueError("broken")

listen()
Thing()
"""


def said(program: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_python_swallows_comes_again(name: str) -> None:
    out, err = said(SIGNALLED_IN_A_CALLBACK.format(name=name))
    assert out.splitlines() == ["swallowed", f"stopped by {name}"]
    assert err == ""


def test_other_exceptions_in_finalizers_are_told_as_ever() -> None:
    out, err = said(BROKEN_FINALIZER)
    assert out == ""
    assert err.startswith("Exception ignored in: <function Thing.__del__")
    assert err.endswith("ValueError: broken\n")


LATE = SIGNALLED_IN_A_CALLBACK.replace("time.sleep(600)", "rest(); time.sleep(0.5)").replace(
    "import listen", "import listen, rest"
)


def test_one_that_would_come_after_the_end_does_not_come() -> None:
    out, err = said(LATE.format(name="SIGTERM"))
    assert (out, err) == ("swallowed\n", "")
