"""``harness report``: a page about runs, Markdown for a pull request, and plots as pictures."""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.claims.runs import read_runs
from harness.claims.study import find_study
from harness.errors import StoreError
from harness.io.jsonl import write_atomically
from harness.report.markdown import as_markdown
from harness.report.page.pictures import write_pictures
from harness.report.page.runs import ReportRun, read_report_runs
from harness.report.page.write import make_report, write_page

log = logging.getLogger(__name__)


def report(options: argparse.Namespace) -> int:
    """Writes ``report.html`` and ``report.md``, and prints where the page is.

    Returns:
        0, whatever the runs say.

    Raises:
        UserError: A run is given twice, a file is another harness's, or there is no such study.
        ConfigError: The study has mistakes.
        StoreError: There is no such run, it was never finished, or the folder cannot be written.
        UnavailableError: ``--plots`` without a browser that draws them; all else is written.
    """
    study = find_study(options.study)
    runs = read_report_runs(options.runs, options.results_dir)
    files = [str(run.file) for run in runs]
    judgements = judge_claims(load_ledger(study), read_runs(files, options.results_dir))
    made = make_report(runs, judgements)
    folder = options.output or _default_folder(runs, options.results_dir)
    written = write_page(made, folder)
    write_atomically(folder / "report.md", as_markdown(made))
    if written.side_files:
        log.info(
            "the texts lie in %d files beside the page: hand on the whole folder",
            written.side_files,
        )
    print(written.page)  # noqa: T201
    if options.plots:
        for line in write_pictures(made, folder / "plots"):
            log.info(line)
    return 0


def _default_folder(runs: Sequence[ReportRun], results_dir: Path) -> Path:
    """``report/`` in the run's folder; under ``results/reports/`` for several or a lone file."""
    if len(runs) == 1 and runs[0].folder is not None:
        folder = runs[0].folder.folder / "report"
        if folder.is_symlink():
            raise StoreError(f"{folder}: is a link; a report writes only into its own folder")
        return folder
    name = runs[0].result.manifest.run_id
    if len(runs) > 1:
        ids = "\n".join(run.result.manifest.run_id for run in runs)
        name = f"{len(runs)}_runs_{hashlib.sha256(ids.encode()).hexdigest()[:8]}"
    return results_dir / "reports" / name
