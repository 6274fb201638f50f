"""What vLLM keeps of a GPU's memory for its own work, beside weights, keys and values."""

from typing import NamedTuple

from harness.engines.vllm_args import replica_size
from harness.engines.vllm_engine import VllmConfig, VllmKnobs
from harness.models import ModelShape

GIB = 1 << 30
LARGE_BYTES, LARGEST_BYTES = 70 * GIB, 160 * GIB
GRAPHS_BYTES = GIB
"""CUDA graphs, the context of each library, communication: 0.6 to 1.5 GB in vLLM's own reports."""
_BYTES_PER_VALUE = 2
_SAMPLER_BYTES = 20
"""Of one logit: itself in float32, sorted in float32 with its place, its probability, a copy."""


class Batch(NamedTuple):
    """The largest batch that vLLM computes in one step."""

    tokens: int
    sequences: int


def default_batch(engine: VllmKnobs, gpu_name: str, gpu_bytes: int) -> Batch:
    """What vLLM 0.32 and 0.33 take by default (``EngineArgs.get_batch_defaults``), or the user's.

    Args:
        engine: In process it counts as vLLM's ``LLM`` class, else as its server.
        gpu_name: Of one GPU.
        gpu_bytes: Of one GPU.
    """
    is_offline = isinstance(engine, VllmConfig)
    if gpu_bytes >= LARGEST_BYTES:
        batch = Batch(16_384, 1_024)
    elif gpu_bytes >= LARGE_BYTES and "a100" not in gpu_name.lower():
        batch = Batch(16_384 if is_offline else 8_192, 1_024)
    else:
        batch = Batch(8_192 if is_offline else 2_048, 256)
    tokens, sequences = (
        engine.args.get(name) for name in ("max_num_batched_tokens", "max_num_seqs")
    )
    return Batch(
        tokens if isinstance(tokens, int) else batch.tokens,
        sequences if isinstance(sequences, int) else batch.sequences,
    )


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
