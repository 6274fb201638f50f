"""Brings a model's files onto this disk.

Four sources, one result: a folder that both engines load. A hub model is fetched at its pinned
revision, a local folder is used in place, and a GGUF file, local or inside a PyPI wheel, is
converted once into the cache. Weights are safetensors (or that GGUF); pickles are never loaded.
"""

import errno
import json
import logging
import re
from pathlib import Path
from typing import assert_never

from harness.errors import ConfigError, UnavailableError
from harness.models.adapter import resolve_adapter
from harness.models.description import (
    HubModel,
    LocalModel,
    ModelConfig,
    RemoteModel,
    ResolvedModel,
    WheelModel,
)
from harness.models.digest import WEIGHTS, file_sha256, joined_sha256, weights_sha256
from harness.models.folder import CONFIG, INDEX, FolderError, check_folder
from harness.models.gguf import (
    convert_file,
    convert_wheel,
    file_folder,
    is_gguf,
    quantization_of,
    wheel_folder,
)
from harness.models.memory import unquantised_bytes

log = logging.getLogger(__name__)

COMMIT = re.compile("[0-9a-f]{40}")
# One of these is enough.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
# What a checkpoint needs; everything else in a repository (pickles, other formats) stays there.
HUB_FILES = ("*.json", WEIGHTS, "*.jinja", "*.model", "*.txt", "*.py")


def resolve(
    model: ModelConfig, *, with_digest: bool = True, with_weights: bool = True
) -> ResolvedModel:
    """Brings the model onto this disk, if it is not there yet.

    Args:
        model: The model to resolve.
        with_digest: Read all weights for their digest.
        with_weights: False where a server has them and the tokenizer is enough. What the server
            has is then unknown, so there is no digest.

    Raises:
        ConfigError: ``model.path`` is no checkpoint, or ``model.adapter`` no adapter.
        UnavailableError: The hub or the wheel is not available.
    """
    if model.adapter is not None and (not with_weights or isinstance(model, RemoteModel)):
        raise ConfigError(
            f"model.adapter={model.adapter}: a server that runs already decides what it loads; "
            "start it with the adapter and leave model.adapter out"
        )
    adapter = None if model.adapter is None else resolve_adapter(model.adapter)
    match model:
        case HubModel():
            folder = _fetch_hub(model, with_weights=with_weights)
        case LocalModel():
            folder = convert_file(model) if is_gguf(model) else Path(model.path).expanduser()
        case WheelModel():
            folder = convert_wheel(model)
        case RemoteModel():
            return ResolvedModel(
                name=model.name, path="", revision=None, sha256=None, reasoning=model.reasoning
            )
        case _:
            assert_never(model)
    _check(model, folder, with_weights=with_weights)
    folder = folder.resolve()
    sha256 = _digest(model, folder) if with_digest and with_weights else None
    if sha256 is not None and adapter is not None:
        sha256 = joined_sha256((sha256, adapter.sha256))
    return ResolvedModel(
        name=model.name,
        path=str(folder),
        revision=_revision(model, folder),
        sha256=sha256,
        trust_remote_code=model.trust_remote_code,
        allow_unused_tensors=model.allow_unused_tensors,
        chat_template=model.chat_template,
        adapter=adapter,
        quantization=_quantization(model),
        reasoning=model.reasoning,
    )


def _digest(model: ModelConfig, folder: Path) -> str | None:
    """The digest of the given file: its conversion may change with transformers."""
    if isinstance(model, LocalModel) and is_gguf(model):
        return file_sha256(Path(model.path).expanduser())
    return weights_sha256(folder)


def _quantization(model: ModelConfig) -> str | None:
    if isinstance(model, LocalModel) and is_gguf(model):
        return quantization_of(model)
    return None


def pinned(model: ModelConfig, was: ResolvedModel) -> ModelConfig:
    """The model at the commit that its branch meant when a run began."""
    if isinstance(model, HubModel) and was.revision is not None:
        return model.model_copy(update={"revision": was.revision})
    return model


def _revision(model: ModelConfig, folder: Path) -> str | None:
    match model:
        case HubModel():
            # the hub's cache names the folder of a branch or tag by its commit
            is_commit = bool(COMMIT.fullmatch(folder.name))
            return folder.name if is_commit else model.revision
        case LocalModel() | RemoteModel():
            return None
        case WheelModel():
            return f"{model.package}=={model.version}"
        case _:
            assert_never(model)


