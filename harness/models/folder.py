"""Checks whether a model folder is complete, and reads its small files. Loads no weights."""

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from harness.models.digest import WEIGHTS
from harness.models.shape import ModelShape, shape_of_config

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
_GENERATION = "generation_config.json"
_OPTIONAL = (_GENERATION, "tokenizer_config.json", "special_tokens_map.json")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MAX_HEADER_BYTES = 100_000_000
"""safetensors refuses a longer one."""
_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "max_target_positions",
)
"""Names of the context length in ``config.json``."""
_SCALED_ALREADY = frozenset({"default", "llama3", "longrope", "su", "yarn", "deepseek_yarn"})
"""Kinds of RoPE scaling whose factor ``max_position_embeddings`` contains already."""


class FolderError(ValueError):
    """A model folder is not whole; names the file and what is wrong with it."""


class FolderFacts(NamedTuple):
    """Facts that memory and context are checked against; None: unknown."""

    parameters: int | None
    """Values in the weight files; None for quantised weights, which are packed."""
    shape: ModelShape | None
    context_tokens: int | None


def check_folder(folder: Path, *, with_weights: bool = True) -> None:
    """Checks everything that can be checked without reading weights.

    Args:
        folder: As ``save_pretrained`` writes it.
        with_weights: False where the tokenizer is enough.

    Raises:
        FolderError: The first fault that is found.
    """
    _refuse_adapter(folder)
    if not (folder / CONFIG).is_file():
        raise FolderError(
            "no config.json there; give a folder as save_pretrained writes it (config.json, "
            "*.safetensors, tokenizer files) or a .gguf file"
        )
    for name in (CONFIG, *(name for name in _OPTIONAL if (folder / name).exists())):
        read_object(folder / name)
    for file in (*folder.glob("tokenizer.*"), *folder.glob("vocab.*")):
        _refuse_pointer(file)
    stop_token_ids(folder)
    if with_weights:
        tensor_headers(folder)


def _refuse_adapter(folder: Path) -> None:
    """Refuses an adapter beside the weights: transformers would apply it if peft is installed."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return
    if any(folder.glob(WEIGHTS)) and (folder / CONFIG).is_file():
        raise FolderError(
            f"{ADAPTER_CONFIG} is in a model's folder; move the adapter's files into a separate "
            "folder and give it as model.adapter=FOLDER"
        )
    base = read_object(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    raise FolderError(
        f"{ADAPTER_CONFIG}: this is an adapter, no model; give its base model"
        f"{f', {base},' if base else ''} and model.adapter={folder}"
    )


def read_object(file: Path) -> dict[str, Any]:
    """Reads a file with one JSON object.

    Raises:
        FolderError: The file has something else.
    """
    _refuse_pointer(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FolderError(f"{file.name}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise FolderError(f"{file.name}: no JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise FolderError(f"{file.name}: should be a JSON object")
    return content


def _refuse_pointer(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError as error:
        raise FolderError(f"{file.name}: cannot be read ({error.strerror})") from error
    if start == _LFS_POINTER:
        raise FolderError(
            f"{file.name}: a Git LFS pointer, not the file itself; git lfs pull fetches it"
        )


# --- weights ---------------------------------------------------------------------------------


def tensor_headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Data type, shape and place of every tensor, by name.

    Raises:
        FolderError: There are no weights, or a file of them is damaged or missing.
    """
    files = _weight_files(folder)
    if not files:
        raise FolderError("no *.safetensors file there")
    headers = {file.name: header_of(file) for file in files}
    if not (folder / SINGLE).exists() and (folder / INDEX).exists():
        for tensor, name in _weight_map(folder).items():
            if tensor not in headers[name]:
                raise FolderError(f"{name}: lacks {tensor}, which {INDEX} says is in it")
    return {name: value for header in headers.values() for name, value in header.items()}


def _weight_files(folder: Path) -> list[Path]:
    """The weight files that are loaded: a single one, those of the index, or all."""
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if not (folder / INDEX).exists():
        return sorted(folder.glob(WEIGHTS))
    files = [folder / name for name in sorted(set(_weight_map(folder).values()))]
    if absent := [file.name for file in files if not file.exists()]:
        raise FolderError(f"{absent[0]}: not there, but {INDEX} names it ({len(absent)} missing)")
    return files


def other_weights(folder: Path) -> list[str]:
    """Names of the files that vLLM loads and transformers does not, where it has a single file.

    Transformers loads ``model.safetensors`` wherever it lies. vLLM loads the files of the index,
    and every file if there is no index (``filter_duplicate_safetensors_files``).
    """
    if not (folder / SINGLE).exists():
        return []
    if has_index(folder):
        loaded = set(_weight_map(folder).values())
    else:
        loaded = {file.name for file in folder.glob(WEIGHTS)}
    return sorted(loaded - {SINGLE})


