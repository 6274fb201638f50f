"""``harness export``: results in another project's format."""

import argparse
import json
from pathlib import Path
from typing import get_args

from harness.errors import UserError
from harness.interop.export import (
    Benchmark,
    Evaluator,
    Relationship,
    to_eval_results,
    to_lm_eval,
    to_model_index,
    write_eee,
    write_inspect,
)
from harness.io.jsonl import user_file
from harness.store.result import RunResult, load
from harness.store.run_files import find_result

_OPTIONS = {
    "eee": ("organisation", "evaluator_relationship", "model_id"),
    "eval-results": ("benchmark", "source_url"),
}
"""Those that only one format has a use for."""


def export(options: argparse.Namespace) -> int:
    """Writes the results to stdout or into a file, or into a folder the files of each run.

    Returns:
        0.

    Raises:
        UserError: The format cannot hold these runs together, or an option is wrong or missing.
        StoreError: There is no such run, it has no result, or a file cannot be written.
    """
    _check_options(options)
    files = [find_result(given, options.results_dir) for given in options.runs]
    # A folder is loaded with its texts, which a file of another name does not know of.
    results = [load(file) for file in files]
    if options.format in {"eee", "inspect"}:
        return _write_files(options, results)
    text = _text(options, results)
    if options.output is None:
        print(text, end="")  # noqa: T201
        return 0
    with user_file(options.output) as stream:
        stream.write(text)
    return 0


def _check_options(options: argparse.Namespace) -> None:
    for only, names in _OPTIONS.items():
        for name in names:
            if options.format != only and getattr(options, name):
                shown = name.replace("_", "-")
                raise UserError(
                    f"--{shown}: is for export {only}, not {options.format}; leave it out"
                )
    if options.format == "lm-eval" and len(options.runs) > 1:
        raise UserError(
            f"RUN: {len(options.runs)} are given, and a file of lm-eval holds one; export each"
        )


def _write_files(options: argparse.Namespace, results: list[RunResult]) -> int:
    """Names each file on stdout as it is written."""
    folder = options.output or Path()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o {folder}: is a file; export {options.format} writes into a folder")
    evaluator = _evaluator(options) if options.format == "eee" else None
    for result in results:
        if evaluator is None:
            files = write_inspect(result, folder)
        else:
            files = write_eee(result, folder, evaluator, options.model_id)
        for file in files:
            print(file)  # noqa: T201
    return 0


def _evaluator(options: argparse.Namespace) -> Evaluator:
    allowed = ", ".join(get_args(Relationship))
    if not (options.organisation or "").strip():
        raise UserError("--organisation: missing; the name of whoever ran the evaluation")
    given = options.evaluator_relationship
    if given is None:
        raise UserError(f"--evaluator-relationship: missing; to the model's makers: {allowed}")
    if given not in get_args(Relationship):
        raise UserError(f"--evaluator-relationship={given}: should be one of {allowed}")
    return Evaluator(options.organisation.strip(), given)


def _text(options: argparse.Namespace, results: list[RunResult]) -> str:
    match options.format:
        case "lm-eval":
            return json.dumps(to_lm_eval(results[0]), indent=2, allow_nan=False) + "\n"
        case "eval-results":
            given = [_benchmark(each) for each in options.benchmark]
            return to_eval_results(results, dict(given), options.source_url)
        case _:
            return to_model_index(results)


def _benchmark(given: str) -> tuple[str, Benchmark]:
    task, _, rest = given.partition("=")
    try:
        return task, Benchmark.parse(rest)
    except ValueError as error:
        raise UserError(f"--benchmark={given}: {error}") from error
