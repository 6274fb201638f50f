"""What vLLM keeps of a GPU's memory for its own work, beside weights, keys and values."""

from harness.engines.build import EngineConfig, VllmKnobs
from harness.engines.vllm_args import replica_size
from harness.errors import ConfigError
from harness.models import ModelShape
from harness.run.preflight.batch import GIB, default_batch

VLLM_GPU_FRACTION = 0.92
"""``gpu_memory_utilization`` of vLLM 0.32, where nobody sets it."""
GRAPHS_BYTES = GIB
"""CUDA graphs, the context of each library, communication: 0.6 to 1.5 GB in vLLM's own reports."""
_BYTES_PER_VALUE = 2
_SAMPLER_BYTES = 20
"""Of one logit: itself in float32, sorted in float32 with its place, its probability, a copy."""


def gpu_fraction(engine: EngineConfig) -> float:
    """The share of a GPU's memory that vLLM takes.

    Raises:
        ConfigError: It is no share.
    """
    value = engine.args.get("gpu_memory_utilization") if isinstance(engine, VllmKnobs) else None
    if value is None:
        return VLLM_GPU_FRACTION
    if not isinstance(value, int | float) or not 0 < value <= 1:
        raise ConfigError(
            f"engine.args.gpu_memory_utilization={value}: should be above 0 and up to 1"
        )
    return float(value)


def overhead_bytes(engine: VllmKnobs, shape: ModelShape, gpu_name: str, gpu_bytes: int) -> int:
    """An estimate for all GPUs of one copy: activations of a full step, the sampler, graphs.

    The activations of a step are those of its widest layer: gate, up and product of the MLP, and
    four times the hidden state.
    """
    batch = default_batch(engine, gpu_name, gpu_bytes)
    gpus = replica_size(engine.args)
    wide = 3 * shape.ffn + 4 * shape.hidden * gpus
    activations = batch.tokens * wide * _BYTES_PER_VALUE
    sampler = min(batch.sequences, batch.tokens) * shape.vocab * _SAMPLER_BYTES * gpus
    return activations + sampler + GRAPHS_BYTES * gpus
