"""The parts of a ``result.json`` that a row needs, and a quick way to read them.

What is read is described once, with the types of the records themselves. From that description
msgspec makes a decoder that is six times as quick as pydantic: it checks the syntax of the whole
file and makes objects of the described parts alone. What it refuses is read by pydantic, whose
rules are the ones that count and whose errors name the place.
"""

from functools import cache
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin

import msgspec
from pydantic import BaseModel, ConfigDict, create_model

from harness.config.settings import ProtocolConfig, RunConfig
from harness.machine.provenance import Provenance
from harness.models import ResolvedModel
from harness.records import EngineInfo, Estimate, Record
from harness.store.manifest import RunManifest, Session, TaskInfo
from harness.store.result import RunResult


def read_part(content: bytes) -> Any:
    """The part of a ``result.json`` that a row needs, with the attribute names of ``RunResult``.

    Raises:
        ValidationError: It is damaged, or of another schema version.
    """
    try:
        if not content.isascii():
            content.decode()  # msgspec skips bytes that are no UTF-8
        return _decoder().decode(content)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        return _PART.model_validate_json(content)


# --- what is read -----------------------------------------------------------------------------


def _part_of(kind: type[Record], *names: str, **parts: Any) -> type[BaseModel]:
    """A record with some fields of another; the other fields are skipped.

    Args:
        kind: The whole record; the types of the fields are its own.
        names: Fields that are read as there.
        parts: Fields of which again only a part is read, or that are not checked.
    """
    fields: dict[str, Any] = {}
    for name in names:
        field = kind.model_fields[name]
        fields[name] = (field.annotation, field)
    for name, part in parts.items():
        assert name in kind.model_fields, f"{kind.__name__} has no {name}"
        fields[name] = (part, ...)
    ignoring = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, defer_build=True)
    return create_model(f"PartOf{kind.__name__}", __config__=ignoring, **fields)


def _list_of(part: Any) -> Any:
    return GenericAlias(tuple, (part, ...))


_ENGINE = ("name", "version", "device", "device_name", "device_count", "dtype", "quantization")
_PART = _part_of(
    RunResult,
    "schema_version",
    estimates=_list_of(_part_of(Estimate, "metric", "value", "n", "low", "high", "bound", "task")),
    manifest=_part_of(
        RunManifest,
        *("run_id", "status", "protocol_fingerprints", "protocol_fields", "started_at"),
        config=_part_of(
            RunConfig,
            "seed",
            model=dict[str, Any],
            engine=dict[str, Any],
            protocol=_part_of(ProtocolConfig, "name"),
        ),
        model=_part_of(ResolvedModel, "name", "revision", "sha256"),
        tasks=_list_of(_part_of(TaskInfo, "name", "selection", "problems", "full_size")),
        sessions=_list_of(_part_of(Session, engine=_part_of(EngineInfo, *_ENGINE))),
        provenance=_part_of(Provenance, "harness_version", "git_commit", "git_dirty"),
    ),
)
"""The answers, nine tenths of a file, are in no part; a configuration that was checked when it ran
is not checked again."""


# --- the quick way ----------------------------------------------------------------------------


@cache
def _decoder() -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(_struct(_PART))


def _struct(part: type[BaseModel]) -> type[msgspec.Struct]:
    """A msgspec struct with the same fields, types and limits."""
    fields: list[Any] = []
    for name, field in part.model_fields.items():
        kind = _with_structs(field.annotation)
        for limit in field.metadata:  # none but lower limits so far
            kind = Annotated[kind, msgspec.Meta(ge=limit.ge)]
        fields.append((name, kind) if field.is_required() else (name, kind, field.default))
    return msgspec.defstruct(part.__name__, fields, kw_only=True, gc=False)


def _with_structs(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _struct(kind)
    if get_origin(kind) is tuple:
        return _list_of(_with_structs(get_args(kind)[0]))
    return kind
