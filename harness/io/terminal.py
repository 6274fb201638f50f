"""Consoles of one width where no terminal gives one, and text that anybody may have written."""

import os
import re

from rich.console import Console
from rich.markup import escape

from harness.io.printable import printable

WIDTH = 100
"""Characters of a line in a file or a pipe, where COLUMNS does not say another number."""


def open_console(*, stderr: bool = False, width: int = WIDTH) -> Console:
    """Where a command prints its tables.

    Args:
        stderr: Print there and not to stdout.
        width: Of a file or a pipe, in characters, unless COLUMNS is set; a terminal has its own.
    """
    found = Console(stderr=stderr, highlight=False)
    if not found.is_terminal and not re.fullmatch("[1-9][0-9]*", os.environ.get("COLUMNS", "")):
        found.width = width
    return found


def safe(text: str) -> str:
    """The text itself: neither the terminal nor rich takes a part of it for an order."""
    return escape(printable(text))
