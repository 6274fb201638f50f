"""Finds the task, metric and model for a published figure."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import ConfigError, UserError
from harness.interop.published_figures import PublishedFigure
from harness.io.paths import conf_files, shown
from harness.io.yamlfile import read_yaml
from harness.tasks import TaskSpec, task_names
from harness.tasks.names import specs_called

_ACCURACY = frozenset(
    {
        *("acc", "accuracy", "em", "exact_match", "exactmatch", "mean_acc", "mean", "pass_rate"),
        *("quasi_exact_match", "qem", "extractive_match", "math_verify", "score", "pass@1"),
    }
)
"""Names under which others publish the share of problems solved."""


class TaskFound(NamedTuple):
    """The tasks with a figure's problems."""

    names: tuple[str, ...]
    """The one to run first."""
    why_not: str | None = None


class ModelFound(NamedTuple):
    """The model that a figure is of."""

    argument: str | None
    """The value for ``model=``; None where unknown."""
    names: tuple[str, ...] = ()
    """The files of ``conf/model`` with its weights."""
    hub_id: str | None = None
    path: Path | None = None
    other_weights: str | None = None
    """How the weights here differ from the published ones."""


# --- the benchmark ----------------------------------------------------------------------------


def find_task(
    figure: PublishedFigure, shots: int | None = None, wanted: str | None = None
) -> TaskFound:
    """The tasks that ask the same problems.

    Args:
        figure: Its data set and split are looked for among the names and sources of every task.
        shots: How many solved examples were shown; None: unknown.
        wanted: The task that the user names; None: as found.

    Raises:
        UserError: There is no such task.
    """
    if wanted is not None:
        if wanted not in task_names():
            raise UserError(f"--task {wanted}: no such task; there are {', '.join(task_names())}")
        return TaskFound((wanted,))
    named = specs_called([figure.dataset, figure.dataset.rpartition("/")[2]])
    # A task that goes by the name may have others with the same problems.
    data = [source for spec in named.by_name for source in spec.sources]
    same = specs_called(source.hub_id for source in data if source.kind == "hub").by_data
    found = list({spec.name: spec for spec in (*named.by_name, *named.by_data, *same)}.values())
    if not found:
        return TaskFound((), f"no task has the problems of {figure.dataset}")
    splits = {split for spec in found for split in _splits(spec)}
    if figure.split is not None and splits and figure.split not in splits:
        asked = " or ".join(sorted(splits))
        return TaskFound((), f"split {figure.split} of {figure.dataset}; the task here is {asked}")
    return TaskFound(tuple(spec.name for spec in _by_examples(found, shots or 0)))


def _by_examples(found: list[TaskSpec], shots: int) -> list[TaskSpec]:
    """First the form that fits: for few-shot prompts the one with the data set's own examples."""

    def order(spec: TaskSpec) -> tuple[bool, str]:
        has_own = spec.fewshot is not None and bool(spec.fewshot.sources)
        return has_own != (shots > 0), spec.name

    return sorted(found, key=order)


def _splits(spec: TaskSpec) -> Iterator[str]:
    for source in spec.sources:
        if source.kind == "hub":
            yield source.split


# --- the metric -------------------------------------------------------------------------------


def not_accuracy(figure: PublishedFigure) -> str | None:
    """Why a figure is no share of problems solved; None where it is, or may be: no metric named."""
    if figure.percent is None:
        return f"{figure.value:g} is no share of problems"
    if figure.metric is None:
        return None
    name = figure.metric.lower().strip()
    is_known = name in _ACCURACY or any(
        name.startswith(f"{known}{mark}") for known in _ACCURACY for mark in (",", "(", " (")
    )
    return None if is_known else f"metric {figure.metric} is not computed here"


# --- the model --------------------------------------------------------------------------------


def find_model(named: str | None) -> ModelFound:
    """A model by its repository, its name in ``conf/model`` or a folder on this disk."""
    if named is None:
        return ModelFound(None)
    every = _conf_models()
    same = [(name, raw) for name, raw in every if named in (name, raw.get("hub_id"))]
    stored = [(name, raw) for name, raw in every if raw.get("weights_of") == named]
    if found := same or stored:
        name, raw = found[0]
        names = tuple(each for each, _ in found)
        stored_of = raw.get("weights_of")
        other = None if stored_of is None else raw.get("source") or f"of {stored_of}, stored anew"
        return ModelFound(name, names, raw.get("hub_id") or stored_of, other_weights=other)
    path = Path(named).expanduser()
    if path.exists():
        return ModelFound(str(path), path=path.absolute())
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", named):
        return ModelFound(named, hub_id=named)
    return ModelFound(None)


def _conf_models() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, dict(read_yaml(file, shown(file), ConfigError)))
        for name, file in conf_files("model").items()
    ]
