"""Tasks: definitions in ``tasks/<name>/task.yaml``, their problems, and the subset of a run.

A task is a definition, not a knob: nothing in it can be overridden from the command line, so
no other benchmark can be published under the same name. Its problems may come from several places
(this repository, a Python package, the hub, a local mirror); the digest over the problems says
that they are the same wherever they came from.

``spec`` reads definitions, ``rows`` finds the data they point at, ``files`` reads them, ``load``
makes problems of them, ``subset`` draws.
"""

from harness.tasks.fewshot import Shots, examples_sha256
from harness.tasks.load import Task, load_task
from harness.tasks.rows import planned_origin
from harness.tasks.spec import (
    BEFORE_ANSWER,
    Selection,
    TaskSpec,
    definition_sha256,
    folder_of,
    known_selection,
    load_spec,
    misnamed_tasks,
    own_definition_sha256,
    package_of,
    parse_selection,
    task_names,
)
from harness.tasks.subset import digest, stratified_subset

__all__ = [
    "BEFORE_ANSWER",
    "Selection",
    "Shots",
    "Task",
    "TaskSpec",
    "definition_sha256",
    "digest",
    "examples_sha256",
    "folder_of",
    "known_selection",
    "load_spec",
    "load_task",
    "misnamed_tasks",
    "own_definition_sha256",
    "package_of",
    "parse_selection",
    "planned_origin",
    "stratified_subset",
    "task_names",
]
