"""``harness tasks``, ``models``, ``schema``, ``validate``: what there is, and if it is whole."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from harness.errors import ConfigError, StoreError, TaskError
from harness.io.paths import CONF_DIR
from harness.io.yamlfile import read_yaml
from harness.models import ModelConfig, origin
from harness.models.memory import unquantised_bytes
from harness.runner.shards import asked_ids
from harness.store.manifest import RunManifest
from harness.store.result import load, outcome_of, result_schema
from harness.store.run_files import Run, find_run
from harness.tasks import load_spec, misnamed_tasks, planned_origin, task_names

NEEDED = "???"
"""OmegaConf's mark of a value that must be given."""


def tasks() -> int:
    """Lists the tasks; reads no data.

    Raises:
        TaskError: Definitions are wrong; the others have been listed.
    """
    mistakes = misnamed_tasks()
    table = Table("task", "problems", "scorer", "source now", "description", show_edge=False)
    for name in task_names():
        try:
            spec = load_spec(name)
        except TaskError as error:
            mistakes.append(str(error))
            continue
        where, _ = planned_origin(spec)
        count = "unknown" if spec.problems is None else f"{spec.problems:,}"
        table.add_row(f"{name}@{spec.version}", count, spec.scorer, where, spec.description)
    _print(table)
    if mistakes:
        raise TaskError("; ".join(mistakes))
    return 0


def models() -> int:
    """Lists the models of ``conf/model``."""
    table = Table("model", "parameters", "bf16", "context", "origin", "licence", show_edge=False)
    for name, raw in model_files().items():
        if needed := [key for key, value in raw.items() if value == NEEDED]:
            table.add_row(name, "", "", "", f"model.{needed[0]}={needed[0].upper()}", "")
            continue
        model = TypeAdapter[ModelConfig](ModelConfig).validate_python(raw)
        size = model.parameters
        table.add_row(
            name,
            "unknown" if size is None else f"{size / 1e9:.3f} B",
            "unknown" if size is None else f"{unquantised_bytes(size) / 1e9:.1f} GB",
            "unknown" if model.context_tokens is None else f"{model.context_tokens:,}",
            origin(model),
            model.licence or "unknown",
        )
    _print(table)
    return 0


def model_files() -> dict[str, dict[str, Any]]:
    """The contents of ``conf/model/*.yaml`` by name."""
    files = sorted((CONF_DIR / "model").glob("*.yaml"))
    return {file.stem: read_yaml(file, f"conf/model/{file.name}", ConfigError) for file in files}


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
            raise StoreError(f"{run.folder}/{what}.jsonl: {strange[0]} was never asked")
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
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file or a pipe has no width; let lines be as long as they are
    console.print(table)
