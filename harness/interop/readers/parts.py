"""JSON of other programs, of which the parts that are needed are checked and the rest is left."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.interop.readers.records import DamagedError
from harness.io.mistakes import first_mistake

HEAD_BYTES = 65_536
MAX_LINE_BYTES = 256 * 2**20
"""A longer line, or file that is read whole, is no log of a benchmark."""
_SHOWN = 60


class Part(BaseModel):
    """An object of which some keys are read, each of exactly its type."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


P = TypeVar("P", bound=Part)


def head(file: Path) -> bytes:
    """How a file begins; nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""


def parse(kind: type[P], text: bytes, file: Path, place: str) -> P:
    """Reads one JSON value.

    Raises:
        DamagedError: Names the first key that is wrong, and its value.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise DamagedError(file, place, describe(error)) from error


def describe(error: ValidationError) -> str:
    """The first mistake: ``scores.match.value: 7: should be …``."""
    first = first_mistake(error)
    if first.details["type"] in {"json_invalid", "missing"}:
        return str(first)
    return f"{first.key or 'value'}: {shown(first.given)}: {first.text}"


def shown(value: Any) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def read_lines(kind: type[P], file: Path) -> Iterator[tuple[str, P]]:
    """The lines of a file of JSON Lines, with their places; empty ones are left out.

    Raises:
        DamagedError: A line is not as it should be, or the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES:
                    raise DamagedError(file, f"line {number}", "is too long for a line of a log")
                if line.strip():
                    yield f"line {number}", parse(kind, line, file, f"line {number}")
    except OSError as error:
        raise unreadable(file, error) from error


def read_whole(kind: type[P], file: Path) -> P:
    """A file that is one JSON value.

    Raises:
        DamagedError: It is not as it should be, or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_LINE_BYTES)
    except OSError as error:
        raise unreadable(file, error) from error
    if len(text) == MAX_LINE_BYTES:
        raise DamagedError(file, "", "is too large for a log")
    return parse(kind, text, file, "")


def unreadable(file: Path, error: OSError) -> DamagedError:
    """The error for a file that cannot be read."""
    return DamagedError(file, "", f"cannot be read: {error.strerror}")


def as_verdict(value: Any) -> bool | None:
    """Whether a score accepts or rejects its answer; None for one that does neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not math.isnan(value) and value in {0, 1}:
        return bool(value)
    return None
