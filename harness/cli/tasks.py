"""``harness tasks``: the tasks that there are."""

import argparse

from rich.table import Table

from harness.errors import TaskError
from harness.io.paths import place_of
from harness.io.terminal import open_console
from harness.tasks import (
    folder_of,
    load_spec,
    misnamed_tasks,
    package_of,
    planned_origin,
    task_names,
)

FROM = "from"
"""Heads the column that is there where a folder of the user's or a package brings something."""
_WIDTH = 200
"""Of a pipe: a line for each task, to be searched."""


def tasks(_: argparse.Namespace) -> int:
    """Lists the tasks; reads no data.

    Raises:
        TaskError: Definitions are wrong; the others have been listed.
    """
    mistakes = misnamed_tasks()
    names = task_names()
    brought = {name: each for name in names if (each := _brought_by(name)) is not None}
    table = Table("task", "problems", "scorer", "source now", "description", show_edge=False)
    if brought:
        table.add_column(FROM, overflow="fold")
    for name in names:
        try:
            spec = load_spec(name)
        except TaskError as error:
            mistakes.append(str(error))
            continue
        where = planned_origin(spec)[0]
        count = "unknown" if spec.problems is None else f"{spec.problems:,}"
        row = (f"{name}@{spec.version}", count, spec.scorer, where, spec.description)
        table.add_row(*row, *([brought.get(name)] if brought else []))
    open_console(width=_WIDTH).print(table)
    if mistakes:
        raise TaskError("; ".join(mistakes))
    return 0


def _brought_by(task: str) -> str | None:
    """The package or the user's folder that a task came with; None for the harness's own."""
    try:
        folder = folder_of(task)
    except TaskError:  # there are two, which is said where it is read
        return None
    place = None if folder is None else place_of(folder)
    return package_of(task) or (None if place is None else str(place))
