"""Results as records of Every Eval Ever: an aggregate for each task, and a row for each sample.

Keys and paths are those of schema 0.3.0 and of the datastore's rules (every-eval-ever 0.3.0)::

    data/<task>/<developer>/<model>/<uuid>.json
    data/<task>/<developer>/<model>/<uuid>_samples.jsonl

What is unknown is left out. The schema requires some facts that a run does not always have:

- who evaluated, and their relationship to the model's makers: given by the user;
- the model's name on the hub: the user's, where the run has none;
- whether others can have the weights: ``unknown``, unless a model of the hub has a licence;
- when the record was made: the end of the run, so that one run always gives the same files;
- a score for every row: a request that ended in an error has none, so it has no row. The aggregate
  counts it.
"""

import hashlib
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.errors import UserError
from harness.interop.export.answered import answered
from harness.interop.export.eee_aggregate import (
    SCHEMA_VERSION,
    EeeRecord,
    Evaluator,
    RowsFile,
    aggregate,
)
from harness.interop.export.eee_rows import to_row
from harness.interop.export.named_model import public_name
from harness.interop.export.plain import ascii_json
from harness.io.jsonl import user_file
from harness.records import ERROR_STATUSES
from harness.store.result import RunResult

log = logging.getLogger(__name__)


@dataclass
class _Rows:
    """A file of rows that is being written."""

    stream: IO[str]
    digest: Any = field(default_factory=hashlib.sha256)
    count: int = 0

    def append(self, row: dict[str, Any]) -> None:
        line = f"{ascii_json(row)}\n"
        self.stream.write(line)
        self.digest.update(line.encode())
        self.count += 1

    @property
    def written(self) -> RowsFile:
        return RowsFile(self.count, self.digest.hexdigest())


def write_eee(
    result: RunResult, folder: Path, evaluator: Evaluator, model_id: str | None = None
) -> list[Path]:
    """Writes a result into a folder that is laid out as the datastore.

    Args:
        result: With its run's folder, for the samples; without it the aggregates alone are written.
        folder: Gets ``data/…``.
        evaluator: As the user says.
        model_id: ``ORG/NAME``; None: the model's repository on the hub.

    Returns:
        The files.

    Raises:
        UserError: The model's name is missing or wrong, or nothing was graded.
        StoreError: A file of the run is damaged, or a file cannot be written.
    """
    name = public_name(result, model_id)
    records = [
        EeeRecord(result, task, name)
        for task in result.manifest.tasks
        if result.estimate("accuracy", task.name).value is not None
    ]
    _tell_what_is_left_out(result, records)
    rows = _write_rows(records, folder) if result.has_texts else {}
    files = []
    for record in records:
        file = folder / f"{record.stem}.json"
        content = aggregate(record, evaluator, rows.get(record.task.name))
        with user_file(file) as stream:
            stream.write(f"{ascii_json(content)}\n")
        files += [file, folder / record.samples_path] if rows else [file]
    return files


def _tell_what_is_left_out(result: RunResult, records: list[EeeRecord]) -> None:
    manifest = result.manifest
    written = {record.task.name for record in records}
    if not written:
        raise UserError(
            f"RUN: nothing of {manifest.run_id} was graded, so there is no score; "
            "harness run resume=RUN retry=errors asks again what failed"
        )
    for task in manifest.tasks:
        errors = sum(each.status in ERROR_STATUSES for each in result.outcomes_of(task.name))
        if task.name not in written:
            log.warning("%s: nothing was graded, so it has no record", task.name)
        elif errors:
            log.warning(
                "%s: %d of %d requests ended in errors; they have no score, so they have no row",
                task.name,
                errors,
                len(result.outcomes_of(task.name)),
            )
    if not result.has_texts:
        log.warning(
            "%s: only result.json is here, so there are no rows of samples", manifest.run_id
        )


def _write_rows(records: list[EeeRecord], folder: Path) -> dict[str, RowsFile]:
    """Writes a file of rows for each task, in one pass over the run."""
    with ExitStack() as files:
        rows = {
            record.task.name: _Rows(files.enter_context(user_file(folder / record.samples_path)))
            for record in records
        }
        by_task = {record.task.name: record for record in records}
        for each in answered(records[0].result):
            record = by_task.get(each.sample.task)
            if record is None or each.sample.verdict.status in ERROR_STATUSES:
                continue
            fixed = {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": record.evaluation_id,
                "model_id": record.model_id,
                "evaluation_name": record.task.name,
                "evaluation_result_id": record.result_id("accuracy"),
            }
            rows[record.task.name].append(fixed | to_row(each))
        return {name: each.written for name, each in rows.items()}
