"""LoRA adapters in the local engines: unmerged, so that both engines round alike."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from harness.errors import ConfigError, UnavailableError
from harness.models.adapter import adapter_tensors
from harness.models.description import Adapter
from harness.models.tensors import named

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values of ``max_lora_rank`` that vLLM 0.32 and 0.33 accept."""
NAME = "adapter"
"""The adapter's name at vLLM's server."""


def check_peft() -> None:
    """Checks that adapters can be applied.

    Raises:
        UnavailableError: peft is not installed.
    """
    if find_spec("peft") is None:
        raise UnavailableError(
            "model.adapter: engine=transformers needs peft for it; pip install 'gegenprobe[lora]'"
        )


def with_adapter(model: Any, adapter: Adapter) -> Any:
    """The model with an adapter in its layers; the model's class is unchanged.

    Raises:
        ConfigError: The adapter is of another architecture.
        UnavailableError: peft is not installed.
    """
    check_peft()
    from peft import PeftModel, get_peft_model_state_dict

    try:
        applied = PeftModel.from_pretrained(model, adapter.path, autocast_adapter_dtype=False)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"model.adapter={adapter.path}: does not fit the model: {reason}"
        ) from error
    # False: it would ask the hub whether the base model's vocabulary has grown.
    held = get_peft_model_state_dict(applied, save_embedding_layers=False)
    ours, its = _of_lora(held), _of_lora(adapter_tensors(adapter))
    for words, names in (("lacks", ours - its), ("has, without a place for it,", its - ours)):
        if names:
            raise ConfigError(f"model.adapter={adapter.path}: it {words} {named(names)}")
    return applied.get_base_model()


def _of_lora(names: Iterable[str]) -> set[str]:
    """Leaves out whole layers that an adapter may contain, such as its embedding."""
    return {name for name in names if "lora_" in name}


def vllm_arguments(adapter: Adapter | None) -> dict[str, Any]:
    """Arguments of vLLM's engine for an adapter.

    Raises:
        ConfigError: Its rank is more than vLLM can.
    """
    if adapter is None:
        return {}
    fitting = [rank for rank in VLLM_RANKS if rank >= adapter.rank]
    if not fitting:
        raise ConfigError(
            f"model.adapter={adapter.path}: its rank is {adapter.rank}, vllm takes "
            f"{VLLM_RANKS[-1]} at most; use engine=transformers"
        )
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": fitting[0]}
