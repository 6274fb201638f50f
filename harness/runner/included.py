"""The files of ``--include`` folders that a run uses: records them, and finds them on resume."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.config.settings import Included, RunConfig
from harness.errors import UnavailableError
from harness.io.paths import conf_file, conf_files, include, place_of
from harness.runner.build_result import AUTO
from harness.tasks import folder_of

TASK, PRICING = "task", "pricing"


def with_included(config: RunConfig, choices: Mapping[str, Any]) -> RunConfig:
    """The configuration with a record of each file that came from an included folder.

    Args:
        config: As composed, or as recorded and changed.
        choices: By group of ``conf/``, which of its files were chosen; a name, or several.
    """
    kept = {key: each for key, each in config.included.items() if key.split()[0] not in choices}
    found = {key: noted for key, file in _used(config, choices) if (noted := _note(file))}
    included = dict(sorted({**found, **kept}.items()))
    return config.model_copy(update={"included": included})


def include_again(included: Mapping[str, Included], kinds: Collection[str] | None = None) -> None:
    """Makes the folders of a recorded configuration visible to this process.

    Args:
        included: As recorded.
        kinds: Only things of these kinds are needed; None: all.

    Raises:
        UnavailableError: A thing is neither where it was nor in a folder that is included now.
    """
    for key, recorded in included.items():
        kind, name = key.split(maxsplit=1)
        if (kinds is not None and kind not in kinds) or _find(kind, name) is not None:
            continue
        folder = Path(recorded.folder)
        if not (folder / recorded.file).is_file():
            found = folder.is_dir()
            what = f"which no longer has {recorded.file}" if found else "which does not exist"
            raise UnavailableError(
                f"{key} came from {folder}, {what}; restore it, or name the folder that holds "
                f"{recorded.file} with --include"
            )
        include([folder])


def _used(config: RunConfig, choices: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    for group, chosen in choices.items():
        for name in chosen if isinstance(chosen, list) else [chosen]:
            if name is not None and (file := conf_file(group, str(name))) is not None:
                yield f"{group} {name}", file
    for selection in config.selections:
        if (folder := folder_of(selection.task)) is not None:
            yield f"{TASK} {selection.task}", folder / "task.yaml"
    if config.pricing.name == AUTO:  # any of them may turn out to be for the device
        for name, file in conf_files(PRICING).items():
            yield f"{PRICING} {name}", file


def _find(kind: str, name: str) -> Path | None:
    return folder_of(name) if kind == TASK else conf_file(kind, name)


def _note(file: Path) -> Included | None:
    """The record of a file; None for a file of the harness or of a package."""
    folder = place_of(file)
    if folder is None:
        return None
    return Included(
        folder=str(folder),
        file=str(file.relative_to(folder)),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
