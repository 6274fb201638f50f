"""Compares the device's memory with the plan's weights, keys and values."""

from typing import NamedTuple

from harness.config.settings import RunConfig
from harness.engines.build import BaseEngineConfig
from harness.errors import UnavailableError
from harness.machine import hardware
from harness.machine.provenance import Provenance
from harness.models import ModelConfig
from harness.runner.preflight.sizes import sizes_of


class FreeMemory(NamedTuple):
    """Memory that is free at this moment."""

    cpu_bytes: int
    gpu_bytes: tuple[int, ...] | None
    """Free bytes of each GPU that this process may use (may be empty); None where unknown."""


class MemoryPlan(NamedTuple):
    """The memory that a run needs, and what the device has."""

    weights_bytes: int
    context_bytes: int
    """Bytes of keys and values of one full context; 0 where the model's shape is unknown."""
    device: str
    total_bytes: int
    free_bytes: int
    """How much of the total is free at this moment."""
    on_cpu: bool
    cache_bytes: int
    """Bytes left for keys and values beside weights and the engine's overhead; may be negative."""
    at_once: int
    """Requests that the engine serves at once if their answers are short."""

    @property
    def contexts(self) -> int | None:
        """Full contexts that fit at once; None where the model's shape is unknown."""
        return None if not self.context_bytes else max(0, self.cache_bytes // self.context_bytes)


def check_requirements(config: RunConfig, machine: Provenance) -> None:
    """Compares the machine with the experiment's requirements.

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
    engine: BaseEngineConfig,
    context_tokens: int,
    concurrent: int = 1,
    *,
    on_cpu: bool = False,
) -> int | None:
    """Bytes of weights plus the keys and values of full contexts; None where unknown.

    Args:
        model: With its parameters and, for keys and values, its shape.
        engine: Its dtype and quantisation count.
        context_tokens: Of one request, prompt and output.
        concurrent: How many such contexts are there at once.
        on_cpu: On the CPU of this machine, which may not multiply bfloat16.
    """
    weights = _weights_bytes(model, engine, on_cpu=on_cpu)
    if weights is None:
        return None
    return weights + concurrent * _context_bytes(model, engine, context_tokens, on_cpu=on_cpu)


def is_on_cpu(engine: BaseEngineConfig, machine: Provenance, free: FreeMemory) -> bool:
    """Whether this machine computes on its CPU: there is no GPU, or none that the run may use."""
    return engine.asks_for_cpu or free.gpu_bytes == () or not machine.gpus


def free_memory() -> FreeMemory:
    """Reads the free memory now."""
    return FreeMemory(hardware.available_memory_bytes(), hardware.gpu_free_bytes())


def plan_memory(
    config: RunConfig, machine: Provenance, free: FreeMemory | None = None
) -> MemoryPlan | None:
    """The plan's memory; None where sizes are unknown or the model runs on a server.

    Args:
        config: The run's.
        machine: What it has in all.
        free: What of it is free; None: read now.
    """
    engine, found = config.engine, free or free_memory()
    on_cpu = is_on_cpu(engine, machine, found)
    weights = _weights_bytes(config.model, engine, on_cpu=on_cpu)
    if weights is None:
        return None
    tokens = config.protocol.context_tokens
    context = _context_bytes(config.model, engine, tokens, on_cpu=on_cpu)
    if on_cpu:
        return _cpu_plan(config, machine, weights, context, found.cpu_bytes)
    shards, first = engine.replica_size, machine.gpus[0]
    sizes = [gpu.memory_bytes for gpu in machine.gpus[:shards]]
    if None in sizes:
        return None  # memory shared with the CPU has no separate size
    total = sum(size for size in sizes if size is not None)
    unused = total if found.gpu_bytes is None else sum(found.gpu_bytes[:shards])
    fraction = engine.gpu_fraction
    usable = unused if fraction is None else min(unused, int(total * fraction))
    shape = sizes_of(config.model).shape
    if shape is not None:
        usable -= engine.overhead_bytes(shape, first.name, first.memory_bytes or 0)
    return MemoryPlan(
        weights_bytes=weights,
        context_bytes=context,
        device=f"{shards} x {first.name}",
        total_bytes=total,
        free_bytes=unused,
        on_cpu=False,
        cache_bytes=usable - weights,
        at_once=engine.requests_at_once(tokens, first.name, first.memory_bytes),
    )


def _cpu_plan(
    config: RunConfig, machine: Provenance, weights: int, context: int, free: int
) -> MemoryPlan:
    free = min(free, machine.memory_bytes)
    cache, limit = free - weights, config.engine.cpu_cache_bytes
    return MemoryPlan(
        weights_bytes=weights,
        context_bytes=context,
        device=f"this machine ({machine.cpu})",
        total_bytes=machine.memory_bytes,
        free_bytes=free,
        on_cpu=True,
        cache_bytes=cache if limit is None else min(cache, limit),
        at_once=config.engine.requests_at_once(config.protocol.context_tokens, "", None),
    )


def check_memory(config: RunConfig, machine: Provenance, free: FreeMemory | None = None) -> None:
    """Compares weights and one full context with the device's total and free memory.

    Checks nothing where sizes or quantisation are unknown, or for a replayed run.

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
            f"{what}, of which {plan.free_bytes / 1e9:.1f} GB are free now; stop "
            "the processes that use the rest"
        )
    if plan.cache_bytes < plan.context_bytes:
        raise UnavailableError(_too_small_a_cache(config, plan))
    if not plan.on_cpu and config.engine.gpu_fraction is not None:
        _check_gpu_fraction(config.engine.gpu_fraction, plan)


def _too_small_a_cache(config: RunConfig, plan: MemoryPlan) -> str:
    tokens, one = config.protocol.context_tokens, plan.context_bytes
    what = f"one context of {tokens} tokens takes {one / 1e9:.1f} GB of keys and values"
    return config.engine.cache_advice(what, one, plan.cache_bytes, on_cpu=plan.on_cpu)


def _check_gpu_fraction(fraction: float, plan: MemoryPlan) -> None:
    """Refuses a GPU share that is not free: vLLM would not start."""
    if plan.free_bytes >= plan.total_bytes * fraction:
        return
    fitting = int(100 * plan.free_bytes / plan.total_bytes) / 100
    raise UnavailableError(
        f"engine.args.gpu_memory_utilization={fraction:g}: vllm would take "
        f"{plan.total_bytes * fraction / 1e9:.0f} GB of {plan.device}, where "
        f"{plan.free_bytes / 1e9:.0f} GB are free now; stop the processes that use the rest, or "
        f"+engine.args.gpu_memory_utilization={fitting:g}"
    )


def memory_notes(plan: MemoryPlan, config: RunConfig, requests: int | None = None) -> list[str]:
    """Notes on a plan that runs, but slower than expected.

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
    note = config.engine.batch_note(batch, plan.contexts) if plan.contexts < batch else None
    return [] if note is None else [note]


def _weights_bytes(model: ModelConfig, engine: BaseEngineConfig, *, on_cpu: bool) -> int | None:
    parameters = sizes_of(model).parameters
    return None if parameters is None else engine.weights_bytes(parameters, on_cpu=on_cpu)


def _context_bytes(
    model: ModelConfig, engine: BaseEngineConfig, context_tokens: int, *, on_cpu: bool
) -> int:
    shape = sizes_of(model).shape
    if shape is None:
        return 0
    return engine.cache_bytes_per_token(shape, on_cpu=on_cpu) * context_tokens
