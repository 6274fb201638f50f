"""``harness validate``: whether a run's files are whole and agree with each other."""

import argparse

from harness.errors import StoreError
from harness.runner.shards import asked_ids
from harness.store.manifest import RunManifest
from harness.store.result import load, outcome_of
from harness.store.run_files import Run, find_run


def validate(options: argparse.Namespace) -> int:
    """Checks all files of a run against their records and against each other.

    Raises:
        StoreError: Names the first file, line and field that is wrong.
    """
    run = find_run(options.run, options.results_dir)
    counted = check_run(run)
    print(f"{run.folder}: valid ({counted})")  # noqa: T201
    return 0


def check_run(run: Run) -> str:
    """Reads everything; returns what there is in a few words."""
    manifest = run.read_manifest()
    if manifest.run_id != run.run_id:
        raise StoreError(
            f"{run.folder}: its manifest is of run {manifest.run_id}; the folder should have "
            "that name"
        )
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
