"""The only module that knows where files are: in a checkout, in a wheel, in users' folders.

Besides ``conf/`` and ``tasks/`` of the harness there are those of other folders: ``--include`` and
``hydra.searchpath`` put them in front of what the variable ``GEGENPROBE_PATH`` names, so that child
processes see the same.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from harness.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parent
_IS_CHECKOUT = (_CHECKOUT / "conf" / "config.yaml").is_file()
# A wheel carries conf/ and tasks/ under harness/_data (see pyproject.toml).
_SHIPPED = _CHECKOUT if _IS_CHECKOUT else _PACKAGE / "_data"

CONF_DIR = _SHIPPED / "conf"
TASKS_DIR = _SHIPPED / "tasks"
DEFAULT_STUDY = "deepseek_2025"
"""The study of ``conf/study`` that ``harness claims`` judges by default."""

INCLUDED = "GEGENPROBE_PATH"
"""The variable that names folders of the user's, separated as in ``PATH``."""


P = ParamSpec("P")
R = TypeVar("R")


class Place(NamedTuple):
    """A folder of the user's that brings configuration, tasks, or both."""

    folder: Path
    """The folder as given, made absolute."""
    conf: Path | None
    tasks: Path | None


def places() -> tuple[Place, ...]:
    """The folders that ``GEGENPROBE_PATH`` names, in its order, each once.

    Raises:
        ConfigError: One of them is no folder, or has neither ``conf/`` nor ``tasks/``.
    """
    return _places(os.environ.get(INCLUDED, ""), Path.cwd())


def conf_dirs() -> tuple[Path, ...]:
    """The harness's own ``conf/`` and those of the user's folders.

    Raises:
        ConfigError: As of ``places``.
    """
    return (CONF_DIR, *(place.conf for place in places() if place.conf is not None))


def task_dirs() -> tuple[Path, ...]:
    """The harness's own ``tasks/`` and those of the user's folders.

    Raises:
        ConfigError: As of ``places``.
    """
    return (TASKS_DIR, *(place.tasks for place in places() if place.tasks is not None))


def place_of(file: Path) -> Path | None:
    """The user's folder that brings a file; None for one of the harness or of a package."""
    return next(
        (
            place.folder
            for place in places()
            for brought in (place.conf, place.tasks)
            # not of the folder itself: an environment that lies in it holds the harness's own files
            if brought is not None and file.is_relative_to(brought)
        ),
        None,
    )


def include(folders: Iterable[str | Path], key: str = "--include") -> None:
    """Adds folders to those that this process and its children search.

    Args:
        folders: Each holds ``conf/``, ``tasks/``, or both, or is one of these.
        key: What named them, for messages.

    Raises:
        ConfigError: One is no folder, or holds neither.
    """
    named = [_place(str(folder), key, Path.cwd()).folder for folder in folders]
    before = [place.folder for place in places()]
    # A folder whose name holds the separator cannot be named in the variable.
    if wrong := [folder for folder in named if os.pathsep in str(folder)]:
        raise ConfigError(
            f"{key}={wrong[0]}: the path of such a folder should hold no {os.pathsep}"
        )
    if named:
        os.environ[INCLUDED] = os.pathsep.join(map(str, dict.fromkeys([*named, *before])))


@contextmanager
def includes_restored() -> Iterator[None]:
    """Removes included folders again when the context ends: for programs with several runs."""
    before = os.environ.get(INCLUDED)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(INCLUDED, None)
        else:
            os.environ[INCLUDED] = before


def cached_by_places(function: Callable[P, R]) -> Callable[P, R]:
    """A ``functools.cache`` that is cleared when folders are included."""

    @cache
    def kept(_: tuple[Place, ...], given: tuple[Any, ...], named: tuple[tuple[str, Any], ...]) -> R:
        return function(*given, **dict(named))

    @wraps(function)
    def asked(*given: P.args, **named: P.kwargs) -> R:
        return kept(places(), given, tuple(named.items()))

    return asked


def _places(named: str, working_dir: Path) -> tuple[Place, ...]:
    if not named:
        return ()
    found: dict[Path, Place] = {}
    for each in named.split(os.pathsep):
        if each.strip():
            place = _place(each.strip(), INCLUDED, working_dir)
            found.setdefault(place.folder.resolve(), place)
    found.pop(_SHIPPED.resolve(), None)
    return tuple(found.values())


def _place(named: str, key: str, working_dir: Path) -> Place:
    folder = Path(os.path.normpath(working_dir / Path(named).expanduser()))
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise ConfigError(f"{key}={named}: {what}; name one that holds conf/ or tasks/")
    conf, tasks = folder / "conf", folder / "tasks"
    place = Place(folder, conf if conf.is_dir() else None, tasks if tasks.is_dir() else None)
    if place.conf or place.tasks:
        return place
    if folder.name in {"conf", "tasks"}:  # one level too deep, and what was meant is plain
        return _place(str(folder.parent), key, working_dir)
    raise ConfigError(f"{key}={named}: holds neither conf/ nor tasks/; name the folder above them")


# --- files of conf/ ---------------------------------------------------------------------------


def conf_files(group: str) -> dict[str, Path]:
    """The files of a group by name, sorted: the harness's own and those of the user's folders.

    Raises:
        ConfigError: Two files have one name; names both.
    """
    found: dict[str, Path] = {}
    for folder in conf_dirs():
        for file in (folder / group).glob("*.yaml"):
            other = found.setdefault(file.stem, file)
            if other != file:
                raise ConfigError(
                    f"{group}={file.stem}: two files have this name, {other} and {file}; rename "
                    "one, or leave its folder out"
                )
    return dict(sorted(found.items()))


def conf_file(group: str, name: str) -> Path | None:
    """The file of a group's choice, None where there is none.

    Raises:
        ConfigError: There are two.
    """
    files = [folder / group / f"{name}.yaml" for folder in conf_dirs()]
    found = [file for file in files if file.is_file()]
    return conf_files(group)[name] if len(found) > 1 else next(iter(found), None)


def refuse_twins() -> None:
    """Looks whether each file of ``conf/`` is the only one of its group and name.

    Raises:
        ConfigError: One is not.
    """
    folders = conf_dirs()
    if len(folders) > 1:
        files = [file.relative_to(each) for each in folders for file in each.rglob("*.yaml")]
        for group in sorted({str(file.parent) for file in files}):
            conf_files(group)


def shown(file: Path) -> str:
    """A file in messages: ``conf/model/x.yaml``; with its whole path where it is a user's."""
    for own in (CONF_DIR, TASKS_DIR):
        if file.is_relative_to(own):
            return str(file.relative_to(own.parent))
    return str(file)


# --- other folders ----------------------------------------------------------------------------


def default_results_dir() -> Path:
    """``results/`` of the checkout; of the working directory when installed from a wheel."""
    return (_CHECKOUT if _IS_CHECKOUT else Path.cwd()) / "results"


def checkout_dir() -> Path | None:
    """The git checkout that this package runs from, None when it runs from a wheel."""
    return _CHECKOUT if _IS_CHECKOUT else None


def cache_dir() -> Path:
    """The folder for converted models: ``HARNESS_CACHE_DIR``, else the XDG cache folder."""
    if explicit := os.environ.get("HARNESS_CACHE_DIR"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gegenprobe"
