"""Other projects' own packages: they read what we write, and write what we read.

Each is installed into an environment of its own, never into ours, with the exact versions of a file
beside this one. It is made once and kept in the user's cache; without a package index and without
that cache, the tests that need it are skipped.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

INSTALLS = {
    # It asks for Python 3.12; what the tests use of it runs on 3.11 too.
    "eee": (("--requirement", "eee.txt"), ("every-eval-ever==0.3.0", "--python-version", "3.12")),
    "inspect": (("--requirement", "inspect.txt"),),
}
"""By name, what ``uv pip install`` is given, call by call."""


class NoIndexError(Exception):
    """No package index answers."""


class Peer(NamedTuple):
    """Another project's package, installed."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that can import it, and cannot import us."""
        return self.folder / "bin" / "python"

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs its Python; a test that needs its exit status gives ``check=False``."""
        unwanted = ("PYTHONPATH", "PYTHONHOME")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        done = subprocess.run(
            [self.python, *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr
        return done


def uv(*arguments: str | Path, directory: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Runs uv of our own environment."""
    return subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip


def require_index() -> None:
    """Asks the package index for something small.

    Raises:
        NoIndexError: It does not answer.
    """
    done = uv("pip", "compile", "--quiet", "asked.txt")
    if done.returncode != 0:
        raise NoIndexError(f"no package index answers: {' '.join(done.stderr.split())[:300]}")


def install(name: str) -> Peer:
    """The package, from the cache or newly installed.

    Raises:
        NoIndexError: It is not in the cache, and there is nowhere to have it from.
    """
    peer = Peer(_cache() / f"{name}-{_key(name)}")
    complete = peer.folder / "complete"
    peer.folder.mkdir(parents=True, exist_ok=True)
    with (peer.folder.parent / f"{peer.folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes wait for the first
        if not complete.exists():
            require_index()
            _must(uv("venv", "--quiet", "--clear", "--python", sys.executable, peer.folder))
            for arguments in INSTALLS[name]:
                _must(uv("pip", "install", "--no-deps", "--python", peer.python, *arguments))
            complete.touch()
    return peer


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gegenprobe-tests"


def _key(name: str) -> str:
    """Changes with the pinned versions and with our Python."""
    digest = hashlib.sha256(repr((sys.version, sys.base_prefix, INSTALLS[name])).encode())
    for arguments in INSTALLS[name]:
        if arguments[0] == "--requirement":
            digest.update((HERE / arguments[1]).read_bytes())
    return digest.hexdigest()[:16]


def _must(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
