"""``harness tasks``, ``models``, ``schema``, ``validate``: what there is, and if it is whole."""

import json
from pathlib import Path

from rich.table import Table

from harness.errors import ConfigError, StoreError, TaskError
from harness.io.paths import place_of
from harness.io.terminal import open_console
from harness.models import origin
from harness.models.listed import ListedModel, model_names, read_model
from harness.models.memory import unquantised_bytes
from harness.runner.shards import asked_ids
from harness.store.manifest import RunManifest
from harness.store.result import load, outcome_of, result_schema
from harness.store.run_files import Run, find_run
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


def tasks() -> int:
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
        where, _ = planned_origin(spec)
        count = "unknown" if spec.problems is None else f"{spec.problems:,}"
        row = (f"{name}@{spec.version}", count, spec.scorer, where, spec.description)
        table.add_row(*row, *([brought.get(name)] if brought else []))
    _print(table)
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


def models() -> int:
    """Lists the models of ``conf/model``.

    Raises:
        ConfigError: Files describe no model; the others have been listed.
    """
    listed, mistakes = [], []
    for name in model_names():
        try:
            listed.append(read_model(name))
        except ConfigError as error:
            mistakes.append(str(error))
    table = Table("model", "parameters", "bf16", "context", "origin", "licence", show_edge=False)
    places = {each.name: place_of(each.file) for each in listed}
    if any(places.values()):
        table.add_column(FROM, overflow="fold")
    for each in listed:
        place = [str(places[each.name] or "")] if any(places.values()) else []
        table.add_row(each.name, *_cells(each), *place)
    _print(table)
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return 0


def _cells(listed: ListedModel) -> tuple[str, str, str, str, str]:
    model = listed.model
    if model is None:
        key = listed.needed[0]
        return "", "", "", f"model.{key}={key.upper()}", ""
    size = model.parameters
    return (
        "unknown" if size is None else f"{size / 1e9:.3f} B",
        "unknown" if size is None else f"{unquantised_bytes(size) / 1e9:.1f} GB",
        "unknown" if model.context_tokens is None else f"{model.context_tokens:,}",
        origin(model),
        model.licence or "unknown",
    )


def schema() -> int:
    """Prints the JSON Schema of ``result.json``."""
    print(json.dumps(result_schema(), indent=1))  # noqa: T201
    return 0


def validate(name: str, results_dir: Path) -> int:
    """Checks all files of a run against their records and against each other.

    Raises:
        StoreError: Names the first file, line and field that is wrong.
    """
    run = find_run(name, results_dir)
    counted = check_run(run)
    print(f"{run.folder}: valid ({counted})")  # noqa: T201
    return 0


def check_run(run: Run) -> str:
    """Reads everything; returns what there is in a few words."""
    manifest = run.read_manifest()
    if manifest.run_id != run.run_id:
        raise StoreError(f"{run.folder}: its manifest is of run {manifest.run_id}")
    problems, prompts = run.read_problems(), run.read_prompts()
    if problems.keys() != prompts.keys():
        raise StoreError(f"{run.folder}: problems.jsonl and prompts.jsonl are of other problems")
    asked = asked_ids(problems, manifest.config)
    done = {completion.request_id for completion in run.read_completions()}
    graded = run.read_verdicts().keys()
    for what, ids in (("completions", done), ("verdicts", graded)):
        if strange := sorted(ids - asked):
            raise StoreError(
                f"{run.folder}/{what}.jsonl: {strange[0]} is not among the run's requests"
            )
    if manifest.status == "complete":
        for what, ids in (("completions", done), ("verdicts", graded)):
            if missing := sorted(asked - ids):
                raise StoreError(
                    f"{run.folder}: complete, but {what}.jsonl lacks {len(missing)} of "
                    f"{len(asked)} requests, {missing[0]} among them"
                )
        if manifest.config.shard is None:
            _check_result(run, manifest)
    shard = "" if manifest.config.shard is None else f"shard {manifest.config.shard_name}, "
    return (
        f"{shard}{manifest.status}, {len(problems)} problems, "
        f"{len(done)} of {len(asked)} completions, {len(graded)} verdicts"
    )


def _check_result(run: Run, manifest: RunManifest) -> None:
    """The result is this run's, and each of its outcomes is what verdict and completion say."""
    result = load(run.folder)
    if result.manifest != manifest:
        raise StoreError(f"{run.folder}: result.json is of another manifest.json")
    said = {outcome.request_id: outcome for outcome in result.outcomes}
    verdicts = run.read_verdicts()
    found = {
        completion.request_id: outcome_of(completion, verdicts[completion.request_id])
        for completion in run.read_completions(with_text=False)
    }
    if wrong := sorted(
        key for key in said.keys() | found.keys() if said.get(key) != found.get(key)
    ):
        raise StoreError(
            f"{run.folder}/result.json: {len(wrong)} of its outcomes are not what verdicts.jsonl "
            f"and completions.jsonl say, {wrong[0]} among them; harness score {run.shown} makes "
            "it anew"
        )


def _print(table: Table) -> None:
    console = open_console(width=200)
    console.print(table)