def is_here(model: ModelConfig, *, with_weights: bool = True) -> bool:
    """Whether ``resolve`` would neither fetch nor convert anything."""
    match model:
        case HubModel():
            return not missing_hub_files(model, with_weights=with_weights)
        case WheelModel():
            return (wheel_folder(model) / "config.json").is_file()
        case LocalModel():
            return not is_gguf(model) or (file_folder(model) / CONFIG).is_file()
        case RemoteModel():
            return True
        case _:
            assert_never(model)


def missing_hub_files(model: HubModel, *, with_weights: bool = True) -> list[str]:
    """The files of a checkpoint that the hub's cache lacks at the pinned revision; uses no network.

    Returns:
        File names, or a pattern where nothing tells the name.

    Raises:
        ConfigError: The hub could have no such repository.
    """
    from huggingface_hub import try_to_load_from_cache

    if not is_hub_id(model.hub_id):
        raise ConfigError(
            f"model.hub_id={model.hub_id}: no name of a repository; give OWNER/NAME, or a folder "
            "with model=local model.path=FOLDER"
        )

    def cached(name: str) -> Path | None:
        found = try_to_load_from_cache(model.hub_id, name, revision=model.revision)
        return Path(found) if isinstance(found, str) else None

    absent = [] if cached("config.json") else ["config.json"]
    if not any(cached(name) for name in TOKENIZER_FILES):
        absent.append(TOKENIZER_FILES[0])
    if not with_weights or cached("model.safetensors"):
        return absent
    index = cached(INDEX)
    if index is None:
        return [*absent, WEIGHTS]
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return [*absent, *sorted(name for name in shards if not cached(name))]


def _fetch_hub(model: HubModel, *, with_weights: bool) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    where = f"model={model.name}: {model.hub_id}@{model.revision[:12]}"
    wanted = [pattern for pattern in HUB_FILES if with_weights or pattern != WEIGHTS]
    if not is_here(model, with_weights=with_weights):
        size = model.parameters if with_weights else None
        about = f", about {unquantised_bytes(size) / 1e9:.1f} GB" if size else ""
        log.info("fetching %s from the Hugging Face hub%s", model.hub_id, about)
    try:
        return Path(
            huggingface_hub.snapshot_download(
                model.hub_id, revision=model.revision, allow_patterns=wanted
            )
        )
    except errors.GatedRepoError as error:
        message = (
            f"{where} is gated: accept its licence on the hub, then set HF_TOKEN to a token of "
            "that account"
        )
        raise UnavailableError(message) from error
    except errors.RevisionNotFoundError as error:
        raise UnavailableError(
            f"{where}: the hub has no such revision; its page lists them, or leave "
            "model.revision out"
        ) from error
    except errors.RepositoryNotFoundError as error:
        message = f"{where}: the hub has no such repository, or HF_TOKEN may not read it"
        raise UnavailableError(message) from error
    except OSError as error:  # every other error of the hub and of its HTTP client is one
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
            message = f"{where} cannot be stored in the hub's cache: {error.strerror}"
            raise UnavailableError(message) from error
        message = (
            f"{where} is not in the local cache and the hub cannot be reached; "
            "download it elsewhere and use model=local model.path=FOLDER"
        )
        raise UnavailableError(message) from error
    except Exception as error:
        if not is_hub_error(error):
            raise
        message = f"{where}: the hub cannot be reached ({type(error).__name__})"
        raise UnavailableError(message) from error


def is_hub_id(name: str) -> bool:
    """Whether a text can name a repository of the hub: ``owner/name``, or ``name`` alone."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def is_hub_error(error: Exception) -> bool:
    """Whether asking the hub failed. The errors of its HTTP client, httpx or httpx2, count too."""
    own = ("huggingface_hub", "httpx", "httpcore")
    return isinstance(error, OSError) or type(error).__module__.startswith(own)


def _check(model: ModelConfig, folder: Path, *, with_weights: bool) -> None:
    try:
        check_folder(folder, with_weights=with_weights)
    except FolderError as error:
        if isinstance(model, LocalModel):
            raise ConfigError(f"model.path={model.path}: {error}") from error
        raise UnavailableError(
            f"model={model.name}: {folder}: {error}; remove this folder to have it made anew"
        ) from error
