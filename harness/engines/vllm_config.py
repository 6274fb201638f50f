"""What can be set of vLLM, in process or as a server, and what follows from it."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from harness.engines.config import BaseEngineConfig, Draft, Speed
from harness.engines.vllm_args import check_args, is_ray, replica_size, world_size
from harness.engines.vllm_draft import check_draft, draft_model, speculation
from harness.engines.vllm_memory import (
    BITS_PER_WEIGHT,
    FP8_BYTES,
    GIB,
    Batch,
    cpu_cache_bytes,
    default_batch,
    gpu_fraction,
    overhead_bytes,
)
from harness.errors import UnavailableError
from harness.models import ModelShape
from harness.models.memory import kv_bytes_per_token, weight_bytes

_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
# Step and sequence are set so that nine published speeds of vLLM on an H100 come out within a
# tenth (tests/unit/test_duration.py has them, with their sources), the fraction by this project's
# baselines on two cores. Starting: 39 s are known for an 8B, 34 s for a small one with everything
# compiled before.
VLLM_SPEED = Speed(step_s=1.7e-3, sequence_s=0.05e-3, cpu_flops_fraction=0.55, start_s=40.0)


class VllmKnobs(BaseEngineConfig):
    """What can be set of vLLM, in process or as a server."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: the checkpoint's own, half precision for one in float32 (vLLM's rule); float32 on a CPU
    that does not multiply bfloat16."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any of vLLM's ``AsyncEngineArgs``, spelled as there: ``gpu_memory_utilization``,
    ``tensor_parallel_size``, ``max_num_seqs``, ``quantization``, ``enforce_eager`` …"""

    is_server: ClassVar[bool]
    """vLLM chooses other batch limits as a server than in process."""

    def resolved(self) -> tuple[BaseEngineConfig, str]:
        """The same once vLLM knows all arguments.

        Raises:
            ConfigError: vLLM has no such argument.
            UnavailableError: vLLM is not installed.
        """
        check_args(self.args)
        return super().resolved()

    @property
    def native_args(self) -> Mapping[str, Any]:
        """VLLM's own arguments."""
        return self.args

    @property
    def reads_every_weight_file(self) -> bool:
        """Where nothing else is asked for."""
        return "load_format" not in self.args

    @property
    def context_advice(self) -> str:
        """VLLM has a switch of its own."""
        return (
            ", and vLLM takes more only with the environment variable "
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1; its numbers may be NaN from there on"
        )

    def draft(self) -> Draft | None:
        """Of ``speculative_config``; n-gram drafts need no model."""
        return draft_model(self.args)

    def check_draft(self) -> None:
        """Refuses one without safetensors."""
        check_draft(self.args)

    @property
    def speculation(self) -> Mapping[str, Any] | None:
        """``speculative_config``."""
        return speculation(self.args) or None

    @property
    def replica_size(self) -> int:
        """Devices that one copy of the model lies on."""
        return replica_size(self.args)

    @property
    def world_size(self) -> int:
        """Devices of all copies."""
        return world_size(self.args)

    def check_devices(self, there: int) -> None:
        """Compares vLLM's sizes with the GPUs; without GPUs, or over machines, they are others."""
        if there == 0 or self._spans_machines():
            return
        wanted = self.world_size
        if wanted > there:
            sizes = [(name, self.args[name]) for name in _SIZES if name in self.args]
            given = " x ".join(f"engine.args.{name}={size}" for name, size in sizes)
            raise UnavailableError(f"{given}: needs {wanted} GPUs, this process may use {there}")

    def _spans_machines(self) -> bool:
        """Whether vLLM itself reaches over machines."""
        given = self.args
        is_elsewhere = bool(given.get("data_parallel_address") or given.get("nnodes", 1) != 1)
        return is_elsewhere or is_ray(given)

    @property
    def speed(self) -> Speed:
        """CUDA graphs and compiled kernels."""
        return VLLM_SPEED

    def default_batch(self, gpu_name: str, gpu_bytes: int | None) -> Batch:
        """The largest batch of one step; arguments as of ``requests_at_once``."""
        return default_batch(self.args, gpu_name, gpu_bytes, is_server=self.is_server)

    def requests_at_once(self, context_tokens: int, gpu_name: str, gpu_bytes: int | None) -> int:
        """VLLM's ``max_num_seqs``."""
        del context_tokens
        return self.default_batch(gpu_name, gpu_bytes).sequences

    @property
    def batch_size(self) -> int | None:
        """``max_num_seqs``."""
        return self.args.get("max_num_seqs")

    def with_batch_size(self, size: int) -> Self | None:
        """The same with another ``max_num_seqs``."""
        return self.model_copy(update={"args": {**self.args, "max_num_seqs": size}})

    @property
    def asked_dtype(self) -> str:
        """As set."""
        return self.dtype

    @property
    def quantization(self) -> str | None:
        """VLLM's argument of that name."""
        value = self.args.get("quantization")
        return None if value is None else str(value)

    @property
    def cache_dtype(self) -> str:
        """``kv_cache_dtype``."""
        return str(self.args.get("kv_cache_dtype", "auto"))

    def weights_bytes(self, parameters: int, *, on_cpu: bool) -> int | None:
        """Unknown where some of them stay on the CPU, and for most quantisations."""
        if self.args.get("cpu_offload_gb"):
            return None
        if self.quantization is None:
            return super().weights_bytes(parameters, on_cpu=on_cpu)
        bits = BITS_PER_WEIGHT.get(self.quantization)
        return None if bits is None else int(weight_bytes(parameters, bits))

    def cache_bytes_per_token(self, shape: ModelShape, *, on_cpu: bool) -> int:
        """Half as much where keys and values are FP8."""
        if self.cache_dtype.startswith("fp8"):
            return kv_bytes_per_token(shape, FP8_BYTES)
        return super().cache_bytes_per_token(shape, on_cpu=on_cpu)

    def overhead_bytes(self, shape: ModelShape, gpu_name: str, gpu_bytes: int) -> int:
        """Activations, sampler and graphs."""
        return overhead_bytes(self.args, self.default_batch(gpu_name, gpu_bytes), shape)

    @property
    def gpu_fraction(self) -> float:
        """``gpu_memory_utilization``."""
        return gpu_fraction(self.args)

    @property
    def cpu_cache_bytes(self) -> int:
        """As an environment variable says."""
        return cpu_cache_bytes(self.args)

    def cache_advice(self, what: str, one_bytes: int, left_bytes: int, *, on_cpu: bool) -> str:
        """Which setting gives the cache more."""
        if on_cpu:
            return (
                f"VLLM_CPU_KVCACHE_SPACE={self.cpu_cache_bytes // GIB}: {what}; set this "
                f"environment variable to {-(-one_bytes // GIB)} (GiB) or more"
            )
        return (
            f"engine.args.gpu_memory_utilization={self.gpu_fraction:g}: {what}, "
            f"{max(0, left_bytes) / 1e9:.1f} GB are left for them beside weights and "
            "activations; raise it, use more GPUs, or lower protocol.max_new_tokens"
        )
