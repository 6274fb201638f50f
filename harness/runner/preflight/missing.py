"""Lists what a run would download, and blocks downloads in offline mode."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.config.settings import RunConfig
from harness.engines.build import BaseEngineConfig
from harness.engines.config import Draft
from harness.errors import UnavailableError
from harness.models import (
    HubModel,
    ModelConfig,
    WheelModel,
    missing_hub_files,
    origin,
    wheel_folder,
)
from harness.tasks import Selection, load_spec, load_task, planned_origin
from harness.tasks.spec import HubSource, TaskSpec

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


class Missing(NamedTuple):
    """Something that a run needs and this machine does not have."""

    what: str
    fetch: str
    """A command that fetches it on a machine with network, or where to put the file."""


def is_offline(config: RunConfig) -> bool:
    """Whether the configuration or the hub's environment variable forbids downloads."""
    return config.offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {
        "1",
        "ON",
        "YES",
        "TRUE",
    }


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Turns off network access of the hub's libraries, here and in processes started here."""
    before = {name: os.environ.get(name) for name in OFFLINE_VARIABLES}
    constants = [
        (module, name, getattr(module, name))
        for module_name in ("huggingface_hub.constants", "datasets.config")
        # They read the environment when they are imported, which may have been long ago.
        if (module := sys.modules.get(module_name)) is not None
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
        if hasattr(module, name)
    ]
    os.environ.update(dict.fromkeys(OFFLINE_VARIABLES, "1"))
    for module, name, _ in constants:
        setattr(module, name, True)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for module, name, value in constants:
            setattr(module, name, value)


def missing(config: RunConfig) -> list[Missing]:
    """Everything that this run would have to download, its model first. Uses no network."""
    with no_network():
        found = _model(config) if config.engine.recording is None else []
        if (draft := draft_to_fetch(config.engine)) is not None:
            found.append(
                Missing(
                    f"{draft}, which drafts (engine.args.speculative_config)",
                    f"hf download {draft.name}"
                    + ("" if draft.revision is None else f" --revision {draft.revision}"),
                )
            )
        for selection in config.selections:
            found += _task(selection, config.data_path)
    return found


def refuse_missing(config: RunConfig) -> None:
    """Refuses an offline run that lacks something.

    Raises:
        UnavailableError: Lists all of it, one line each, with what would fetch it.
    """
    lacking = missing(config)
    if not lacking:
        return
    key = "offline=true" if config.offline else "HF_HUB_OFFLINE=1"
    things = "1 thing is" if len(lacking) == 1 else f"{len(lacking)} things are"
    lines = [f"{key}: {things} not on this machine"]
    lines += [f"  {each.what}; {each.fetch}" for each in lacking]
    raise UnavailableError("\n".join(lines))


def draft_to_fetch(engine: BaseEngineConfig) -> Draft | None:
    """The draft model that vLLM would download itself; None if it is in the hub's cache.

    Raises:
        ConfigError: It is neither a folder nor a name that the hub could have.
    """
    draft = engine.draft()
    if draft is None or Path(draft.name).exists():
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(draft.name, "config.json", revision=draft.revision)
    return None if isinstance(found, str) else draft


def _model(config: RunConfig) -> list[Missing]:
    model: ModelConfig = config.model
    with_weights = config.engine.is_local
    match model:
        case HubModel():
            absent = missing_hub_files(model, with_weights=with_weights)
            if not absent:
                return []
            fetch = f"hf download {model.hub_id} --revision {model.revision}"
            return [Missing(f"model {model.name}: {', '.join(absent)}", fetch)]
        case WheelModel():
            folder = wheel_folder(model)
            if (folder / "config.json").is_file():
                return []
            fetch = f"run it once with the network, or copy {folder} from where it was"
            return [Missing(f"model {model.name}: {origin(model)}", fetch)]
        case _:
            return []  # a folder is looked into when it is resolved


def _task(selection: Selection, data_dir: Path | None) -> list[Missing]:
    spec = load_spec(selection.task)
    where, needs_network = planned_origin(spec, data_dir)
    if not needs_network:
        return []
    try:
        load_task(selection, data_dir)  # the cache of datasets may have it
    except UnavailableError:
        return [Missing(f"task {spec.name}: {where}", _how_to_fetch(spec))]
    return []


def _how_to_fetch(spec: TaskSpec) -> str:
    mirror = f"put {spec.name}.jsonl into HARNESS_DATA_DIR"
    for source in spec.sources:
        if isinstance(source, HubSource):
            given = [repr(source.hub_id)]
            given += [repr(source.config)] if source.config else []
            given.append(f"split={source.split!r}")
            given += [f"revision={source.revision!r}"] if source.revision else []
            call = f"load_dataset({', '.join(given)})"
            return f'python -c "from datasets import load_dataset; {call}", or {mirror}'
    return mirror
