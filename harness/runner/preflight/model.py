"""The model against itself and the protocol: its tensors, its tokenizer, its context."""

from pathlib import Path

from harness.config.settings import RunConfig
from harness.errors import ConfigError
from harness.models import HubModel, ResolvedModel, resolve
from harness.models.chat_tokenizer import Codec
from harness.models.folder import SINGLE, context_tokens, has_index, other_weights
from harness.models.tensors import check_tensors

_SHOWN = 3
"""Files that a message names."""


def load_checked(config: RunConfig, *, with_digest: bool = True) -> tuple[ResolvedModel, Codec]:
    """Brings the model here and loads its tokenizer.

    Raises:
        ConfigError: Weights, architecture, tokenizer and protocol do not fit each other.
        UnavailableError: The model is not available.
    """
    has_weights = config.engine.is_local
    if config.model.adapter is not None:
        config.engine.check_adapter()
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
            f"it can take more{config.engine.context_advice}"
        )


def _check_weight_files(config: RunConfig, folder: Path) -> None:
    """Refuses a folder of which the engine may load other weights than those that are checked."""
    others = other_weights(folder)
    if not has_index(folder):
        if not config.engine.reads_every_weight_file:
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
