"""SIGINT and SIGTERM end a command in order, wherever they find it."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.errors import Interrupted

_PAUSE_S = 0.01

_default_hook = sys.unraisablehook


class _State:
    turn = 0
    """Rises with each signal that is handled and each command that ends. What was to be sent again
    before that is out of date."""
    is_deferred = False
    pending: int | None = None
    """A signal that came while it was deferred."""


def install_handlers() -> None:
    """From now on, a stop signal raises ``Interrupted`` in the main thread.

    It is handled between any two instructions, also in a finalizer or in the callback of a weak
    reference, of which every import makes one. Python lets no exception out of those, so there
    the signal is sent once more.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = _look_for_interruption


def cancel_pending() -> None:
    """The command has ended: what would still be sent is not."""
    _State.turn += 1


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that comes inside raises ``Interrupted`` at the end: for a few quick steps."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are never handled here
        return
    _State.is_deferred = True
    try:
        yield
    finally:
        _State.is_deferred = False
        number, _State.pending = _State.pending, None
        if number is not None:
            _raise_interrupted(number)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    if _State.is_deferred:
        _State.pending = number
    else:
        _raise_interrupted(number)


def _raise_interrupted(number: int) -> None:
    cancel_pending()
    raise Interrupted(f"stopped by {signal.Signals(number).name}", number)


def _look_for_interruption(unraisable: "sys.UnraisableHookArgs") -> None:
    if isinstance(unraisable.exc_value, Interrupted):
        # Later: this, too, is called where an exception would be lost. And by the bare thread, as
        # whatever was interrupted may hold a lock that a Thread needs.
        _thread.start_new_thread(_send_later, (unraisable.exc_value.number, _State.turn))
    else:
        _default_hook(unraisable)


def _send_later(number: int, turn: int) -> None:
    time.sleep(_PAUSE_S)
    if turn == _State.turn:
        os.kill(os.getpid(), number)
