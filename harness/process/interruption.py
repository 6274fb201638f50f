"""SIGINT and SIGTERM end a command in order, wherever they find it."""

import _thread
import os
import signal
import sys
import time
from types import FrameType

from harness.errors import Interrupted

_PAUSE_S = 0.01

_others = sys.unraisablehook


class _Turn:
    number = 0
    """Rises with each signal that is handled and each command that ends. What was to be sent again
    before that is out of date."""


def listen() -> None:
    """From now on such a signal raises ``Interrupted`` in the main thread.

    It is handled between any two instructions, also in a finalizer or in the callback of a weak
    reference, of which every import makes one. Python lets no exception out of those, so there
    the signal is sent once more.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = _look_for_interruption


def rest() -> None:
    """The command has ended: what would still be sent is not."""
    _Turn.number += 1


def _interrupt(number: int, _frame: FrameType | None) -> None:
    rest()
    raise Interrupted(f"stopped by {signal.Signals(number).name}", number)


def _look_for_interruption(unraisable: "sys.UnraisableHookArgs") -> None:
    if isinstance(unraisable.exc_value, Interrupted):
        # Later: this, too, is called where an exception would be lost. And by the bare thread, as
        # whatever was interrupted may hold a lock that a Thread needs.
        _thread.start_new_thread(_send_later, (unraisable.exc_value.number, _Turn.number))
    else:
        _others(unraisable)


def _send_later(number: int, turn: int) -> None:
    time.sleep(_PAUSE_S)
    if turn == _Turn.number:
        os.kill(os.getpid(), number)
