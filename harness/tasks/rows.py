"""Reads a task's data: from a mirror, a file, a package or the hub."""

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from harness.errors import TaskError, UnavailableError
from harness.tasks.files import Row, read_file, rows_of_table
from harness.tasks.spec import EmbeddedSource, HubSource, PackageSource, TaskSpec, folder_of

log = logging.getLogger(__name__)

DATA_DIR_VARIABLE = "HARNESS_DATA_DIR"


def planned_origin(spec: TaskSpec, data_dir: Path | None = None) -> tuple[str, bool]:
    """Where the problems would be read from, and whether that needs the network."""
    if mirror := _find_mirror(_mirror_names(spec), data_dir):
        return str(mirror), False
    for source in spec.sources:
        if isinstance(source, HubSource):
            return f"{source.hub_id} (Hugging Face hub)", True
        if file := _source_file(spec, source):
            return _file_origin(source, file), False
    return "nowhere", True


def read_rows(
    spec: TaskSpec, data_dir: Path | None, mirrors: Sequence[str] | None = None
) -> tuple[list[Row], str]:
    """Reads all rows from the mirror or the first available source; returns its name too.

    Args:
        spec: The task.
        data_dir: A folder of local mirrors.
        mirrors: File names of mirrors; None: those of the task's problems.

    Raises:
        TaskError: The file that was found cannot be read.
        UnavailableError: There is none, and the hub cannot be reached.
    """
    names = _mirror_names(spec) if mirrors is None else mirrors
    if mirror := _find_mirror(names, data_dir):
        return _read(spec, mirror), f"mirror {mirror.name}"
    failures = []
    for source in spec.sources:
        if isinstance(source, HubSource):
            try:
                return _read_hub(source), f"hub {source.hub_id}@{source.revision or 'main'}"
            except (OSError, ValueError) as error:
                reason = str(error).strip().splitlines()[0]
                failures.append(f"hub {source.hub_id}: {type(error).__name__}: {reason[:160]}")
        elif file := _source_file(spec, source):
            return _read(spec, file), _file_origin(source, file)
        else:
            failures.append(f"{source.kind} {source.file}: not there")
    raise UnavailableError(
        f"task {spec.name}: its problems are not available ({'; '.join(failures)}); put a mirror "
        f"named {' or '.join(names)} into a folder and set data_dir (or {DATA_DIR_VARIABLE}) to it"
    )


def _read(spec: TaskSpec, file: Path) -> list[Row]:
    try:
        return read_file(file)
    except TaskError as error:
        raise TaskError(f"task {spec.name}: {error}") from error


def _mirror_names(spec: TaskSpec) -> tuple[str, ...]:
    return (f"{spec.name}.jsonl", *spec.mirror)


def _find_mirror(names: Sequence[str], data_dir: Path | None) -> Path | None:
    named = os.environ.get(DATA_DIR_VARIABLE)
    folder = data_dir or (Path(named) if named else None)
    if folder is None:
        return None
    if not folder.expanduser().is_dir():
        raise TaskError(f"data_dir={folder}: no such folder; give a folder of local mirrors")
    files = (folder.expanduser() / name for name in names)
    return next((file for file in files if file.exists()), None)


def _source_file(spec: TaskSpec, source: EmbeddedSource | PackageSource) -> Path | None:
    match source:
        case EmbeddedSource():
            folder = folder_of(spec.name)
            if folder is None:
                return None
            file = source.path_in(folder)
        case PackageSource():
            found = find_spec(source.package)
            if found is None or not found.submodule_search_locations:
                return None
            file = Path(next(iter(found.submodule_search_locations))) / source.file
        case _:
            assert_never(source)
    return file if file.exists() else None


def _file_origin(source: EmbeddedSource | PackageSource, file: Path) -> str:
    if isinstance(source, PackageSource):
        return f"package {source.package}"
    return f"embedded {file.name}"


def _read_hub(source: HubSource) -> list[Row]:
    import datasets

    datasets.disable_progress_bars()
    if not datasets.config.HF_HUB_OFFLINE:
        log.info("asking the Hugging Face hub for %s", source.hub_id)
    loaded = datasets.load_dataset(
        source.hub_id, source.config, split=source.split, revision=source.revision
    )
    return rows_of_table(loaded.with_format("arrow")[:], source.hub_id)
