"""Run by Inspect's Python: what its own reader finds in the logs of a folder, as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries


def described(file: Path) -> dict[str, Any]:
    try:
        log = read_eval_log(str(file), resolve_attachments="full")
        summaries = read_eval_log_sample_summaries(str(file))
    except Exception as error:  # noqa: BLE001 - whatever it says of a file that it does not take
        return {"refused": f"{type(error).__name__}: {error}"}
    return {
        "log": log.model_dump(mode="json", exclude_none=True),
        "summaries": [each.model_dump(mode="json", exclude_none=True) for each in summaries],
    }


if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).glob("*.eval"))
    print(json.dumps({file.name: described(file) for file in files}))  # noqa: T201
