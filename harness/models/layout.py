"""Names and shapes of the tensors of a plain Llama or Qwen2, computed from ``config.json``.

A folder that has exactly these is whole, which is so known in milliseconds. Whether one that has
others is whole too, and every other architecture, is for transformers to say.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.models.folder import CONFIG, FolderError, read_object, tensor_headers

Shape = tuple[int, ...]
EMBEDDING = "model.embed_tokens.weight"
_KEYS = (
    *("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"),
    *("num_key_value_heads", "vocab_size"),
)


class _Biases(NamedTuple):
    """Which matrices have one."""

    qkv: bool
    output: bool
    mlp: bool


def embedding_rows_if_whole(folder: Path) -> int | None:
    """Rows of the embedding of a folder that is known to be whole; None: ask transformers."""
    try:
        config = read_object(folder / CONFIG)
        found = {name: tuple(each["shape"]) for name, each in tensor_headers(folder).items()}
    except (FolderError, KeyError):
        return None
    expected = _expected(config)
    return expected[EMBEDDING][0] if expected == found and expected is not None else None


def _expected(config: Mapping[str, Any]) -> dict[str, Shape] | None:
    """The expected shapes; None for an architecture or keys that are not described here."""
    biases = _biases(config)
    is_tied = config.get("tie_word_embeddings")
    if biases is None or not isinstance(is_tied, bool):
        return None
    if any(not isinstance(config.get(key), int) for key in _KEYS):
        return None
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    tensors: dict[str, Shape] = {EMBEDDING: (vocabulary, hidden), "model.norm.weight": (hidden,)}
    if not is_tied:
        tensors["lm_head.weight"] = (vocabulary, hidden)
    layer = dict(_layer(config, biases))
    for number in range(config["num_hidden_layers"]):
        tensors |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
    return tensors


def _biases(config: Mapping[str, Any]) -> _Biases | None:
    match config.get("architectures"):
        case ["LlamaForCausalLM"]:
            attention = config.get("attention_bias", False)
            return _Biases(attention, attention, config.get("mlp_bias", False))
        case ["Qwen2ForCausalLM"]:
            return _Biases(qkv=True, output=False, mlp=False)
        case _:
            return None


def _layer(config: Mapping[str, Any], biases: _Biases) -> Iterator[tuple[str, Shape]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or hidden // heads
    matrices = (
        ("self_attn.q_proj", heads * size, hidden, biases.qkv),
        ("self_attn.k_proj", shared * size, hidden, biases.qkv),
        ("self_attn.v_proj", shared * size, hidden, biases.qkv),
        ("self_attn.o_proj", hidden, heads * size, biases.output),
        ("mlp.gate_proj", inner, hidden, biases.mlp),
        ("mlp.up_proj", inner, hidden, biases.mlp),
        ("mlp.down_proj", hidden, inner, biases.mlp),
    )
    for name, rows, columns, has_bias in matrices:
        yield f"{name}.weight", (rows, columns)
        if has_bias:
            yield f"{name}.bias", (rows,)
    yield "input_layernorm.weight", (hidden,)
    yield "post_attention_layernorm.weight", (hidden,)
