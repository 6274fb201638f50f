"""``harness schema``: the JSON Schema of ``result.json``."""

import argparse
import json

from harness.store.result import result_schema


def schema(_: argparse.Namespace) -> int:
    """Prints the JSON Schema of ``result.json``."""
    print(json.dumps(result_schema(), indent=1))  # noqa: T201
    return 0
