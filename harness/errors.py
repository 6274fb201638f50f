"""Everything that can end a command, each with the exit status that a script can rely on.

::

    HarnessError             1  unexpected failure
    ├── UserError            2  badly described: arguments, configuration, files
    │   ├── ConfigError      2  the run's configuration
    │   ├── TaskError        2  a task's definition, data or subset
    │   └── StoreError       2  a run directory or one of its files
    ├── UnavailableError     3  an engine, model, data set or sandbox level is not available
    ├── TooManyErrorsError   4  more requests failed than allowed; the run was stopped
    ├── CanaryError          4  known problems showed a fault that would spoil the whole run
    ├── NotComparableError   6  two results were not made under one protocol
    ├── GenerationError      1  the engine died; everything generated before it is kept
    └── ShardsError          *  some shards of a run failed; the highest exit status of theirs
    Interrupted            130  a signal ended the run; it can be resumed

A message is one line that names the key, the value and what would be right. ``cli`` alone
catches these; a traceback is shown only with ``--debug``.
"""

import signal
from typing import ClassVar


class HarnessError(Exception):
    """Base of all errors that a user is meant to read."""

    exit_status: int = 1


class UserError(HarnessError):
    """The request is badly described; repeating it unchanged cannot help."""

    exit_status = 2


class ConfigError(UserError):
    """The configuration is wrong. Lists every mistake at once, by dotted key."""


class TaskError(UserError):
    """A task's definition, data or subset is wrong."""


class StoreError(UserError):
    """A run directory or one of its files is not what it should be."""


class UnavailableError(HarnessError):
    """Something that the run needs is not available on this machine."""

    exit_status = 3


class CanaryError(HarnessError):
    """Known problems showed that template, stop tokens, parser or scorer do not work here."""

    exit_status = 4


class TooManyErrorsError(HarnessError):
    """More requests failed than ``limits.stop_at_error_fraction``; the run can be resumed."""

    exit_status = 4


class NotComparableError(HarnessError):
    """Two results differ in more than their subject; names every field that does."""

    exit_status = 6


class GenerationError(HarnessError):
    """The engine broke. Running out of tokens is no error but a ``Completion``."""


class ShardsError(HarnessError):
    """Some shards of a run on this machine failed; the others are kept.

    Args:
        message: What failed, and how to go on.
        exit_status: The highest of the shards.
    """

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; the run stops in order and can be resumed.

    No ``Exception``, or a library that catches those would swallow the signal.

    Args:
        message: What stopped the run.
        number: The signal.
    """

    exit_status: ClassVar[int] = 130

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.number = number
