"""Writes the page of a report: one file, with files beside it only where the texts are many."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.claims.verdict import Judgement
from harness.errors import StoreError
from harness.io.jsonl import replacing, unwritable
from harness.report.claims import tally
from harness.report.page.headline import headline, side_by_side
from harness.report.page.outcomes import SIGNS, Group, outcome_groups
from harness.report.page.plots import Plot, all_plots
from harness.report.page.provenance import provenance
from harness.report.page.render import stream_page
from harness.report.page.runs import ReportRun, mismatches, task_names
from harness.report.page.samples import Samples, collect_samples

PAGE = "report.html"
SIDE_FOLDER = "report_files"
MOST_IN_PAGE_BYTES = 40_000_000
"""Of compressed texts, some 80 MB of words. Larger ones are files beside the page: a page of 100 MB
took 4 s to open, for the browser reads all of it first."""
_SCRIPTS = ("samples.js", "texts.js", "difference.js", "sample.js", "browser.js", "claims.js")
_LIBRARIES = ("temml", "highlight", "diff")


@dataclass(frozen=True)
class Report:
    """What the page, the Markdown and the plots say, computed once."""

    runs: list[ReportRun]
    groups: dict[str, list[Group]]
    """By task."""
    plots: dict[str, list[Plot]]
    """By section."""
    judgements: list[Judgement]


@dataclass(frozen=True)
class Written:
    """What was written."""

    page: Path
    side_files: int


def make_report(runs: Sequence[ReportRun], judgements: Iterable[Judgement]) -> Report:
    """Computes what there is to say of runs.

    Args:
        runs: One or more.
        judgements: On all claims; those that documents decide first are left out.
    """
    groups = {task: outcome_groups(runs, task) for task in task_names(runs)}
    decided = [each for each in judgements if each.stands_on != "documentary"]
    decided.sort(key=_is_said_by_runs, reverse=True)
    return Report(list(runs), groups, all_plots(runs, groups), decided)


def _is_said_by_runs(each: Judgement) -> bool:
    return each.stands_on == "measured" and each.verdict != "untested"


def write_page(report: Report, folder: Path) -> Written:
    """Writes the page into a folder, which is made.

    Raises:
        StoreError: The folder cannot be written, or a run's files do not fit together.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".report.", dir=folder))
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        samples = collect_samples(report.runs, staging)
        is_beside = samples.compressed_bytes > MOST_IN_PAGE_BYTES
        pieces = stream_page(
            "report.html.j2",
            scripts=_SCRIPTS,
            plots=True,
            libraries=_LIBRARIES,
            side_files=is_beside,
            chunks=_in_page(samples) if not is_beside else (),
            **_context(report, samples),
        )
        _write_pieces(folder / PAGE, pieces)
        _put_beside(samples if is_beside else Samples(), folder / SIDE_FOLDER)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Written(folder / PAGE, len(samples.files) if is_beside else 0)


def _in_page(samples: Samples) -> Iterator[Markup]:
    for chunk in samples.chunks():
        yield Markup(chunk)  # noqa: S704 - base64


def _context(report: Report, samples: Samples) -> dict[str, Any]:
    runs = report.runs
    first = runs[0]
    title = first.name if len(runs) == 1 else f"{len(runs)} runs: {', '.join(r.name for r in runs)}"
    return {
        "title": title,
        "runs": runs,
        "cards": headline(first) if len(runs) == 1 else [],
        "rows": side_by_side(runs) if len(runs) > 1 else [],
        "mismatches": mismatches(runs),
        "groups": report.groups,
        "signs": SIGNS,
        "section_plots": report.plots,
        "judgements": report.judgements,
        "tally": tally(each for each in report.judgements if each.article is not None),
        "facts": provenance(runs),
        "configs": [(run, run.result.manifest.config.model_dump_json(indent=2)) for run in runs],
        "index": Markup(samples.index),  # noqa: S704 - base64
        "has_texts": samples.texts > 0,
        "without_texts": [run for run in runs if run.folder is None],
        "megabytes": samples.compressed_bytes / 1e6,
        "side_folder": SIDE_FOLDER,
    }


def _write_pieces(file: Path, pieces: Iterable[str]) -> None:
    """Replaces a file as a whole, holding a piece at a time."""
    with replacing(file, errors="replace") as stream:
        stream.writelines(pieces)


def _put_beside(samples: Samples, folder: Path) -> None:
    """Writes chunks as scripts, which a page from a disk may load where it may not fetch."""
    if folder.is_symlink():
        raise StoreError(f"{folder}: is a link; a report writes only into its own folder")
    try:
        for old in folder.glob("[0-9][0-9][0-9][0-9].js"):
            old.unlink()
        if not samples.files:
            with suppress(OSError):  # none, or somebody else's files are in it
                folder.rmdir()
            return
        folder.mkdir(exist_ok=True)
        for number, chunk in enumerate(samples.chunks()):
            text = f'Samples.arrived({number},"{chunk}");\n'
            (folder / f"{number:04}.js").write_text(text, encoding="ascii")
    except OSError as error:
        raise unwritable(folder, error) from error
