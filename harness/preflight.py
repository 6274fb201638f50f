"""What can be known to fail before anything is loaded: a model too large, a disk too small."""

import shutil
from pathlib import Path

from harness.config import RunConfig
from harness.engines.build import EngineConfig
from harness.engines.vllm_engine import VllmKnobs
from harness.errors import ConfigError, StoreError, UnavailableError
from harness.models import ModelConfig
from harness.provenance import Provenance

# A run folder below this would not even hold its problems and prompts.
LEAST_FREE_BYTES = 64 << 20
_BYTES_PER_PARAMETER = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}


def check_requirements(config: RunConfig, machine: Provenance) -> None:
    """Compares the machine with what the experiment is meant for.

    Raises:
        UnavailableError: It lacks GPUs, or they lack memory; says what is needed and what is here.
    """
    wanted = config.requires
    if wanted is None:
        return
    least = wanted.gpu_memory_bytes or 0
    fitting = [gpu for gpu in machine.gpus if gpu.memory_bytes is None or gpu.memory_bytes >= least]
    if len(fitting) >= wanted.gpus:
        return
    each = f" with {least / 1e9:.0f} GB each" if least else ""
    here = ", ".join(
        gpu.name + ("" if gpu.memory_bytes is None else f" ({gpu.memory_bytes / 1e9:.0f} GB)")
        for gpu in machine.gpus
    )
    raise UnavailableError(
        f"requires.gpus={wanted.gpus}: this experiment needs {wanted.gpus} NVIDIA GPU(s){each}, "
        f"this machine has {here or 'none'}; --dry-run shows its plan, requires=null lifts this"
    )


def check_memory(config: RunConfig, machine: Provenance) -> None:
    """Compares the model's weights and one full context with the memory there is.

    Says nothing where it cannot know: unknown sizes, quantisation, a replayed run.

    Raises:
        UnavailableError: The device is too small; says by how much and what would be right.
    """
    needed = memory_needed_bytes(config.model, config.engine, config.protocol.context_tokens)
    if needed is None:
        return
    shards = 1
    if isinstance(config.engine, VllmKnobs):
        shards = _count(config.engine, "tensor_parallel_size")
        shards *= _count(config.engine, "pipeline_parallel_size")
    device, memory = f"this machine ({machine.cpu})", machine.memory_bytes
    if machine.gpus and getattr(config.engine, "device", "auto") != "cpu":
        device = f"{shards} x {machine.gpus[0].name}"
        sizes = [gpu.memory_bytes for gpu in machine.gpus[:shards]]
        if None in sizes:
            return  # memory that the driver shares with the CPU has no size of its own
        memory = sum(size for size in sizes if size is not None)
    if needed > memory:
        raise UnavailableError(
            f"model={config.model.name} needs about {needed / 1e9:.0f} GB for its weights and one "
            f"context of {config.protocol.context_tokens} tokens, {device} has "
            f"{memory / 1e9:.0f} GB; use a smaller model, +engine.args.quantization=… or "
            "+engine.args.tensor_parallel_size=…"
        )


def _count(engine: VllmKnobs, name: str) -> int:
    value = engine.args.get(name, 1)
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"engine.args.{name}={value}: should be a whole number from 1")
    return value


def memory_needed_bytes(
    model: ModelConfig, engine: EngineConfig, context_tokens: int
) -> int | None:
    """Weights plus the keys and values of one full context; None where it cannot be told."""
    if engine.kind in {"replay", "openai"} or model.parameters is None:
        return None
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    if args.get("quantization") or args.get("cpu_offload_gb"):
        return None
    width = _BYTES_PER_PARAMETER.get(str(getattr(engine, "dtype", "auto")), 2)
    cache = 0 if model.shape is None else model.shape.kv_bytes_per_token(width) * context_tokens
    return model.parameters * width + cache


def check_disk(folder: Path) -> None:
    """Checks that there is room to write at all.

    Raises:
        StoreError: There is not.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        raise StoreError(
            f"results_dir={folder}: {free >> 20} MiB free there, "
            f"a run needs at least {LEAST_FREE_BYTES >> 20} MiB"
        )
