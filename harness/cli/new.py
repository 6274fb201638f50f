"""``harness new``: writes a task, model, engine, scorer or study to begin one's own with."""

import argparse
import keyword
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from harness.engines.build import is_built_in
from harness.errors import ConfigError, UserError
from harness.io.extensions import ENGINES, declared
from harness.io.paths import conf_dirs, conf_file
from harness.scorers.build import is_scorer
from harness.tasks import folder_of

SKELETONS = Path(__file__).with_name("skeletons")
"""A folder for each kind; ``NAME`` in paths and texts is replaced."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NEXT = {
    "task": (
        "harness tasks --include {dir}",
        "harness run --include {dir} tasks=[{name}] experiment=demo --dry-run",
    ),
    "model": (
        "harness models --include {dir}",
        "harness run --include {dir} model={name} protocol=greedy tasks=[math_mini:5] --dry-run",
    ),
    "engine": (
        "pip install -e {dir}/{name}_engine",
        "pytest {dir}/{name}_engine/tests",
        "harness run engine={name} model=remote model.name=my-model protocol=greedy "
        "tasks=[math_mini:3]",
    ),
    "scorer": (
        "pip install -e {dir}/{name}_scorer",
        "pytest {dir}/{name}_scorer/tests",
        "harness tasks",
    ),
    "study": ("harness claims --study {dir}/conf/study/{name}",),
}
"""What to try next, by kind."""
KINDS = tuple(_NEXT)


class _File(NamedTuple):
    path: Path
    text: str


def new(options: argparse.Namespace) -> int:
    """Writes the files of a kind, and prints them and what to try next.

    Raises:
        UserError: The name cannot be used, is taken, or a file is there already.
    """
    kind, name, folder = options.kind, options.name, options.dir
    _check_name(kind, name)
    files = list(_files(kind, name, folder))
    if there := next((each.path for each in files if each.path.exists()), None):
        raise UserError(
            f"{there}: is there already and stays as it is; give another NAME, or another folder "
            "with --dir"
        )
    try:
        for file in files:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--dir={folder}: cannot be written: {error.strerror}") from error
    for file in files:
        print(file.path)  # noqa: T201
    print("\nnext:")  # noqa: T201
    for command in _NEXT[kind]:
        print(f"  {command.format(name=name, dir=folder)}")  # noqa: T201
    return 0


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"NAME={name}: should be small letters, digits and _, such as my_{kind}, and begin "
            "with a letter"
        )
    if (taken := _taken(kind, name)) is not None:
        raise UserError(f"NAME={name}: {taken} has this name already; choose another")


def _taken(kind: str, name: str) -> str | None:
    """What has the name, None where nothing has."""
    match kind:
        case "task":
            folder = folder_of(name)
            return None if folder is None else f"the task in {folder}"
        case "model":
            file = conf_file("model", name)
            return None if file is None else f"the model in {file}"
        case "engine":
            is_taken = is_built_in(name) or name in declared(ENGINES)
            return "an engine" if is_taken else None
        case "scorer":
            return "a scorer" if is_scorer(name) else None
        case _:
            folders = (each / "study" / name for each in conf_dirs())
            found = next((each for each in folders if each.is_dir()), None)
            return None if found is None else f"the study in {found}"


def _files(kind: str, name: str, folder: Path) -> Iterator[_File]:
    skeleton = SKELETONS / kind
    replaced = {
        "NAME": name,
        "Name": "".join(part.title() for part in name.split("_")),
        "TODAY": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    sources = [each for each in skeleton.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    if not sources:
        raise ConfigError(f"{skeleton}: not there; install gegenprobe anew")
    for source in sorted(sources):
        path = folder / _filled(str(source.relative_to(skeleton)), replaced)
        yield _File(path, _filled(source.read_text(encoding="utf-8"), replaced))


def _filled(text: str, replaced: Mapping[str, str]) -> str:
    """Replaces whole words and parts of names: ``NAME_engine``, ``NameConfig``."""
    for mark, value in replaced.items():
        text = re.sub(rf"(?<![A-Za-z]){mark}(?![a-z])", value, text)
    return text
