"""How many requests an engine computes at once, where the user does not say: its own defaults."""

from typing import NamedTuple

from harness.config.settings import RunConfig
from harness.engines.build import TransformersConfig, VllmConfig, VllmKnobs
from harness.engines.vllm_args import replica_size, whole_number

GIB = 1 << 30
LARGE_BYTES, LARGEST_BYTES = 70 * GIB, 160 * GIB


class Batch(NamedTuple):
    """The largest batch that vLLM computes in one step."""

    tokens: int
    sequences: int


def default_batch(engine: VllmKnobs, gpu_name: str, gpu_bytes: int | None) -> Batch:
    """What vLLM 0.32 and 0.33 take by default (``EngineArgs.get_batch_defaults``), or the user's.

    Args:
        engine: In process it counts as vLLM's ``LLM`` class, else as its server.
        gpu_name: Of one GPU.
        gpu_bytes: Of one GPU; None: on a CPU.

    Raises:
        ConfigError: ``max_num_seqs`` is no whole number from 1.
    """
    is_offline = isinstance(engine, VllmConfig)
    if gpu_bytes is None:
        processes = replica_size(engine.args)
        batch = Batch(
            (4_096 if is_offline else 2_048) * processes, (256 if is_offline else 128) * processes
        )
    elif gpu_bytes >= LARGEST_BYTES:
        batch = Batch(16_384, 1_024)
    elif gpu_bytes >= LARGE_BYTES and "a100" not in gpu_name.lower():
        batch = Batch(16_384 if is_offline else 8_192, 1_024)
    else:
        batch = Batch(8_192 if is_offline else 2_048, 256)
    tokens = engine.args.get("max_num_batched_tokens")
    return Batch(
        tokens if isinstance(tokens, int) else batch.tokens,
        whole_number(engine.args, "max_num_seqs", batch.sequences),
    )


def requests_at_once(config: RunConfig, gpu_name: str, gpu_bytes: int | None) -> int:
    """Requests that one copy of the model serves at once, if their answers are short.

    Args:
        config: The run's.
        gpu_name: Of one GPU.
        gpu_bytes: Of one GPU; None: on a CPU.

    Raises:
        ConfigError: ``max_num_seqs`` is no whole number from 1.
    """
    engine = config.engine
    if isinstance(engine, TransformersConfig):
        by_tokens = engine.batch_tokens // config.protocol.context_tokens
        return max(1, min(engine.max_batch_size, by_tokens))
    if isinstance(engine, VllmKnobs):
        return default_batch(engine, gpu_name, gpu_bytes).sequences
    return 1
