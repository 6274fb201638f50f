"""Scores from other harnesses' logs, shown beside the lists, marked, and never ranked.

A rank is among runs of one protocol. A log says little of its protocol, so its score stands in no
list, with what is unknown. Only a log that was exported from a run of ours, and so has all of its
protocol, names the list that it belongs to.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.comparison.side import SideTask, side_of_log
from harness.interop.readers import ForeignLog, open_log
from harness.metrics.figures import from_interval
from harness.records import Count, Estimate, Record
from harness.stats.intervals import fraction_interval
from harness.store.fingerprint import fingerprint

DECISIVE = (
    *("task_version", "problems_sha256", "prompt_sha256", "template_sha256", "force_think"),
    *("fewshot", "system_prompt", "temperature", "top_p", "top_k", "max_new_tokens"),
)
"""Protocol fields that decide a score in any harness."""


class ForeignRow(Record):
    """One task of one log. What is unknown is None."""

    task: str
    harness: str
    version: str | None
    scorer: str
    """The other harness's scorer; no verdict here is ours."""
    model: str | None
    accuracy: Estimate
    samples: Count
    """Samples with a verdict."""
    errors: Count
    """Samples without a verdict; they are in no denominator."""
    tokens_per_answer: float | None
    latency_mean_s: float | None
    """Latency as the other harness measured it."""
    protocol_fields: dict[str, Any]
    """Protocol fields that the log states."""
    unknown: tuple[str, ...]
    """Decisive fields that the log does not state."""
    fingerprint: str | None
    """Fingerprint of a fully known protocol; otherwise None, and the score is comparable with no
    list."""
    file: str


def foreign_rows(files: Iterable[Path], tasks: Sequence[str] = ()) -> list[ForeignRow]:
    """A row for each task of each log.

    Args:
        files: The logs.
        tasks: Only these; nothing given is everything. A log whose own names leave open which task
            it is about is about one of them.

    Raises:
        UserError: One of them is damaged, of no known format, or about no task of ours.
        UnavailableError: Our own problems are needed and not available.
    """
    rows = []
    for file in files:
        log = open_log(file, among=tasks)
        side = side_of_log(log)
        for name, task in side.tasks.items():
            if not tasks or name in tasks:
                rows.append(_row(name, task, log, side.name.subject.get("model")))
    return sorted(rows, key=lambda row: (row.task, row.file))


def _row(name: str, task: SideTask, log: ForeignLog, model: str | None) -> ForeignRow:
    problems = task.problems.values()
    tallies = [each.tally for each in problems]
    shares = [each.solved / each.samples for each in tallies if each.samples]
    return ForeignRow(
        task=name,
        harness=log.harness,
        version=log.content.version,
        scorer=task.fields["scorer"],
        model=model,
        accuracy=from_interval("accuracy", fraction_interval(shares), "fraction", task=name),
        samples=sum(each.samples for each in tallies),
        errors=sum(each.errors for each in tallies),
        tokens_per_answer=_mean([count for each in problems for count in each.tokens]),
        latency_mean_s=_mean([s for each in problems for s in each.their_latency_s]),
        protocol_fields=task.fields,
        unknown=tuple(each for each in DECISIVE if not task.says(each)),
        fingerprint=fingerprint(task.fields) if task.is_complete else None,
        file=str(log.file),
    )


def _mean(values: list[float] | list[int]) -> float | None:
    return sum(values) / len(values) if values else None
