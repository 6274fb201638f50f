"""What a sweep came to: the table of its jobs, and the shards among them joined to runs."""

import logging
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.errors import HarnessError
from harness.io.terminal import safe
from harness.process.report import FinishedReport
from harness.records import Record
from harness.run.merge import merge_and_track
from harness.run.setup import results_dir_of
from harness.run.summary import WIDTH_WITHOUT_TERMINAL, headline
from harness.store.manifest import RunManifest, dump_json
from harness.store.result import load
from harness.store.run_files import Run

log = logging.getLogger(__name__)


class SweptJob(Record):
    """One job of a sweep, as its file in the sweep's folder has it."""

    number: int
    """From 1, in the order in which Hydra made them."""
    overrides: tuple[str, ...]
    report: FinishedReport | None = None
    """None until it has ended."""

    @property
    def status(self) -> int:
        """Its exit status; 1 where nothing is known of its end."""
        return (self.report or FinishedReport()).status

    @property
    def folder(self) -> Path | None:
        """Of its run; None if there was none, or if nothing in it was kept."""
        return None if self.report is None else self.report.folder

    def manifest(self) -> RunManifest | None:
        """Of its run; None where there is none to read."""
        try:
            return None if self.folder is None else Run(self.folder).read_manifest()
        except HarnessError:
            return None


def conclude(jobs: Sequence[SweptJob], *, is_elsewhere: bool) -> int:
    """Says what the jobs came to; returns the highest exit status.

    Shards that are all there are merged, and the exit status is then the merged run's too.
    """
    highest = max(job.status for job in jobs)
    if any(job.folder is not None for job in jobs):
        _print_table(jobs)
        if is_elsewhere and not sys.stdout.isatty():
            _print_headlines(jobs)
        return max(highest, _merge_shards(jobs))
    if len(jobs) > 1 and highest:
        if {job.status for job in jobs} == {highest}:
            log.error("all %d jobs ended with exit status %d", len(jobs), highest)
        else:
            for job in jobs:
                log.error("exit status %d: %s", job.status, " ".join(job.overrides))
    return highest


def _print_table(jobs: Sequence[SweptJob]) -> None:
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
    for job in jobs:
        run = "none" if job.folder is None else safe(job.folder.name)
        own = " ".join(each for each in job.overrides if each not in common)
        status = "unknown" if job.report is None else str(job.status)
        shown = f"[bold red]{status}[/bold red]" if job.status else status
        table.add_row(str(job.number), safe(own), shown, _accuracy(job), run)
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    sys.stdout.flush()
    console.print()
    console.print(table)
    for place in sorted({str(job.folder.parent) for job in jobs if job.folder is not None}):
        console.print(f"runs in {safe(place)}", soft_wrap=True)


def _print_headlines(jobs: Sequence[SweptJob]) -> None:
    """A line of JSON for each result, which a job that runs here prints itself."""
    for job in jobs:
        if job.folder is not None and (job.folder / "result.json").is_file():
            print(dump_json(headline(load(job.folder), job.folder)))  # noqa: T201


def _accuracy(job: SweptJob) -> str:
    """Of each task, or what there is in its place."""
    manifest = job.manifest()
    if manifest is None or job.folder is None:
        return ""
    if manifest.status != "complete":
        return manifest.status
    if manifest.config.shard is not None:
        return f"shard {manifest.config.shard_name}"
    found = [
        f"{each.task} " + ("unknown" if each.value is None else f"{100 * each.value:.1f} %")
        for each in load(job.folder).estimates
        if each.metric == "accuracy"
    ]
    return "\n".join(found)


def _merge_shards(jobs: Sequence[SweptJob]) -> int:
    """Joins the shards of each run that has all of them done; returns the highest exit status."""
    groups: dict[str, list[Run]] = defaultdict(list)
    places: dict[str, Path] = {}
    shards: dict[str, int] = {}
    for job in jobs:
        manifest = job.manifest()
        if manifest is None or job.folder is None or manifest.config.shard is None:
            continue
        key = manifest.config.model_copy(update={"shard": None, "resume": None}).model_dump_json()
        shards[key], places[key] = manifest.config.shards, results_dir_of(manifest.config)
        if manifest.status == "complete":
            groups[key].append(Run(job.folder))
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
            highest = max(highest, merge_and_track(groups[key], places[key]))
        except HarnessError as error:
            log.error("%s", error)
            highest = max(highest, error.exit_status)
    return highest
