"""Settings of vLLM that only environment variables can set."""

import os
from collections.abc import Mapping
from typing import Any

from harness.machine import hardware

LOGGING_VARIABLES = ("VLLM_LOGGING_CONFIG_PATH", "VLLM_CONFIGURE_LOGGING")
"""With one of these set, the user decides what vLLM logs, and where to."""
# With at most this many cores, all of them compute: vLLM would keep one of two for its server.
FEW_CORES = 4


def missing_settings(args: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables that vLLM needs and the user has not set."""
    wanted = {
        # At WARNING it writes some two hundred lines about a small model on a CPU; what makes it
        # fail is raised, and ends up in our own line.
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TORCH_LOGS": "-all",
        "PYTHONWARNINGS": "ignore",
        # Seconds that vLLM waits for its processes to end; its default of 5 s can be too short.
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "20",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # FlashInfer compiles its sampler with nvcc while vLLM starts, which fails on a machine
        # that has no CUDA toolkit. It would not be used: vLLM samples requests that carry a seed,
        # as all here do, without it.
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        # A fork of a process with threads can hang.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    draft = args.get("speculative_config")
    if isinstance(draft, Mapping) and draft.get("max_model_len"):
        # vLLM's older runner stops drafting, for a whole batch, as soon as one answer outgrows the
        # length that the draft head was trained with. Given a longer one, it widens its positions.
        wanted["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
    if hardware.cuda_devices() == 0:
        wanted["VLLM_CPU_KVCACHE_SPACE"] = "2"  # GiB
        # A GPU would wait in each step for the count.
        wanted["VLLM_COMPUTE_NANS_IN_LOGITS"] = "1"
        cores = hardware.usable_cores()
        if len(cores) <= FEW_CORES and args.get("tensor_parallel_size", 1) == 1:
            wanted["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    return {name: value for name, value in wanted.items() if name not in os.environ}
