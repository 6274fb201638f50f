"""Which task another program means by a name."""

from collections.abc import Iterable

from harness.errors import TaskError
from harness.tasks.spec import HubSource, TaskSpec, load_spec, task_names


def tasks_called(names: Iterable[str]) -> list[str]:
    """The tasks that go by one of some names, sorted.

    A task goes by its own name and those of ``known_as``; where no task does, by its data set on
    the hub, which several tasks may share. Capital letters, ``-`` and ``_`` make no difference; a
    name in a namespace (``inspect_evals/gsm8k``, ``gsm8k/strict-match``) is all of its parts too.

    Args:
        names: As the other program has them.
    """
    given = tuple(names)
    asked = {_plain(part) for name in given for part in (name, *name.split("/"))}
    specs = list(_specs())
    by_name = [spec.name for spec in specs if asked & _plain_all((spec.name, *spec.known_as))]
    by_data = [spec.name for spec in specs if asked & _plain_all(_hubs(spec))]
    return sorted(by_name or by_data)


def _specs() -> Iterable[TaskSpec]:
    for name in task_names():
        try:
            yield load_spec(name)
        except TaskError:
            continue  # somebody's unfinished task is no reason not to read a log of another


def _hubs(spec: TaskSpec) -> Iterable[str]:
    return (source.hub_id for source in spec.sources if isinstance(source, HubSource))


def _plain_all(names: Iterable[str]) -> set[str]:
    return {_plain(name) for name in names}


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
