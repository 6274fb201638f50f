"""vLLM's batch limits and its share of the memory, where the user does not set them."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.engines.vllm_args import replica_size, whole_number
from harness.engines.vllm_environment import missing_settings
from harness.errors import ConfigError
from harness.models import ModelShape
from harness.models.memory import activation_bytes, sampler_bytes

GIB = 1 << 30
LARGE_BYTES, LARGEST_BYTES = 70 * GIB, 160 * GIB
VLLM_GPU_FRACTION = 0.92
"""The default ``gpu_memory_utilization`` of vLLM 0.32."""
GRAPHS_BYTES = GIB
"""CUDA graphs, the context of each library, communication: 0.6 to 1.5 GB in vLLM's own reports."""
BITS_PER_WEIGHT = {"fp8": 8, "fp8_per_tensor": 8}
"""Bits per weight of the quantisations that are known."""
FP8_BYTES = 1
"""Bytes of a cached value in FP8."""
CPU_CACHE_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"


class Batch(NamedTuple):
    """The largest batch that vLLM computes in one step."""

    tokens: int
    sequences: int


def default_batch(
    args: Mapping[str, Any], gpu_name: str, gpu_bytes: int | None, *, is_server: bool
) -> Batch:
    """The default of vLLM 0.32 and 0.33 (``EngineArgs.get_batch_defaults``), or the user's.

    Args:
        args: vLLM's.
        gpu_name: Of one GPU.
        gpu_bytes: Of one GPU; None: on a CPU.
        is_server: As vLLM's server, else as its ``LLM`` class.

    Raises:
        ConfigError: ``max_num_seqs`` is no whole number from 1.
    """
    if gpu_bytes is None:
        processes = replica_size(args)
        batch = Batch(
            (2_048 if is_server else 4_096) * processes, (128 if is_server else 256) * processes
        )
    elif gpu_bytes >= LARGEST_BYTES:
        batch = Batch(16_384, 1_024)
    elif gpu_bytes >= LARGE_BYTES and "a100" not in gpu_name.lower():
        batch = Batch(8_192 if is_server else 16_384, 1_024)
    else:
        batch = Batch(2_048 if is_server else 8_192, 256)
    tokens = args.get("max_num_batched_tokens")
    return Batch(
        tokens if isinstance(tokens, int) else batch.tokens,
        whole_number(args, "max_num_seqs", batch.sequences),
    )


def gpu_fraction(args: Mapping[str, Any]) -> float:
    """The share of a GPU's memory that vLLM takes.

    Raises:
        ConfigError: It is no share.
    """
    value = args.get("gpu_memory_utilization")
    if value is None:
        return VLLM_GPU_FRACTION
    if not isinstance(value, int | float) or not 0 < value <= 1:
        raise ConfigError(
            f"engine.args.gpu_memory_utilization={value}: should be above 0 and up to 1"
        )
    return float(value)


def overhead_bytes(args: Mapping[str, Any], batch: Batch, shape: ModelShape) -> int:
    """Estimated bytes of activations, sampler and graphs, on all GPUs of one copy."""
    gpus = replica_size(args)
    activations = activation_bytes(shape, batch.tokens, gpus)
    sampler = sampler_bytes(shape, min(batch.sequences, batch.tokens), gpus)
    return activations + sampler + GRAPHS_BYTES * gpus


def cpu_cache_bytes(args: Mapping[str, Any]) -> int:
    """Bytes that vLLM reserves for keys and values on a CPU."""
    text = os.environ.get(CPU_CACHE_VARIABLE) or missing_settings(args).get(CPU_CACHE_VARIABLE, "2")
    return int(text) * GIB if text.isdigit() else 0
