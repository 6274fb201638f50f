"""Engines, scorers, readers and tasks of other packages, found by their entry points.

A package declares what it adds in its own metadata, and nothing of it is imported before it is
used::

    [project.entry-points."gegenprobe.engines"]
    toy = "toy_engine:ToyConfig"           # a subclass of BaseEngineConfig of kind "toy"
    [project.entry-points."gegenprobe.scorers"]
    toy_match = "toy_engine:ToyMatch"      # a subclass of ScorerDefinition of that name
    [project.entry-points."gegenprobe.readers"]
    toy_log = "toy_engine:ToyLog"          # reads another harness's logs
    [project.entry-points."gegenprobe.tasks"]
    toy = "toy_engine"                     # a package whose folder holds folders of tasks
"""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from harness.errors import ConfigError

ENGINES, SCORERS = "gegenprobe.engines", "gegenprobe.scorers"
READERS, TASKS = "gegenprobe.readers", "gegenprobe.tasks"
GROUPS = (ENGINES, SCORERS, READERS, TASKS)

T = TypeVar("T")


@cache
def declared(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of installed packages in one group, by name; reads metadata only.

    Raises:
        ConfigError: Two packages declare the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigError(
                f"{group}: {entry.name} is declared by {_distribution(other)} and by "
                f"{_distribution(entry)}; uninstall one of them"
            )
    return found


def added(group: str, built_in: Collection[str]) -> Mapping[str, EntryPoint]:
    """The names that installed packages add to the built-in ones.

    Raises:
        ConfigError: A package declares a built-in name, or two declare the same.
    """
    found = declared(group)
    if taken := sorted(found.keys() & set(built_in)):
        raise ConfigError(
            f"{group}: {taken[0]} is built in and is declared by {_distribution(found[taken[0]])} "
            "too; uninstall that package, or give it another name there"
        )
    return found


def load(group: str, name: str, base: type[T]) -> type[T] | None:
    """The class that a package adds under a name; None where none does.

    Args:
        group: One of the constants of this module.
        name: Of the engine or scorer.
        base: The class must be a subclass of it.

    Raises:
        ConfigError: It cannot be imported, or is something else.
    """
    entry = declared(group).get(name)
    if entry is None:
        return None
    where = f"{name} of {_distribution(entry)} ({entry.value})"
    try:
        loaded = entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{group}: {where} cannot be imported: {reason}") from error
    if not isinstance(loaded, type) or not issubclass(loaded, base):
        raise ConfigError(f"{group}: {where} should be a subclass of {base.__name__}")
    return loaded


def origin(group: str, name: str) -> str | None:
    """``toy-engine 1.0``: the package that adds a name; None for what is built in."""
    entry = declared(group).get(name)
    return None if entry is None else _distribution(entry)


def task_folders() -> Mapping[Path, str]:
    """Folders of other packages that hold folders of tasks, each with its package.

    Raises:
        ConfigError: Two packages declare the same name, or a package's module cannot be found.
    """
    found = [(_found(entry), _distribution(entry)) for entry in declared(TASKS).values()]
    return {
        Path(place): package
        for spec, package in found
        if spec is not None
        for place in spec.submodule_search_locations or ()
    }


def _found(entry: EntryPoint) -> ModuleSpec | None:
    """The folder of a package of tasks; only its parent packages are imported."""
    try:
        return find_spec(entry.value)
    except (ImportError, ValueError) as error:
        where = f"{entry.name} of {_distribution(entry)} ({entry.value})"
        raise ConfigError(f"{TASKS}: {where} cannot be found: {error}") from error


def _distribution(entry: EntryPoint) -> str:
    made = entry.dist
    return "an unknown package" if made is None else f"{made.name} {made.version}"
