"""Checks whether vLLM can load the weights of a draft model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.engines.config import Draft
from harness.errors import ConfigError, UnavailableError
from harness.models import WEIGHTS, is_hub_error, is_hub_id

_SUFFIX = WEIGHTS.removeprefix("*")
# What vLLM takes for n-gram drafts where a model could be named.
_NO_MODEL = ("ngram", "[ngram]")


def check_draft(args: Mapping[str, Any]) -> None:
    """Refuses a draft model without safetensors, before anything is downloaded.

    The harness has vLLM read safetensors alone, never a pickle, and a draft is loaded likewise.
    Does nothing where the hub cannot be asked.

    Args:
        args: vLLM's.

    Raises:
        ConfigError: It is neither a folder nor a name that the hub could have.
        UnavailableError: Names the draft and what would be right.
    """
    draft = draft_model(args)
    if draft is None or _is_loaded_otherwise(args):
        return
    files = _files(draft)
    if files is None or any(file.endswith(_SUFFIX) for file in files):
        return
    raise UnavailableError(
        f"engine.args.speculative_config.model={draft.name}: it has no {WEIGHTS}, and pickled "
        "weights are not loaded; convert it and name the folder (docs/ablations.md)"
    )


def draft_model(args: Mapping[str, Any]) -> Draft | None:
    """The draft model; None without one (n-gram drafts need none).

    Raises:
        ConfigError: It is neither a folder nor a name that the hub could have.
    """
    given = speculation(args)
    name, revision = given.get("model"), given.get("revision")
    if not isinstance(name, str) or name in _NO_MODEL:
        return None
    if not Path(name).exists() and not is_hub_id(name):
        raise ConfigError(
            f"engine.args.speculative_config.model={name}: no such folder, and no name of a "
            "repository; give a folder that is there, or OWNER/NAME of the hub"
        )
    return Draft(name, revision if isinstance(revision, str) else None)


def speculation(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """The setting ``speculative_config``; empty without speculative decoding."""
    given = args.get("speculative_config")
    return given if isinstance(given, Mapping) else {}


def _is_loaded_otherwise(args: Mapping[str, Any]) -> bool:
    """Whether the user has chosen a load format, for all weights or for the draft's."""
    return "load_format" in args or "draft_load_config" in speculation(args)


def _files(draft: Draft) -> list[str] | None:
    """Names of a folder's or repository's files; None where they cannot be listed."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    if Path(draft.name).is_dir():
        return [file.name for file in Path(draft.name).iterdir()]
    cached = try_to_load_from_cache(draft.name, "config.json", revision=draft.revision)
    if isinstance(cached, str):
        found = [file.name for file in Path(cached).parent.iterdir()]
        if any(Path(file).suffix in {_SUFFIX, ".bin"} for file in found):
            return found
    try:
        return HfApi().list_repo_files(draft.name, revision=draft.revision)
    except Exception as error:
        if not is_hub_error(error):
            raise
        return None
