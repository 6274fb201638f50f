"""Which task another program means by a name."""

from collections.abc import Iterable

from harness.errors import TaskError
from harness.tasks.spec import HubSource, TaskSpec, load_spec, task_names


def tasks_called(names: Iterable[str]) -> list[str]:
    """The tasks that go by one of some names, sorted.

    A task goes by its own name, those of ``known_as`` and its data set on the hub. Small and
    capital letters, ``-`` and ``_`` are the same; a name in a namespace (``inspect_evals/gsm8k``,
    ``gsm8k/strict-match``) stands for its parts too.

    Args:
        names: As the other program has them.
    """
    asked = {_plain(part) for name in names for part in (name, *name.split("/"))}
    return sorted(spec.name for spec in _specs() if asked & _names(spec))


def _specs() -> Iterable[TaskSpec]:
    for name in task_names():
        try:
            yield load_spec(name)
        except TaskError:
            continue  # somebody's unfinished task is no reason not to read a log of another


def _names(spec: TaskSpec) -> set[str]:
    hubs = [source.hub_id for source in spec.sources if isinstance(source, HubSource)]
    return {_plain(name) for name in (spec.name, *spec.known_as, *hubs)}


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
