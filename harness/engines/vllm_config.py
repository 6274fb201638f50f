"""Settings of vLLM, in process or as a server, and what follows from them."""

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
    """Settings of vLLM, in process or as a server."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: the checkpoint's own, half precision for one in float32 (vLLM's rule); float32 on a CPU
    that does not multiply bfloat16."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any of vLLM's ``AsyncEngineArgs``, spelled as there: ``gpu_memory_utilization``,
    ``tensor_parallel_size``, ``max_num_seqs``, ``quantization``, ``enforce_eager`` …"""

    is_server: ClassVar[bool]
    """Whether vLLM runs as a server, where it chooses other batch limits than in process."""

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
        """The setting ``args``."""
        return self.args

    @property
    def reads_every_weight_file(self) -> bool:
        """True unless the user sets ``load_format``."""
        return "load_format" not in self.args

    @property
    def context_advice(self) -> str:
        """The advice for vLLM's environment variable that allows a longer context."""
        return (
            ", and vLLM takes more only with the environment variable "
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1; its numbers may be NaN from there on"
        )

    def draft(self) -> Draft | None:
        """The model in ``speculative_config``; n-gram drafts need none."""
        return draft_model(self.args)

    def check_draft(self) -> None:
        """Refuses a draft without safetensors."""
        check_draft(self.args)

    @property
    def speculation(self) -> Mapping[str, Any] | None:
        """The setting ``args.speculative_config``."""
        return speculation(self.args) or None

    @property
    def replica_size(self) -> int:
        """Number of devices of one copy of the model."""
        return replica_size(self.args)

    @property
    def world_size(self) -> int:
        """Number of devices of all copies."""
        return world_size(self.args)

    def check_devices(self, there: int) -> None:
        """Compares vLLM's sizes with the GPUs; skipped without GPUs and across machines."""
        if there == 0 or self._spans_machines():
            return
        wanted = self.world_size
        if wanted > there:
            sizes = [(name, self.args[name]) for name in _SIZES if name in self.args]
            given = " x ".join(f"engine.args.{name}={size}" for name, size in sizes)
            raise UnavailableError(
                f"{given}: needs {wanted} GPUs, this process may use {there}; "
                "lower one of them, or see CUDA_VISIBLE_DEVICES"
            )

    def _spans_machines(self) -> bool:
        """Whether vLLM itself spans several machines."""
        given = self.args
        is_elsewhere = bool(given.get("data_parallel_address") or given.get("nnodes", 1) != 1)
        return is_elsewhere or is_ray(given)

    @property
    def speed(self) -> Speed:
        """The overheads of CUDA graphs and compiled kernels."""
        return VLLM_SPEED

    def default_batch(self, gpu_name: str, gpu_bytes: int | None) -> Batch:
        """The largest batch of one step; for the arguments see ``requests_at_once``."""
        return default_batch(self.args, gpu_name, gpu_bytes, is_server=self.is_server)

    def requests_at_once(self, context_tokens: int, gpu_name: str, gpu_bytes: int | None) -> int:
        """The value of vLLM's ``max_num_seqs``."""
        del context_tokens
        return self.default_batch(gpu_name, gpu_bytes).sequences

    @property
    def batch_size(self) -> int | None:
        """The setting ``args.max_num_seqs``."""
        return self.args.get("max_num_seqs")

    def with_batch_size(self, size: int) -> Self | None:
        """A copy with another ``max_num_seqs``."""
        return self.model_copy(update={"args": {**self.args, "max_num_seqs": size}})

    @property
    def asked_dtype(self) -> str:
        """The setting ``dtype``."""
        return self.dtype

    @property
    def quantization(self) -> str | None:
        """The setting ``args.quantization``."""
        value = self.args.get("quantization")
        return None if value is None else str(value)

    @property
    def cache_dtype(self) -> str:
        """The setting ``args.kv_cache_dtype``."""
        return str(self.args.get("kv_cache_dtype", "auto"))

    def weights_bytes(self, parameters: int, *, on_cpu: bool) -> int | None:
        """Bytes of all weights; None where some stay on the CPU, and for most quantisations."""
        if self.args.get("cpu_offload_gb"):
            return None
        if self.quantization is None:
            return super().weights_bytes(parameters, on_cpu=on_cpu)
        bits = BITS_PER_WEIGHT.get(self.quantization)
        return None if bits is None else int(weight_bytes(parameters, bits))

    def cache_bytes_per_token(self, shape: ModelShape, *, on_cpu: bool) -> int:
        """Bytes of a token's keys and values; half as many where these are FP8."""
        if self.cache_dtype.startswith("fp8"):
            return kv_bytes_per_token(shape, FP8_BYTES)
        return super().cache_bytes_per_token(shape, on_cpu=on_cpu)

    def overhead_bytes(self, shape: ModelShape, gpu_name: str, gpu_bytes: int) -> int:
        """Bytes of activations, sampler and CUDA graphs."""
        return overhead_bytes(self.args, self.default_batch(gpu_name, gpu_bytes), shape)

    @property
    def gpu_fraction(self) -> float:
        """The setting ``args.gpu_memory_utilization``, or vLLM's default."""
        return gpu_fraction(self.args)

    @property
    def cpu_cache_bytes(self) -> int:
        """The limit in the environment variable ``VLLM_CPU_KVCACHE_SPACE``."""
        return cpu_cache_bytes(self.args)

    def cache_advice(self, what: str, one_bytes: int, left_bytes: int, *, on_cpu: bool) -> str:
        """The error message, with the setting that gives the cache more memory."""
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
