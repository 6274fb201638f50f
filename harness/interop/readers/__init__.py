"""Logs that other harnesses wrote, read under our tasks' and problems' ids.

``records`` is what a reader makes, a module for each harness makes it, ``registry`` lists them,
``problems`` finds our problem for theirs, ``log`` puts it together.
"""

from harness.interop.readers.log import ForeignLog, Found, open_log
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)
from harness.interop.readers.registry import harness_of, readers

__all__ = [
    "DamagedError",
    "ForeignAnswer",
    "ForeignEntry",
    "ForeignFile",
    "ForeignLog",
    "Found",
    "Reader",
    "harness_of",
    "open_log",
    "readers",
]
