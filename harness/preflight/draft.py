"""Whether vLLM could load the weights of the model that drafts."""

from pathlib import Path

from harness.engines.build import EngineConfig, VllmKnobs
from harness.errors import UnavailableError
from harness.models import WEIGHTS

_SUFFIX = WEIGHTS.removeprefix("*")


def check_draft(engine: EngineConfig) -> None:
    """Refuses a draft model without safetensors, before anything is downloaded.

    The harness has vLLM read safetensors alone, never a pickle, and a draft is loaded likewise.
    Says nothing where the hub cannot be asked.

    Raises:
        UnavailableError: Names the draft and what would be right.
    """
    name = draft_model(engine)
    if name is None or _is_loaded_otherwise(engine):
        return
    files = _files(name, _revision(engine))
    if files is None or any(file.endswith(_SUFFIX) for file in files):
        return
    raise UnavailableError(
        f"engine.args.speculative_config.model={name}: it has no {WEIGHTS}, and pickled weights "
        "are not loaded; convert it and name the folder (docs/ablations.md)"
    )


def draft_model(engine: EngineConfig) -> str | None:
    """The model that drafts, None where none does; n-gram drafts need none."""
    draft = engine.args.get("speculative_config") if isinstance(engine, VllmKnobs) else None
    name = draft.get("model") if isinstance(draft, dict) else None
    return name if isinstance(name, str) else None


def _is_loaded_otherwise(engine: EngineConfig) -> bool:
    """The user has chosen how, for all weights or for the draft's."""
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    return "load_format" in args or "draft_load_config" in args["speculative_config"]


def _revision(engine: EngineConfig) -> str | None:
    args = engine.args if isinstance(engine, VllmKnobs) else {}
    value = args["speculative_config"].get("revision")
    return value if isinstance(value, str) else None


def _files(name: str, revision: str | None) -> list[str] | None:
    """Names of a folder's or repository's files, None where they cannot be had."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if Path(name).is_dir():
        return [file.name for file in Path(name).iterdir()]
    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    if isinstance(cached, str):
        found = [file.name for file in Path(cached).parent.iterdir()]
        if any(Path(file).suffix in {_SUFFIX, ".bin"} for file in found):
            return found
    try:
        return HfApi().list_repo_files(name, revision=revision)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return None
    except Exception as error:  # the HTTP client's own errors are no OSError
        if type(error).__module__.split(".")[0] not in {"httpx", "httpcore"}:
            raise
        return None
