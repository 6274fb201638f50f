"""A model's sizes: as its YAML gives them, or as a folder's own files do."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from harness.models import WEIGHTS, LocalModel, ModelConfig, ModelShape

_HEADER_LIMIT_BYTES = 100_000_000
"""The format allows no longer header."""


class Sizes(NamedTuple):
    """What memory is computed from; None where it is not known."""

    parameters: int | None
    shape: ModelShape | None


def sizes_of(model: ModelConfig) -> Sizes:
    """The sizes that the model's YAML gives; those of a folder are read from it where it does not.

    Reads ``config.json`` and the headers of the weight files, never the weights. A folder whose
    files cannot be read has unknown sizes here; loading it says what is wrong.
    """
    known = Sizes(model.parameters, model.shape)
    if not isinstance(model, LocalModel) or None not in known:
        return known
    folder = Path(model.path).expanduser()
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        counted = _parameters(folder)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, struct.error):
        return known
    if not isinstance(config, dict) or "quantization_config" in config:
        return known  # several packed values count as one there
    return Sizes(known.parameters or counted, known.shape or _shape(config))


def _parameters(folder: Path) -> int | None:
    """The values in all weight files, by their headers: a length of 8 bytes, then JSON."""
    count = 0
    for file in folder.glob(WEIGHTS):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _HEADER_LIMIT_BYTES:
                raise ValueError(f"{file}: a header of {length} bytes")
            header = json.loads(stream.read(length))
        count += sum(prod(each["shape"]) for name, each in header.items() if name != "__metadata__")
    return count or None


def _shape(config: dict[str, Any]) -> ModelShape | None:
    """Of a model with plain grouped-query attention in every layer; None for any other."""
    kinds = set(config.get("layer_types") or ["full_attention"])
    is_windowed = config.get("sliding_window") and config.get("use_sliding_window", True)
    if kinds != {"full_attention"} or is_windowed or config.get("kv_lora_rank"):
        return None
    heads: Any = config.get("num_attention_heads")
    hidden: Any = config.get("hidden_size")
    try:
        if config.get("head_dim") not in (None, hidden // heads):
            return None
        return ModelShape(
            layers=config["num_hidden_layers"],
            attention_heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            hidden=hidden,
            ffn=config["intermediate_size"],
            vocab=config["vocab_size"],
        )
    except (TypeError, KeyError, ZeroDivisionError, ValidationError):
        return None
