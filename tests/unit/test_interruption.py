"""A signal ends a command wherever it arrives."""

import subprocess
import sys

import pytest

SIGNALLED_IN_A_CALLBACK = """
import os, signal, time, weakref
from harness.errors import Interrupted
from harness.process.interruption import install_handlers

class Thing:
    pass

def callback(_):
    os.kill(os.getpid(), signal.{name})
    for _ in range(100):
        pass
    print("not reached")

install_handlers()
thing = Thing()
kept = weakref.ref(thing, callback)
try:
    del thing
    os.write(1, b"swallowed\\n")  # whole, whenever the signal comes
    time.sleep(600)
except Interrupted as error:
    print(error)
"""

BROKEN_FINALIZER = """
from harness.process.interruption import install_handlers

class Thing:
    def __del__(self):
        raise ValueError("broken")

install_handlers()
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


LATE = (
    SIGNALLED_IN_A_CALLBACK.replace("time.sleep(600)", "cancel_pending(); time.sleep(1.5)")
    .replace("import install_handlers", "import install_handlers, cancel_pending")
    .replace("install_handlers()", "install_handlers(); interruption._PAUSE_S = 1.0")
    .replace("import os,", "from harness.process import interruption\nimport os,")
)


def test_one_that_would_come_after_the_end_does_not_come() -> None:
    out, err = said(LATE.format(name="SIGTERM"))
    assert (out, err) == ("swallowed\n", "")


DEFERRED = """
import os, signal
from harness.errors import Interrupted
from harness.process.interruption import deferred, install_handlers

install_handlers()
try:
    with deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        print("goes on")
    print("not reached")
except Interrupted as error:
    print(error)
with deferred():
    print("once")
"""


def test_a_deferred_signal_comes_at_the_end_and_once() -> None:
    out, err = said(DEFERRED)
    assert (out.splitlines(), err) == (["goes on", "stopped by SIGTERM", "once"], "")
