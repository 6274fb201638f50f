"""Programs' folders on the host's file system, for the levels without a separate one."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 256 << 20
MAX_FILES = 16_384

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: str) -> None:
    """Removes a folder with all that a program left in it. Does nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        empty(path)
        Path(path).rmdir()


def empty(path: str) -> None:
    """Removes everything that a program left in a folder, whatever it is.

    Copes with folders of mode 000, with links (never followed, nor raced) and with trees of any
    depth: a folder found in a folder is first moved to the top.
    """
    serial = itertools.count()
    unused = os.urandom(8).hex()
    with _opened(os.open(path, _FOLDER | os.O_RDONLY)) as top:
        while names := os.listdir(top):  # noqa: PTH208 - pathlib knows no descriptors
            for name in names:
                folder = _open_folder(name, top)
                if folder is None:
                    os.unlink(name, dir_fd=top)
                    continue
                with _opened(folder):
                    for inner in os.listdir(folder):  # noqa: PTH208
                        if (deeper := _open_folder(inner, folder)) is None:
                            os.unlink(inner, dir_fd=folder)
                            continue
                        os.close(deeper)
                        moved = f"{unused}-{next(serial)}"
                        os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=top)
                os.rmdir(name, dir_fd=top)


def _open_folder(name: str, parent: int) -> int | None:
    """A folder made accessible and opened, None when it is something else."""
    try:
        place = os.open(name, _FOLDER | os.O_PATH, dir_fd=parent)
    except NotADirectoryError:
        return None
    with _opened(place):
        # Through the descriptor, because the name could have become a link by now.
        Path(f"/proc/self/fd/{place}").chmod(0o700)
        return os.open(".", _FOLDER | os.O_RDONLY, dir_fd=place)


@contextlib.contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_overfull(path: str) -> bool:
    """Whether a running program has written more than it may, as far as the tree can be read."""
    size = files = 0
    folders = [path]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                files += 1
                if files > MAX_FILES:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
        if size > MAX_BYTES:
            return True
    return False
