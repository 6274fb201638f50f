"""The model against itself and the protocol: its tensors, its tokenizer, its context."""

from pathlib import Path

from harness.config import RunConfig
from harness.engines.build import OpenaiConfig, TransformersConfig
from harness.engines.lora import check_peft
from harness.errors import ConfigError
from harness.models import ResolvedModel, resolve
from harness.models.folder import context_tokens
from harness.models.tensors import check_tensors
from harness.prompts import Codec


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
            "it can take more"
        )
