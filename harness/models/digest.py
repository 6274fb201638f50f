"""Digests of weight files."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

WEIGHTS = "*.safetensors"


def weights_sha256(folder: Path) -> str | None:
    """Digest over names and contents of the weight files, None where there are none."""
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        return None
    return joined_sha256(f"{file.name}:{file_sha256(file)}" for file in files)


def joined_sha256(parts: Iterable[str]) -> str:
    """Digest of several digests, one a line."""
    return hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """Digest of one file's content."""
    # The hub's cache stores a large file under its sha256 and links to it: no need to read 140 GB.
    blob = file.resolve().name
    if file.is_symlink() and len(blob) == 64:  # noqa: PLR2004 - hex digits of a sha256
        return blob
    status = file.stat()
    return _content_sha256(file, status.st_size, status.st_mtime_ns)


@cache
def _content_sha256(file: Path, _size: int, _mtime_ns: int) -> str:
    """The file's sha256, cached per process while the file is unchanged: 140 GB take minutes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
