"""The device's memory against weights, keys and values of the plan."""

import os
from typing import NamedTuple

from harness.config.settings import RunConfig
from harness.engines.build import EngineConfig, TransformersConfig
from harness.engines.vllm_args import VllmKnobs, replica_size
from harness.engines.vllm_environment import missing_settings
from harness.errors import UnavailableError
from harness.machine import hardware
from harness.machine.provenance import Provenance
from harness.models import ModelConfig
from harness.run.preflight.batch import requests_at_once
from harness.run.preflight.overhead import gpu_fraction, overhead_bytes
from harness.run.preflight.sizes import sizes_of

_BYTES_PER_VALUE = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
_ONE_BYTE = ("fp8", "fp8_per_tensor")


class FreeMemory(NamedTuple):
    """What nobody holds at this moment."""

    cpu_bytes: int
    gpu_bytes: tuple[int, ...] | None
    """Of each GPU that this process may use, which may be none; None where nobody tells."""


class MemoryPlan(NamedTuple):
    """What a run wants of its device, and what the device has."""

    weights_bytes: int
    context_bytes: int
    """Keys and values of one full context; 0 where the model's shape is unknown."""
    device: str
    total_bytes: int
    free_bytes: int
    """Of the total, at this moment."""
    cache_bytes: int
    """What weights and the engine's own work leave for keys and values; below 0: nothing."""
    at_once: int
    """Requests that the engine serves at once, if their answers are short."""

    @property
    def contexts(self) -> int | None:
        """Full contexts that fit at once; None where the model's shape is unknown."""
        return None if not self.context_bytes else max(0, self.cache_bytes // self.context_bytes)


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


def memory_needed_bytes(
    model: ModelConfig,
    engine: EngineConfig,
    context_tokens: int,
    concurrent: int = 1,
    *,
    on_cpu: bool = False,
) -> int | None:
    """Weights plus the keys and values of full contexts; None where it cannot be told.

    Args:
        model: With its parameters and, for keys and values, its shape.
        engine: Its dtype and quantisation count.
        context_tokens: Of one request, prompt and output.
        concurrent: How many such contexts are there at once.
        on_cpu: On the CPU of this machine, which may not multiply bfloat16.
    """
    width = _width(engine, on_cpu=on_cpu)
    weights = _weights_bytes(model, engine, width)
    if weights is None:
        return None
    return weights + concurrent * _context_bytes(model, engine, context_tokens, width)


def is_on_cpu(engine: EngineConfig, machine: Provenance, free: FreeMemory) -> bool:
    """Whether this machine computes on its CPU: there is no GPU, or none that the run may use."""
    is_cpu = getattr(engine, "device", "auto") == "cpu" or free.gpu_bytes == ()
    return is_cpu or not machine.gpus


def free_memory() -> FreeMemory:
    """Reads it now."""
    return FreeMemory(hardware.available_memory_bytes(), hardware.gpu_free_bytes())


def plan_memory(
    config: RunConfig, machine: Provenance, free: FreeMemory | None = None
) -> MemoryPlan | None:
    """The plan's memory; None where sizes are unknown, or the model is somebody else's.

    Args:
        config: The run's.
        machine: What it has in all.
        free: What of it is free; None: read now.
    """
    engine, found = config.engine, free or free_memory()
    on_cpu = is_on_cpu(engine, machine, found)
    width = _width(engine, on_cpu=on_cpu)
    weights = _weights_bytes(config.model, engine, width)
    if weights is None:
        return None
    context = _context_bytes(config.model, engine, config.protocol.context_tokens, width)
    if on_cpu:
        return _cpu_plan(config, machine, weights, context, found.cpu_bytes)
    shards, first = gpu_count(engine), machine.gpus[0]
    sizes = [gpu.memory_bytes for gpu in machine.gpus[:shards]]
    if None in sizes:
        return None  # memory that the driver shares with the CPU has no size of its own
    total = sum(size for size in sizes if size is not None)
    unused = total if found.gpu_bytes is None else sum(found.gpu_bytes[:shards])
    usable = unused
    if isinstance(engine, VllmKnobs):
        usable = min(unused, int(total * gpu_fraction(engine)))
        shape = sizes_of(config.model).shape
        if shape is not None:
            usable -= overhead_bytes(engine, shape, first.name, first.memory_bytes or 0)
    device = f"{shards} x {first.name}"
    at_once = requests_at_once(config, first.name, first.memory_bytes)
    return MemoryPlan(weights, context, device, total, unused, usable - weights, at_once)


def _cpu_plan(
    config: RunConfig, machine: Provenance, weights: int, context: int, free: int
) -> MemoryPlan:
    free = min(free, machine.memory_bytes)
    cache = free - weights
    if isinstance(config.engine, VllmKnobs):
        cache = min(cache, _cpu_cache_bytes(config.engine))
    device = f"this machine ({machine.cpu})"
    at_once = requests_at_once(config, "", None)
    return MemoryPlan(weights, context, device, machine.memory_bytes, free, cache, at_once)


def check_memory(config: RunConfig, machine: Provenance, free: FreeMemory | None = None) -> None:
    """Compares weights and one full context with the memory there is, and is free.

    Says nothing where it cannot know: unknown sizes, unknown quantisation, a replayed run.

    Raises:
        UnavailableError: The device is too small; says by how much and what would be right.
    """
    plan = plan_memory(config, machine, free)
    if plan is None:
        return
    needed = plan.weights_bytes + plan.context_bytes
    tokens = config.protocol.context_tokens
    what = (
        f"model={config.model.name} needs about {needed / 1e9:.0f} GB for its weights and one "
        f"context of {tokens} tokens, {plan.device} has {plan.total_bytes / 1e9:.0f} GB"
    )
    if needed > plan.total_bytes:
        raise UnavailableError(
            f"{what}; use a smaller model, +engine.args.quantization=… or "
            "+engine.args.tensor_parallel_size=…"
        )
    if needed > plan.free_bytes:
        raise UnavailableError(
            f"{what}, of which {plan.free_bytes / 1e9:.1f} GB are free now; end what holds the rest"
        )
    if plan.cache_bytes < plan.context_bytes:
        raise UnavailableError(_too_small_a_cache(config, plan))
    if isinstance(config.engine, VllmKnobs) and plan.device.partition(" ")[0].isdigit():
        _check_gpu_fraction(config.engine, plan)


def _too_small_a_cache(config: RunConfig, plan: MemoryPlan) -> str:
    tokens, one = config.protocol.context_tokens, plan.context_bytes
    what = f"one context of {tokens} tokens takes {one / 1e9:.1f} GB of keys and values"
    if plan.device.startswith("this machine"):
        return (
            f"VLLM_CPU_KVCACHE_SPACE={_cpu_cache_bytes(config.engine) >> 30}: {what}; set this "
            f"environment variable to {-(-one // (1 << 30))} (GiB) or more"
        )
    return (
        f"engine.args.gpu_memory_utilization={gpu_fraction(config.engine):g}: {what}, "
        f"{max(0, plan.cache_bytes) / 1e9:.1f} GB are left for them beside weights and "
        "activations; raise it, use more GPUs, or lower protocol.max_new_tokens"
    )


def _check_gpu_fraction(engine: EngineConfig, plan: MemoryPlan) -> None:
    """Refuses a share that is not free: vLLM would not start."""
    fraction = gpu_fraction(engine)
    if plan.free_bytes >= plan.total_bytes * fraction:
        return
    fitting = int(100 * plan.free_bytes / plan.total_bytes) / 100
    raise UnavailableError(
        f"engine.args.gpu_memory_utilization={fraction:g}: vllm would take "
        f"{plan.total_bytes * fraction / 1e9:.0f} GB of {plan.device}, where "
        f"{plan.free_bytes / 1e9:.0f} GB are free now; end what holds the rest, or "
        f"+engine.args.gpu_memory_utilization={fitting:g}"
    )


def memory_notes(plan: MemoryPlan, config: RunConfig, requests: int | None = None) -> list[str]:
    """What will run, and slower than one might think.

    Args:
        plan: Of one that is not refused.
        config: The run's.
        requests: In all; None: unknown.
    """
    if plan.contexts is None or requests == 1:
        return []
    tokens = config.protocol.context_tokens
    if plan.contexts <= 1:
        return [
            f"only one context of {tokens} tokens fits beside the weights: requests with long "
            "answers run one at a time"
        ]
    batch = min(plan.at_once, requests or plan.at_once)
    if isinstance(config.engine, TransformersConfig) and plan.contexts < batch:
        return [
            f"a batch of {batch} full contexts does not fit, {plan.contexts} do: it is halved when "
            f"memory runs out; engine.max_batch_size={plan.contexts} spares that"
        ]
    return []


def gpu_count(engine: EngineConfig) -> int:
    """GPUs over which one copy of the model is spread."""
    return replica_size(engine.args) if isinstance(engine, VllmKnobs) else 1


def _cpu_cache_bytes(engine: EngineConfig) -> int:
    """What vLLM sets aside on a CPU."""
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    name = "VLLM_CPU_KVCACHE_SPACE"
    text = os.environ.get(name) or missing_settings(args).get(name, "2")
    return int(text) << 30 if text.isdigit() else 0


def _weights_bytes(model: ModelConfig, engine: EngineConfig, width: int) -> int | None:
    parameters = sizes_of(model).parameters
    if engine.kind in {"replay", "openai"} or parameters is None:
        return None
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    quantization = args.get("quantization")
    if args.get("cpu_offload_gb") or quantization not in (None, *_ONE_BYTE):
        return None
    return parameters * (1 if quantization in _ONE_BYTE else width)


def _context_bytes(
    model: ModelConfig, engine: EngineConfig, context_tokens: int, width: int
) -> int:
    shape = sizes_of(model).shape
    if shape is None:
        return 0
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    is_small = str(args.get("kv_cache_dtype", "auto")).startswith("fp8")
    return shape.kv_bytes_per_token(1 if is_small else width) * context_tokens


def _width(engine: EngineConfig, *, on_cpu: bool) -> int:
    """Bytes of a value that is not quantised."""
    dtype = getattr(engine, "dtype", "auto")
    is_quantized = isinstance(engine, VllmKnobs) and engine.args.get("quantization")
    if on_cpu and dtype == "auto" and not is_quantized and not hardware.cpu_has_bfloat16():
        dtype = "float32"  # as both engines choose it there
    return _BYTES_PER_VALUE.get(dtype, 2)
