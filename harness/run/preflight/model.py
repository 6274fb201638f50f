"""The model against itself and the protocol: its tensors, its tokenizer, its context."""

from pathlib import Path

from harness.config.settings import RunConfig
from harness.engines.build import OpenaiConfig, TransformersConfig
from harness.engines.lora import check_peft
from harness.engines.vllm_args import VllmKnobs
from harness.errors import ConfigError
from harness.models import HubModel, ResolvedModel, resolve
from harness.models.chat_tokenizer import Codec
from harness.models.folder import SINGLE, context_tokens, has_index, other_weights
from harness.models.tensors import check_tensors

_SHOWN = 3
"""Files that a message names."""
_AND_FOR_VLLM = (
    ", and vLLM takes more only with the environment variable VLLM_ALLOW_LONG_MAX_MODEL_LEN=1; its "
    "numbers may be NaN from there on"
)


def load_checked(config: RunConfig, *, with_digest: bool = True) -> tuple[ResolvedModel, Codec]:
    """Brings the model here and loads its tokenizer.

    Raises:
        ConfigError: Weights, architecture, tokenizer and protocol do not fit each other.
        UnavailableError: The model cannot be had.
    """
    has_weights = not isinstance(config.engine, OpenaiConfig)
    if config.model.adapter is not None and isinstance(config.engine, TransformersConfig):
        check_peft()
    model = resolve(config.model, with_digest=with_digest, with_weights=has_weights)
    codec = Codec.load(model)
    if not model.path:
        return model, codec
    if config.model.context_tokens is None:
        _check_context(config, context_tokens(Path(model.path)))
    if has_weights:
        _check_weight_files(config, Path(model.path))
        codec.embedding_rows = check_tensors(model, codec.vocabulary)
    return model, codec


def _check_context(config: RunConfig, limit: int | None) -> None:
    """What the configuration's own check does for a model whose context it knows."""
    protocol = config.protocol
    if limit is not None and protocol.context_tokens > limit:
        raise ConfigError(
            f"protocol.max_prompt_tokens={protocol.max_prompt_tokens} + protocol.max_new_tokens="
            f"{protocol.max_new_tokens} = {protocol.context_tokens} tokens, but config.json of "
            f"model={config.model.name} has a context of {limit}; model.context_tokens=N says that "
            f"it can take more{_AND_FOR_VLLM if isinstance(config.engine, VllmKnobs) else ''}"
        )


def _check_weight_files(config: RunConfig, folder: Path) -> None:
    """Refuses a folder of which the engine may load other weights than those that are checked."""
    others = other_weights(folder)
    engine = config.engine
    if not has_index(folder):
        if not isinstance(engine, VllmKnobs) or "load_format" in engine.args:
            return
        if isinstance(config.model, HubModel):
            # Mistral's repositories have the same weights once more, under names that vLLM knows.
            others = [name for name in others if not name.startswith("consolidated")]
    if others:
        raise ConfigError(
            f"model={config.model.name}: {folder}: transformers loads {SINGLE}, vLLM "
            f"{', '.join(others[:_SHOWN])}{', …' if len(others) > _SHOWN else ''} too or instead; "
            "keep the weights that are meant and move the others away"
        )