def has_index(folder: Path) -> bool:
    """Whether an index lists the weight files."""
    return (folder / INDEX).exists()


def _weight_map(folder: Path) -> dict[str, str]:
    mapped = read_object(folder / INDEX).get("weight_map")
    if not isinstance(mapped, dict) or not all(isinstance(v, str) for v in mapped.values()):
        raise FolderError(f"{INDEX}: has no weight_map from tensors to files")
    return mapped


def header_of(file: Path) -> dict[str, dict[str, Any]]:
    """The header of a safetensors file: data type, shape and place of each tensor.

    Raises:
        FolderError: The file is none, or its size is not what the header says.
    """
    _refuse_pointer(file)
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0  # noqa: PLR2004
        if not 0 < length <= min(_MAX_HEADER_BYTES, size - 8):
            raise FolderError(f"{file.name}: no safetensors file, or cut off in its header")
        raw = stream.read(length)
    try:
        header = {k: v for k, v in json.loads(raw).items() if k != "__metadata__"}
        end = 8 + length + max((each["data_offsets"][1] for each in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FolderError(f"{file.name}: its safetensors header cannot be read") from error
    if size != end:
        raise FolderError(
            f"{file.name}: damaged; its header describes {end:,} bytes, the file has {size:,}"
        )
    return header


# --- what config.json says -------------------------------------------------------------------


def facts_of(folder: Path) -> FolderFacts:
    """Sizes and context of a folder.

    Raises:
        FolderError: It is not whole.
    """
    text = _text_part(read_object(folder / CONFIG))
    return FolderFacts(
        parameters=None
        if "quantization_config" in text
        else _parameters(tensor_headers(folder).values()),
        shape=shape_of_config(text),
        context_tokens=_context_tokens(text),
    )


def context_tokens(folder: Path) -> int | None:
    """The context length that the model was made for; None where it is not given."""
    return _context_tokens(_text_part(read_object(folder / CONFIG)))


def is_quantized(folder: Path) -> bool:
    """Whether its weights are stored quantised; False where there is no folder."""
    file = folder / CONFIG
    return file.is_file() and "quantization_config" in _text_part(read_object(file))


def _text_part(config: dict[str, Any]) -> dict[str, Any]:
    """The language model's part of a configuration that has several."""
    nested = config.get("text_config")
    return {**config, **nested} if isinstance(nested, dict) else config


def _parameters(headers: Iterable[dict[str, Any]]) -> int:
    return sum(math.prod(header["shape"]) for header in headers)


def _context_tokens(config: dict[str, Any]) -> int | None:
    """The context length of the text part, with RoPE scaling.

    Follows vLLM's rule (``_get_and_verify_max_len``).
    """
    known: list[int] = [config[key] for key in _CONTEXT_KEYS if type(config.get(key)) is int]
    if not known:
        return None
    length = min(known)
    for scaling in _rope_scalings(config):
        kind = scaling.get("rope_type") or scaling.get("type") or "default"
        factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
        if not isinstance(factor, int | float):
            continue
        if kind not in _SCALED_ALREADY and not str(config.get("model_type")).startswith("gemma3"):
            return int(length * factor)
        if "yarn" in kind and type(original) is int:
            # Some folders have yarn switched on and leave the length as it was.
            return max(length, int(original * factor))
    return length


def _rope_scalings(config: dict[str, Any]) -> list[dict[str, Any]]:
    """One, or one for each kind of layer."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        return []
    inner = [each for each in found.values() if isinstance(each, dict)]
    return inner or [found]


def stop_token_ids(folder: Path) -> frozenset[int]:
    """Every id that the folder's configuration names as the end of an answer.

    As transformers does: those of ``generation_config.json``, else those of ``config.json``. The
    tokenizer's own comes from the tokenizer.

    Raises:
        FolderError: What is named is no token id.
    """
    for name in (_GENERATION, CONFIG):
        if not (folder / name).is_file():
            continue
        content = read_object(folder / name)
        ids = content.get("eos_token_id")
        if ids is None and name == CONFIG:
            ids = _text_part(content).get("eos_token_id")
        if ids is None:
            continue
        found = ids if isinstance(ids, list) else [ids]
        if not all(type(each) is int and each >= 0 for each in found):
            raise FolderError(f"{name}: eos_token_id={ids}: should be a token id or a list of them")
        if found:
            return frozenset(found)
    return frozenset()
