"""``harness export``: results in another project's format."""

import argparse
import json

from harness.errors import UserError
from harness.interop.export import to_lm_eval, to_model_index
from harness.io.jsonl import user_file
from harness.store.result import load
from harness.store.run_files import find_result


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
    files = [find_result(given, options.results_dir) for given in options.runs]
    results = [load(file) for file in files]
    if options.format == "lm-eval":
        text = json.dumps(to_lm_eval(results[0]), indent=2, allow_nan=False) + "\n"
    else:
        text = to_model_index(results)
    if options.output is None:
        print(text, end="")  # noqa: T201
        return 0
    with user_file(options.output) as stream:
        stream.write(text)
    return 0
