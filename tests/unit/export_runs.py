"""Finished runs to export: the committed recordings, with the results that they come to."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.io.jsonl import read_json
from harness.records import Completion, Prompt, Verdict
from harness.runner.build_result import build_result
from harness.store.manifest import RunManifest
from harness.store.result import RunResult, load
from harness.store.run_files import Run

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs"


def finished(
    folder: Path,
    *,
    recording: str = "r1_style",
    completions: Mapping[str, Mapping[str, object]] | None = None,
    verdicts: Mapping[str, Mapping[str, object]] | None = None,
    prompts: Mapping[str, Mapping[str, object]] | None = None,
) -> RunResult:
    """A run of AIME and HumanEval, four samples a problem, with every kind of verdict.

    One request was cut off, some were, and one ended in an error after it was asked again.

    Args:
        folder: Where it goes; it must not exist.
        recording: Another committed recording.
        completions: By request id, what is to be otherwise.
        verdicts: The same.
        prompts: By problem id, what is to be otherwise.
    """
    shutil.copytree(GOLDEN / recording, folder)
    _rewrite(folder / "completions.jsonl", Completion, completions or {})
    _rewrite(folder / "verdicts.jsonl", Verdict, verdicts or {})
    _rewrite(folder / "prompts.jsonl", Prompt, prompts or {})
    manifest = read_json(folder / "manifest.json", RunManifest)
    build_result(Run(folder), manifest).write(folder)
    return load(folder)


def _rewrite(
    file: Path,
    kind: type[Completion | Verdict | Prompt],
    changes: Mapping[str, Mapping[str, object]],
) -> None:
    lines = []
    for line in file.read_text("utf-8").splitlines():
        record = kind.model_validate_json(line)
        name = record.problem_id if isinstance(record, Prompt) else record.request_id
        changed = {**record.model_dump(), **changes.get(name, {})}
        lines.append(kind.model_validate(changed).model_dump_json())
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
