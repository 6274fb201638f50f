"""An ordinary user's view, for tests that root runs: another user, and a Python it may read."""

import os
import sys
from pathlib import Path

import psutil

import harness

REPOSITORY = Path(harness.__file__).resolve().parent.parent
UID = 61_234

_STAGE = """
import os, sys
from harness.scorers.sandbox import syscalls as s
base, uid, sources = sys.argv[1], int(sys.argv[2]), sys.argv[3:-1]
s.unshare(s.CLONE_NEWNS)
s.mount("none", "/", "", s.MS_REC | s.MS_PRIVATE)
s.mount("stage", base, "tmpfs", 0, "mode=0755")
for number, source in enumerate(sources):
    os.mkdir(f"{base}/{number}")
    s.mount(source, f"{base}/{number}", "", s.MS_BIND | s.MS_REC)
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
python = f"{base}/0/bin/python3"
paths = ":".join(f"{base}/{number}" for number in range(1, len(sources)))
os.environ["PYTHONPATH"] = paths
os.environ["HOME"] = "/tmp"
os.execv(python, [python, "-B", "-c", sys.argv[-1]])
"""


def command_as_user(program: str) -> list[str]:
    """Runs Python source as that user, this repository and its packages on the path.

    Only root can do this. In a mount namespace of its own, because root's Python may lie where
    nobody else can read; where that is refused, stderr says ``unshare``.
    """
    sources = [sys.base_prefix, str(REPOSITORY), str(Path(psutil.__file__).parent.parent)]
    return [sys.executable, "-c", _STAGE, "/mnt", str(UID), *sources, program]


def environment() -> dict[str, str]:
    """With the repository where Python finds it, besides what it finds already."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
