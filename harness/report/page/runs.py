"""The runs that a page is about: found, read, and given a letter each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from harness.errors import StoreError, UserError
from harness.interop.readers import harness_of
from harness.records import Problem
from harness.store.result import RunResult, load
from harness.store.run_files import Run, find_result


@dataclass(frozen=True)
class ReportRun:
    """A result and its place on a page: its letter there, and its folder for texts and subjects.

    Figures are looked up in ``result`` itself. The folder is here because the page streams texts
    and shows prompts, which no result has.
    """

    letter: str
    result: RunResult
    file: Path
    folder: Run | None
    """None for a ``result.json`` that lies alone: no texts and no subjects."""
    problems: dict[str, Problem] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Model and engine."""
        manifest = self.result.manifest
        engine = manifest.engine.name if manifest.engine else manifest.config.engine.kind
        return f"{manifest.config.model.name}, {engine}"


def read_report_runs(given: Sequence[str], results_dir: Path) -> list[ReportRun]:
    """Reads runs by id, folder or ``result.json``.

    Raises:
        StoreError: There is no such run, it was never finished, or its files are none of ours.
        UserError: A file is another harness's, a run is given twice, or there are too many.
    """
    if len(given) > len(ascii_uppercase):
        raise UserError(f"RUN: {len(given)} runs; a page shows up to {len(ascii_uppercase)}")
    runs = [
        _read(each, letter, results_dir)
        for each, letter in zip(given, ascii_uppercase, strict=False)
    ]
    names = Counter(run.result.manifest.run_id for run in runs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"RUN={twice[0]}: given twice; once is right")
    return runs


def _read(given: str, letter: str, results_dir: Path) -> ReportRun:
    file = _result_file(given, results_dir)
    result = load(file)
    if not result.outcomes:
        raise StoreError(f"{file}: has no outcomes; there is nothing to report")
    folder = Run(file.parent)
    has_texts = (file.parent / "completions.jsonl").is_file() and file.name == "result.json"
    if not has_texts:
        return ReportRun(letter, result, file, None)
    return ReportRun(letter, result, file, folder, folder.read_problems())


def _result_file(given: str, results_dir: Path) -> Path:
    file = find_result(given, results_dir)
    if other := harness_of(file):
        raise UserError(f"RUN={given}: a file of {other}; a page shows runs of this harness")
    return file.resolve()


# --- what may be compared ---------------------------------------------------------------------


@dataclass(frozen=True)
class Mismatch:
    """Runs that asked one task in different ways."""

    task: str
    groups: tuple[tuple[str, ...], ...]
    """Letters of the runs that agree with each other."""
    fields: tuple[str, ...]
    """Which parts of the protocol differ, with the values."""


def task_names(runs: Sequence[ReportRun]) -> list[str]:
    """Of all runs, in their order."""
    return list(dict.fromkeys(task.name for run in runs for task in run.result.manifest.tasks))


def by_protocol(runs: Sequence[ReportRun], task: str) -> list[list[ReportRun]]:
    """The runs that asked a task, those together whose scores may be compared."""
    groups: dict[str, list[ReportRun]] = {}
    for run in runs:
        fingerprint = run.result.manifest.protocol_fingerprints.get(task)
        if fingerprint is not None:
            groups.setdefault(fingerprint, []).append(run)
    return list(groups.values())


def mismatches(runs: Sequence[ReportRun]) -> list[Mismatch]:
    """The tasks on which runs may not be compared, and why."""
    found = []
    for task in task_names(runs):
        groups = by_protocol(runs, task)
        if len(groups) > 1:
            fields = [group[0].result.manifest.protocol_fields.get(task, {}) for group in groups]
            letters = tuple(tuple(run.letter for run in group) for group in groups)
            found.append(Mismatch(task, letters, tuple(_differing(fields))))
    return found


def _differing(protocols: Sequence[dict[str, Any]]) -> Iterator[str]:
    for name in sorted(set().union(*protocols)):
        values = [protocol.get(name, "absent") for protocol in protocols]
        if any(value != values[0] for value in values):
            yield f"{name}: {' / '.join(_shown(value) for value in values)}"


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text  # noqa: PLR2004 - a sha256
