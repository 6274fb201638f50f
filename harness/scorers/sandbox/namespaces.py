"""A warden's own world: no network, no other process, a read-only Python and nothing else.

Runs once in each warden. Needs either the capability CAP_SYS_ADMIN or unprivileged user
namespaces; whether they really work is the self-test's business, not this module's.
"""

import os
import signal

from harness.scorers.sandbox import syscalls

_WORLD = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)
_WORK_OPTIONS = "size=64m,nr_inodes=16k,mode=0700,uid={0},gid={0}"


def enter(readable: list[str], devices: list[str], work_dirs: list[str]) -> None:
    """Moves the caller into new namespaces. Returns in a new process, process 1 of them.

    The calling process stays outside and waits, so that whoever started it sees the world end.

    Args:
        readable: Folders to show, read-only. One that lies in another is left out.
        devices: Device files to show.
        work_dirs: Mount points to prepare for ``mount_work_dir``.

    Raises:
        OSError: The kernel, its settings or a container forbid it.
    """
    try:
        syscalls.unshare(_WORLD)
    except PermissionError:
        uid, gid = os.getuid(), os.getgid()
        syscalls.unshare(_WORLD | syscalls.CLONE_NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _build_root(readable, devices, work_dirs)
    # A process cannot enter its own new process namespace, only its children can.
    inner = os.fork()
    if inner:
        os.closerange(0, 256)
        _, status = os.waitpid(inner, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def mount_work_dir(path: str, owner: int) -> None:
    """An empty folder in memory, for one program."""
    options = _WORK_OPTIONS.format(owner)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("work", path, "tmpfs", flags, options)


def _build_root(readable: list[str], devices: list[str], work_dirs: list[str]) -> None:
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    sources = {path: os.path.realpath(path) for path in _outermost(readable)}
    base = next(path for path in ("/tmp", "/run", "/mnt", "/proc") if os.path.isdir(path))  # noqa: PTH112, S108
    syscalls.mount("root", base, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755")
    os.mkdir(f"{base}/old")  # noqa: PTH102 - pathlib is slower and says no more
    syscalls.pivot_root(base, f"{base}/old")
    os.chdir("/")
    for path, source in sources.items():
        os.makedirs(path, 0o755)  # noqa: PTH103
        syscalls.mount(f"/old{source}", path, "", syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.make_read_only(path)
    for path in devices:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(path, os.O_CREAT))
        syscalls.mount(f"/old{path}", path, "", syscalls.MS_BIND)
    for path in work_dirs:
        os.mkdir(path, 0o755)  # noqa: PTH102
    syscalls.umount("/old")
    os.rmdir("/old")  # noqa: PTH106
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY
    syscalls.mount("none", "/", "", flags | syscalls.MS_NOSUID | syscalls.MS_NODEV)


def _outermost(paths: list[str]) -> list[str]:
    """The existing folders among ``paths`` that are in no other one of them."""
    kept: list[str] = []
    for path in sorted({path for path in paths if os.path.isdir(path)}):  # noqa: PTH112
        if not any(path.startswith(f"{outer}/") for outer in kept):
            kept.append(path)
    return kept


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(text)
