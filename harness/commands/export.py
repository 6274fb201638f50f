"""``harness export``: results in another project's format."""

import argparse
import json
import os
from pathlib import Path

from harness.errors import StoreError, UserError
from harness.export import to_lm_eval, to_model_index
from harness.jsonl import read_json
from harness.manifest import RunResult
from harness.store import find_run, runs_dir


def export(options: argparse.Namespace) -> int:
    """Writes the results to stdout or into a file.

    Returns:
        0.

    Raises:
        UserError: The format cannot hold these runs together.
        StoreError: There is no such run, it has no result, or the file cannot be written.
    """
    if options.format == "lm-eval" and len(options.runs) > 1:
        raise UserError(f"RUN: lm-eval's file is of one run, {len(options.runs)} are given")
    results = [_read(given, options.results_dir) for given in options.runs]
    if options.format == "lm-eval":
        text = json.dumps(to_lm_eval(results[0]), indent=2, allow_nan=False) + "\n"
    else:
        text = to_model_index(results)
    if options.output is None:
        print(text, end="")  # noqa: T201
        return 0
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"-o {options.output}: cannot be written: {error.strerror}") from error
    return 0


def _read(given: str, results_dir: Path) -> RunResult:
    path = Path(given).expanduser()
    if path.is_file():
        return read_json(path, RunResult)
    folders = [path] if os.sep in given else [path, runs_dir(results_dir) / given]
    for folder in folders:
        if (folder / "result.json").is_file():
            return read_json(folder / "result.json", RunResult)
    run = find_run(given, results_dir)
    run.refuse_shard()
    raise StoreError(f"run {run.run_id} has no result.json; harness score {run.shown} makes it")
