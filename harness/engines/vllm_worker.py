"""A mixin for vLLM's worker (``worker_extension_cls``), for facts that only the worker knows.

Runs in vLLM's process, beside the model; imports nothing of the harness but this file.

Runs in vLLM's process, beside the model; imports nothing of the harness but this file.
"""

from typing import Any

QUALIFIED_NAME = "harness.engines.vllm_worker.WorkerSettings"
METHOD = "gegenprobe_settings"


class WorkerSettings:
    """Adds one method to vLLM's worker, for ``collective_rpc``."""

    vllm_config: Any

    def gegenprobe_settings(self) -> dict[str, str | int | None]:
        """Settings decided when the model was loaded, later than vLLM's own configuration."""
        compilation = self.vllm_config.compilation_config
        layers = compilation.static_forward_context.values()
        backends = {
            layer.get_attn_backend().get_name()
            for layer in layers
            if hasattr(layer, "get_attn_backend")
        }
        return {
            "attention_backend": ", ".join(sorted(backends)) or None,
            # A backend that cannot be captured whole lowers the mode.
            "cudagraph_mode": getattr(compilation.cudagraph_mode, "name", None),
            "block_size": self.vllm_config.cache_config.block_size,
        }
