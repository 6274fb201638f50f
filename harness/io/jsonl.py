"""Files that survive a crash: lines that are appended whole, documents that are replaced whole."""

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from harness.errors import StoreError
from harness.io.mistakes import first_mistake
from harness.records import Record

R = TypeVar("R", bound=Record)


class JsonlWriter:
    """Appends records, each line in one write, flushed at once. Safe to use from threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._stream: IO[bytes] | None = None

    def append(self, record: Record) -> None:
        """Writes one line.

        Raises:
            StoreError: The disk is full or the folder cannot be written; what was there stays.
        """
        line = _line(record)
        with self._lock:
            try:
                if self._stream is None:
                    self._stream = open_own(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                place = self._stream.seek(0, os.SEEK_END)
                if self._stream.write(line) != len(line):
                    self._stream.truncate(place)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                raise unwritable(self.file, error) from error

    def close(self) -> None:
        """Brings everything to the disk itself."""
        with self._lock:
            if self._stream is not None:
                with suppress(OSError):  # a device or pipe has no disk to bring things to
                    os.fsync(self._stream.fileno())
                self._stream.close()
                self._stream = None


def _line(record: Record) -> bytes:
    """One line of UTF-8. A lone surrogate, which has none, becomes a question mark."""
    try:
        return record.model_dump_json().encode() + b"\n"
    except PydanticSerializationError:
        text = json.dumps(record.model_dump(), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "replace") + b"\n"


def open_own(file: Path, flags: int) -> IO[bytes]:
    """Opens a file for writing, unless its name is a link.

    A run's folder may come from a stranger: what is written into it must stay in it.

    Raises:
        OSError: It cannot be opened, or is a link.
    """
    descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return open(descriptor, "r+b" if flags & os.O_RDWR else "wb", buffering=0)  # noqa: PTH123


def unwritable(file: Path, error: OSError) -> StoreError:
    """The error message for a file that cannot be written."""
    if error.errno == errno.ELOOP:
        return StoreError(f"{file}: is a link; a run writes only into its own folder")
    return StoreError(f"{file}: cannot be written: {error.strerror}")


@contextmanager
def aside(file: Path) -> Iterator[Path]:
    """A path to write to; what is there takes the place of a file when the block ends well.

    A reader sees the old or the new file, never half, and the old one stays where it cannot be
    written. What is no file (``/dev/stdout``, a pipe) is written directly.

    Raises:
        StoreError: The disk is full or the folder cannot be written.
    """
    is_direct = file.exists() and not file.is_file()
    scratch = file if is_direct else file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        if not is_direct:
            scratch.unlink(missing_ok=True)
        yield scratch
        if not is_direct:
            scratch.replace(file)
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        if not is_direct:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)


@contextmanager
def aside_for_user(file: Path) -> Iterator[Path]:
    """``aside`` for a file that a user named: its folder is made, and a link is followed.

    Raises:
        StoreError: It cannot be written; what was there stays.
    """
    target = file.expanduser().resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(file, error) from error
    with aside(target) as scratch:
        yield scratch


@contextmanager
def replacing(file: Path, errors: str = "strict") -> Iterator[IO[str]]:
    """A stream of UTF-8 text that takes the place of a file as a whole (``aside``).

    Args:
        file: Where it ends up. A link is replaced, never followed.
        errors: What becomes of a lone surrogate, as ``open`` takes it.

    Raises:
        StoreError: The disk is full or the folder cannot be written.
    """
    with aside(file) as scratch, _text_stream(scratch, errors) as stream:
        yield stream


@contextmanager
def user_file(file: Path) -> Iterator[IO[str]]:
    """``replacing`` for a file that a user named: its folder is made, and a link is followed.

    Raises:
        StoreError: It cannot be written; what was there stays.
    """
    with aside_for_user(file) as scratch, _text_stream(scratch, "replace") as stream:
        yield stream


@contextmanager
def _text_stream(scratch: Path, errors: str) -> Iterator[IO[str]]:
    # Made new where it is a file, so that no link that lies there is followed.
    is_new = not scratch.exists()
    mode = "x" if is_new else "w"
    with scratch.open(mode, encoding="utf-8", newline="", errors=errors) as stream:
        yield stream
        stream.flush()
        if is_new:  # a device or pipe has no disk to bring things to
            os.fsync(stream.fileno())


def write_atomically(file: Path, text: str) -> None:
    """Replaces a file as a whole: a reader sees the old or the new one, never half.

    Raises:
        StoreError: The disk is full or the folder cannot be written; the old file stays.
    """
    with replacing(file) as stream:
        stream.write(text)


def read_jsonl(
    file: Path, kind: type[R], shorten: Callable[[bytes], bytes] | None = None
) -> Iterator[R]:
    """Reads records one at a time. A missing file has none.

    Args:
        file: One record a line.
        kind: What they are.
        shorten: Reduces a line to the required part.

    Raises:
        StoreError: It cannot be read, or a line is not such a record; names file and line.
    """
    if not file.is_file():
        return
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield kind.model_validate_json(shorten(line) if shorten else line)
            except ValidationError as error:
                found = first_mistake(error)
                if not line.endswith(b"\n"):
                    found = found._replace(
                        text="the line is cut off; harness run resume=… sets it aside"
                    )
                raise StoreError(f"{file}:{number}: not a {kind.__name__}: {found}") from error


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error


def end_of_last_line(file: Path) -> int:
    """The offset at which the last completely written line ends."""
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def read_json(file: Path, kind: type[R]) -> R:
    """Reads a document.

    Raises:
        StoreError: It cannot be read, or is not such a record.
    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        found = first_mistake(error)
        if found.keys[-1:] == ("schema_version",) and found.details["type"] == "literal_error":
            raise StoreError(
                f"{file}: is of schema version {found.given}; this harness reads version "
                f"{found.details['ctx']['expected']}, so read it with the harness that wrote it"
            ) from error
        raise StoreError(f"{file}: not a {kind.__name__}: {found}") from error
