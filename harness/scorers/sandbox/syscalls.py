"""The Linux calls that Python 3.11 has no function for, by ctypes.

Every function raises ``OSError`` with the call's name when the kernel refuses.
"""

import ctypes
import os
import platform
from ctypes import c_int, c_ulong, c_void_p
from typing import Any

MACHINE = platform.machine()

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38

# These numbers are the same on every architecture.
SYS_MOUNT_SETATTR = 442
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]
_libc.unshare.argtypes = [c_int]
_libc.setns.argtypes = [c_int, c_int]
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, c_ulong, c_void_p]
_libc.umount2.argtypes = [ctypes.c_char_p, c_int]


class _Capability(ctypes.Structure):
    _fields_ = (("effective", c_int), ("permitted", c_int), ("inheritable", c_int))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", c_int))


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


_NO_CAPABILITIES = ctypes.byref((_Capability * 2)())
_THIS_PROCESS = ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION_3, 0))


def _check(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def call(name: str, number: int, *arguments: Any) -> int:
    """Any system call by its number."""
    return _check(int(_libc.syscall(number, *arguments)), name)


def unshare(flags: int) -> None:
    """Moves this process, for NEWPID its future children, into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Moves this process, for NEWPID its future children, into the namespace of a descriptor."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mounts, binds or remounts."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def umount(target: str) -> None:
    """Takes a mount away, at once even if it is busy."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(path: str) -> None:
    """Makes a mount and all mounts below it read-only, without set-user-id programs or devices."""
    wanted = _MountAttributes(MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    target = ctypes.c_char_p(path.encode())
    where = (c_int(_AT_FDCWD), target, c_int(_AT_RECURSIVE))
    call(f"mount_setattr {path}", SYS_MOUNT_SETATTR, *where, ctypes.byref(wanted), size)


def pivot_root(new: str, old: str) -> None:
    """Makes ``new`` the root of the mount namespace and hangs the old one at ``old``."""
    call("pivot_root", SYS_PIVOT_ROOT[MACHINE], new.encode(), old.encode())


def prctl(option: int, value: int) -> None:
    """Sets an attribute of this process."""
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def drop_bounding_set() -> None:
    """Makes sure that no later program of this process can gain a capability."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # EINVAL: past the last one; EPERM: there is none to drop
            return


def drop_capabilities() -> None:
    """Drops all capabilities for good."""
    call("capset", SYS_CAPSET[MACHINE], _THIS_PROCESS, _NO_CAPABILITIES)
