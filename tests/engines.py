"""An engine as a session records it, made up."""

from typing import Any

from harness.records import EngineInfo


def made_up_engine(**changes: Any) -> EngineInfo:
    """vLLM on one GPU, but for the changes."""
    fields: dict[str, Any] = {
        "name": "vllm",
        "version": "0.32.0",
        "device": "cuda",
        "device_name": "NVIDIA H200",
        "device_count": 1,
        "dtype": "bfloat16",
        "model_path": "/m",
        "weights_revision": None,
        "weights_sha256": None,
        "load_s": None,
        "peak_memory_bytes": None,
    }
    return EngineInfo(**fields | changes)
