"""Whether a folder's tensors are those that its architecture has: nothing missing, nothing unused.

Transformers fills a tensor that it does not find with random numbers, and leaves out one that it
does not know; both only warn. A plain Llama or Qwen2 is known to be whole by its names and shapes
(``layout``); any other model is built on the meta device, which reads no weights either.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.models.description import ResolvedModel
from harness.models.folder import is_quantized
from harness.models.layout import embedding_rows_if_whole

log = logging.getLogger(__name__)

_SHOWN = 3
"""Tensors that a message names."""


def check_tensors(model: ResolvedModel, vocabulary: int) -> int | None:
    """Compares the weight files with the architecture, and both with the tokenizer.

    Says nothing of what transformers cannot build: quantised weights, or an architecture that only
    vLLM has.

    Args:
        model: On this disk.
        vocabulary: The highest id of the tokenizer's own vocabulary and one. Tokens that were
            added to it are left out: published models have some without a row, for images or for
            tools that the model cannot use.

    Returns:
        Rows of the embedding; None where transformers cannot build the model.

    Raises:
        ConfigError: Tensors are missing, unused or of another shape, or the embedding has fewer
            rows than the vocabulary has ids.
    """
    folder = Path(model.path)
    if is_quantized(folder):
        return None
    rows = None if model.trust_remote_code else embedding_rows_if_whole(folder)
    if rows is None:
        rows = _rows_by_transformers(model)
    if rows is not None and rows < vocabulary:
        raise ConfigError(
            f"model={model.name}: {model.path}: the tokenizer has ids up to {vocabulary - 1}, the "
            f"embedding only {rows} rows; tokenizer and weights are of different models"
        )
    return rows


def _rows_by_transformers(model: ResolvedModel) -> int | None:
    """Builds the model on the meta device; None where transformers cannot."""
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            built, found = AutoModelForCausalLM.from_pretrained(
                model.path,
                device_map="meta",
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=model.trust_remote_code,
            )
    except Exception as error:  # noqa: BLE001 - the engine may have its own implementation
        log.debug("the tensors of %s were not checked: %s", model.path, error)
        return None
    refuse_unlike(found, model)
    embedding = built.get_input_embeddings()
    return None if embedding is None else int(embedding.weight.shape[0])


def refuse_unlike(found: Mapping[str, Collection[Any]], model: ResolvedModel) -> None:
    """Refuses a model by the loading info of ``from_pretrained``.

    Raises:
        ConfigError: Names some of the tensors.
    """
    mismatched = [str(each[0]) for each in found["mismatched_keys"]]
    faults = (
        ("lacks {} that the architecture has, so they would be random", found["missing_keys"]),
        ("has {} of another shape than config.json says", mismatched),
    )
    for words, names in faults:
        if names:
            raise ConfigError(f"model={model.name}: {model.path}: {words.format(named(names))}")
    unused = found["unexpected_keys"]
    if unused and not model.allow_unused_tensors:
        raise ConfigError(
            f"model={model.name}: {model.path}: has {named(unused)} that the architecture does "
            "not use; model.allow_unused_tensors=true loads the others anyway"
        )


def named(names: Collection[str]) -> str:
    """Some of many tensors, and how many more there are."""
    some = sorted(names)[:_SHOWN]
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f"{'tensor' if len(names) == 1 else 'tensors'} {', '.join(some)}{more}"


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers' own report of missing tensors is a table of warnings."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
