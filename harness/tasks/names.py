"""Finds our tasks by the names that other programs and publications use."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.errors import TaskError
from harness.tasks.spec import HubSource, PackageSource, TaskSpec, load_spec, task_names


class Called(NamedTuple):
    """The tasks that go by one of some names, each in the order of ``task_names``."""

    by_name: list[TaskSpec]
    """Tasks by their own name or one of ``known_as``."""
    by_data: list[TaskSpec]
    """Tasks by their data set on the hub, with or without its owner, or by the package that has
    it."""


def tasks_called(names: Iterable[str]) -> list[str]:
    """Our tasks that another program's task can be, sorted.

    Those that go by the name; where no task does, those that go by the data set, which several may
    share. A name in a namespace (``inspect_evals/gsm8k``, ``gsm8k/strict-match``) is all of its
    parts too.

    Args:
        names: As the other program has them.
    """
    given = tuple(names)
    found = specs_called(part for name in given for part in (name, *name.split("/")))
    return sorted(spec.name for spec in found.by_name or found.by_data)


def specs_called(names: Iterable[str]) -> Called:
    """The tasks that go by one of some names; only letters and digits count, of any case."""
    asked = set(_plain(names))
    specs = list(_specs())
    return Called(
        [spec for spec in specs if asked & set(_plain((spec.name, *spec.known_as)))],
        [spec for spec in specs if asked & set(_plain(_data(spec)))],
    )


def _specs() -> Iterator[TaskSpec]:
    for name in task_names():
        try:
            yield load_spec(name)
        except TaskError:
            continue  # harness tasks says what is wrong with it


def _data(spec: TaskSpec) -> Iterator[str]:
    for source in spec.sources:
        if isinstance(source, HubSource):
            yield source.hub_id
            yield source.hub_id.rpartition("/")[2]
        elif isinstance(source, PackageSource):
            yield source.package


def _plain(names: Iterable[str]) -> Iterator[str]:
    return (re.sub(r"[^a-z0-9]", "", name.lower()) for name in names)
