"""The outcome of a sweep: the table of its jobs, and the merging of shards among them."""

import logging
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from rich.table import Table

from harness.errors import HarnessError
from harness.io.terminal import open_console, safe
from harness.process.report import FinishedReport
from harness.records import Record
from harness.runner.decisions import results_dir_of
from harness.runner.hand_over import hand_over
from harness.runner.merge import merge_runs
from harness.runner.summary import headline, percent
from harness.store.manifest import RunManifest, dump_json
from harness.store.result import RunResult, load
from harness.store.run_files import Run

log = logging.getLogger(__name__)


class SweptJob(Record):
    """One job of a sweep, as recorded in the sweep's folder."""

    number: int
    """The job's number from 1, in Hydra's order."""
    overrides: tuple[str, ...]
    report: FinishedReport | None = None
    """The job's report; None until it has ended."""

    @property
    def status(self) -> int:
        """The job's exit status; 1 where its end is unknown."""
        return (self.report or FinishedReport()).status


class Ended(NamedTuple):
    """The outcome of a job, read once from its run's folder."""

    job: SweptJob
    folder: Path | None = None
    """The run's folder; None if there was none, or if nothing in it was kept."""
    manifest: RunManifest | None = None
    """The run's manifest; None if it cannot be read."""
    result: RunResult | None = None

    @classmethod
    def of(cls, job: SweptJob) -> Self:
        """Reads a job's report."""
        folder = None if job.report is None else job.report.folder
        if folder is None:
            return cls(job)
        try:
            manifest = Run(folder).read_manifest()
        except HarnessError:
            return cls(job, folder)
        is_there = manifest.status == "complete" and (folder / "result.json").is_file()
        return cls(job, folder, manifest, load(folder) if is_there else None)


def conclude(jobs: Sequence[SweptJob], *, is_elsewhere: bool) -> int:
    """Logs the outcome of all jobs; returns the highest exit status.

    Complete sets of shards are merged, and the merged run's exit status then counts too.

    Shards that are all there are merged, and the exit status is then the merged run's too.
    """
    highest = max(job.status for job in jobs)
    ended = [Ended.of(job) for job in jobs]
    if any(each.folder is not None for each in ended):
        _print_table(ended)
        if is_elsewhere and not sys.stdout.isatty():
            _print_headlines(ended)
        return max(highest, _merge_shards(ended))
    if len(jobs) > 1 and highest:
        if {job.status for job in jobs} == {highest}:
            log.error("all %d jobs ended with exit status %d", len(jobs), highest)
        else:
            for job in jobs:
                log.error("exit status %d: %s", job.status, " ".join(job.overrides))
    return highest


def _print_table(ended: Sequence[Ended]) -> None:
    jobs = [each.job for each in ended]
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("job", justify="right")
    table.add_column("overrides", overflow="fold")
    table.add_column("exit", justify="right")
    table.add_column("accuracy", overflow="fold")
    table.add_column("run", overflow="fold")
    # What all have in common tells none of them apart.
    common = set(jobs[0].overrides).intersection(*(job.overrides for job in jobs[1:]))
    if len(jobs) == 1:
        common = set()
    for each in ended:
        job = each.job
        run = "none" if each.folder is None else safe(each.folder.name)
        own = " ".join(override for override in job.overrides if override not in common)
        status = "unknown" if job.report is None else str(job.status)
        shown = f"[bold red]{status}[/bold red]" if job.status else status
        table.add_row(str(job.number), safe(own), shown, _accuracy(each), run)
    console = open_console(stderr=True)
    sys.stdout.flush()
    console.print()
    console.print(table)
    for place in sorted({str(each.folder.parent) for each in ended if each.folder is not None}):
        console.print(f"runs in {safe(place)}", soft_wrap=True)


def _print_headlines(ended: Sequence[Ended]) -> None:
    """Prints a line of JSON for each result that a job did not print itself."""
    for each in ended:
        if each.folder is not None and each.result is not None:
            print(dump_json(headline(each.result, each.folder)))  # noqa: T201


def _accuracy(ended: Ended) -> str:
    """The accuracy of each task, or the reason why there is none."""
    manifest, result = ended.manifest, ended.result
    if manifest is None:
        return ""
    if manifest.status != "complete":
        return manifest.status
    if manifest.config.shard is not None:
        return f"shard {manifest.config.shard_name}"
    if result is None:
        return ""
    found = [result.estimate("accuracy", task.name) for task in manifest.tasks]
    return "\n".join(f"{each.task} {percent(each.value)}" for each in found)


def _merge_shards(ended: Sequence[Ended]) -> int:
    """Merges the shards of each run of which all are done; returns the highest exit status."""
    groups: dict[str, list[Run]] = defaultdict(list)
    places: dict[str, Path] = {}
    shards: dict[str, int] = {}
    for _, folder, manifest, _ in ended:
        if manifest is None or folder is None or manifest.config.shard is None:
            continue
        key = manifest.config.model_copy(update={"shard": None, "resume": None}).model_dump_json()
        shards[key], places[key] = manifest.config.shards, results_dir_of(manifest.config)
        if manifest.status == "complete":
            groups[key].append(Run(folder))
    highest = 0
    for key, count in shards.items():
        try:
            if len(groups[key]) < count:
                log.warning(
                    "%d of %d shards are done; harness merge RUN… joins all of them once the same "
                    "command with resume=auto, or harness run resume=RUN, has finished the others",
                    len(groups[key]),
                    count,
                )
                continue
            highest = max(highest, hand_over(merge_runs(groups[key], places[key])))
        except HarnessError as error:
            log.error("%s", error)
            highest = max(highest, error.exit_status)
    return highest
