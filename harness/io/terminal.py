"""Text that anybody may have written, for a cell or a line of rich's."""

from rich.markup import escape

from harness.io.printable import printable


def safe(text: str) -> str:
    """The text itself: neither the terminal nor rich takes a part of it for an order."""
    return escape(printable(text))
