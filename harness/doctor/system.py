"""Checks what vLLM expects of the system: open files, a C library, a compiler for CUDA."""

import os
import platform
import resource
import shutil
from pathlib import Path

from harness.doctor.finding import Finding
from harness.engines.open_files import RESERVED
from harness.machine import hardware

GROUP = "machine"
FEW_FILES = 1024 + RESERVED
"""The largest default batch of vLLM, each request of which needs an open file."""
GLIBC = {"x86_64": (2, 28), "aarch64": (2, 34)}
"""The C library of the wheels that ``requirements/gpu.txt`` names."""
NVCC_FOLDERS = (Path("/usr/local/cuda"),)


def look_at_system() -> list[Finding]:
    """Open files everywhere; the C library and the compiler where a GPU is."""
    found = [_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))]
    if hardware.cuda_devices():
        found += [_glibc(*platform.libc_ver(), platform.machine()), _compiler(find_nvcc())]
    return found


def find_nvcc() -> Path | None:
    """CUDA's compiler where vLLM's kernels look for it."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    folders = [*([Path(home)] if home else []), *NVCC_FOLDERS]
    named = [folder / "bin" / "nvcc" for folder in folders]
    on_path = shutil.which("nvcc")
    return next((file for file in named if file.is_file()), Path(on_path) if on_path else None)


def _open_files(soft: int, hard: int) -> Finding:
    most = "without limit" if hard == resource.RLIM_INFINITY else f"{hard} at most"
    is_enough = hard == resource.RLIM_INFINITY or hard >= FEW_FILES
    return Finding(
        group=GROUP,
        name="open files",
        status="ok" if is_enough else "warn",
        value=f"{soft}, {most}",
        remedy=None
        if is_enough
        else f"ulimit -Hn {FEW_FILES} or more (docker run --ulimit nofile=…); until then "
        "engine=vllm_server has fewer requests under way",
    )


def _glibc(name: str, version: str, architecture: str) -> Finding:
    least = GLIBC.get(architecture)
    if name != "glibc" or least is None:
        value = f"{name or 'an unknown C library'} {version} on {architecture}"
        return Finding(
            group=GROUP,
            name="glibc",
            status="warn",
            value=value,
            remedy="vLLM's wheels are for glibc on x86_64 and aarch64",
        )
    given = tuple(int(part) for part in version.split(".")[:2])
    is_new = given >= least
    return Finding(
        group=GROUP,
        name="glibc",
        status="ok" if is_new else "warn",
        value=version,
        remedy=None
        if is_new
        else f"vLLM's wheels need glibc {least[0]}.{least[1]}: a newer system",
    )


def _compiler(nvcc: Path | None) -> Finding:
    if nvcc is not None:
        return Finding(group=GROUP, name="nvcc", status="ok", value=str(nvcc))
    return Finding(
        group=GROUP,
        name="nvcc",
        status="warn",
        value="no CUDA compiler; vLLM starts without it, as FlashInfer's sampler is off",
        remedy="a CUDA 13 toolkit and CUDA_HOME, for what vLLM compiles only where it is asked for "
        "(VLLM_USE_FLASHINFER_SAMPLER=1)",
    )
