"""Checks the model: whether its tensors, tokenizer, context and the protocol fit together."""

from pathlib import Path

from harness.config.settings import RunConfig
from harness.errors import ConfigError
from harness.models import HubModel, ResolvedModel, resolve
from harness.models.chat_tokenizer import Codec
from harness.models.folder import SINGLE, context_tokens, has_index, other_weights
from harness.models.tensors import check_tensors

_SHOWN = 3
"""How many file names a message lists."""


def load_checked(config: RunConfig, *, with_digest: bool = True) -> tuple[ResolvedModel, Codec]:
    """Loads the model's files and its tokenizer, and checks them.

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
    """Checks the context length of a model that the configuration did not know."""
    protocol = config.protocol
    if limit is not None and protocol.context_tokens > limit:
        raise ConfigError(
            f"protocol.max_prompt_tokens={protocol.max_prompt_tokens} + protocol.max_new_tokens="
            f"{protocol.max_new_tokens} = {protocol.context_tokens} tokens, but config.json of "
            f"model={config.model.name} has a context of {limit}; model.context_tokens=N says that "
            f"it can take more{config.engine.context_advice}"
        )


def _check_weight_files(config: RunConfig, folder: Path) -> None:
    """Refuses a folder from which the engine may load other weights than the checked ones."""
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
