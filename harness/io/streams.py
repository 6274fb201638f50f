"""Standard streams that end no command: closed, full, or with a reader that has gone.

What a command does is on the disk before it is printed, so a failure to print changes nothing but
the exit status, and that only where the output was wanted and is lost (``lost_output``).
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

_READER_GONE = frozenset({errno.EPIPE, errno.EBADF})


class SafeStream:
    """A text stream that remembers its first failure and writes nothing more after it."""

    def __init__(self, stream: Any, clean: Callable[[str], str] = str) -> None:
        """Takes over a stream.

        Args:
            stream: Where text goes.
            clean: What becomes of a text first.
        """
        self._stream = stream
        self._clean = clean
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        r"""Writes, while that is possible; what the encoding lacks is written as ``\xfc``."""
        if self.error is None:
            try:
                self._write(self._clean(text))
            except OSError as error:
                self._fail(error)
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes all of them, while that is possible."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hands on what is held back, while that is possible."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.error = error
        # What is held back would fail again when the interpreter ends, which has its own status.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe_streams(clean_stderr: Callable[[str], str]) -> Iterator[SafeStream]:
    """Makes stdout and stderr safe while the context lasts; yields stdout.

    A stream that was closed before the start becomes ``/dev/null``: the next file that is opened
    would take its number, and get what libraries print.

    Args:
        clean_stderr: What becomes of a text on stderr: threads and libraries write there too.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            os.set_inheritable(number, True)
    before = sys.stdout, sys.stderr
    opened = [
        os.fdopen(number, "w", closefd=False) if stream is None else stream
        for number, stream in zip((1, 2), before, strict=True)
    ]
    out, err = SafeStream(opened[0]), SafeStream(opened[1], clean_stderr)
    sys.stdout, sys.stderr = cast(Any, out), cast(Any, err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def lost_output(stdout: SafeStream) -> str | None:
    """Why stdout could not be written; None where it was, or where its reader closed the pipe."""
    stdout.flush()
    error = stdout.error
    return None if error is None or error.errno in _READER_GONE else error.strerror
