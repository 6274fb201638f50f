"""File access by Landlock: everything is refused but what is named here."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

from harness.scorers.sandbox import syscalls

_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_FIRST_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_NEWER_RIGHTS = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
"""Rights by the version of Landlock that introduced them; an older kernel refuses them."""
_TCP, _SINCE_TCP = 0b11, 4
_SIGNALS_AND_ABSTRACT_SOCKETS, _SINCE_SCOPES = 0b11, 6


class Ruleset:
    """The files that a child may open; in force after ``restrict_self``."""

    def __init__(self, readable: Iterable[str], devices: Iterable[str], writable: str) -> None:
        """Makes a rule set.

        Args:
            readable: Folders to read, with all below them. One that does not exist is left out.
            devices: Device files to read and write.
            writable: The folder in which the program may do as it likes.

        Raises:
            OSError: The kernel has no Landlock, or it is switched off or forbidden.
        """
        create = syscalls.SYS_LANDLOCK_CREATE_RULESET
        version = syscalls.call("landlock_create_ruleset", create, None, 0, _ASK_VERSION)
        newer = sum(right for since, right in _NEWER_RIGHTS.items() if version >= since)
        self._handled = _FIRST_RIGHTS | newer
        tcp = _TCP if version >= _SINCE_TCP else 0
        scopes = _SIGNALS_AND_ABSTRACT_SOCKETS if version >= _SINCE_SCOPES else 0
        attributes = struct.pack("QQQ", self._handled, tcp, scopes)
        size = ctypes.c_size_t(len(attributes))
        self._descriptor = syscalls.call("landlock_create_ruleset", create, attributes, size, 0)
        for path in readable:
            self._allow(path, _READ_FILE | _READ_DIR)
        for path in devices:
            self._allow(path, _READ_FILE | _WRITE_FILE)
        refused = _EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEV
        self._allow(writable, self._handled & ~refused)

    def _allow(self, path: str, rights: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", rights, place)
                add = syscalls.SYS_LANDLOCK_ADD_RULE
                where = f"landlock_add_rule {path}"
                syscalls.call(where, add, self._descriptor, _PATH_BENEATH, rule, 0)
            finally:
                os.close(place)

    def restrict_self(self) -> None:
        """Confines this process for good."""
        restrict = syscalls.SYS_LANDLOCK_RESTRICT_SELF
        syscalls.call("landlock_restrict_self", restrict, self._descriptor, 0)
