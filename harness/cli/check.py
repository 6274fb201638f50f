"""``harness check``: published figures of a card or a file, and what it takes to check them."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.claims.check import Asked, Checked, check_figures, check_table, read_table
from harness.claims.check.protocol import assumed
from harness.claims.runs import AnyRun, read_runs
from harness.errors import HarnessError, UserError
from harness.interop.published_figures import read_figures
from harness.report.check import print_checked
from harness.store.manifest import dump_json
from harness.store.run_files import runs_dir

log = logging.getLogger(__name__)


def check(options: argparse.Namespace) -> int:
    """Says of each figure what it takes to reproduce it, and what runs say of it.

    Returns:
        0, whatever the verdicts.

    Raises:
        UserError: The target or an option is not what it should be, or has no figures.
        StoreError: A run is none.
    """
    if options.margin is not None and options.margin <= 0:
        raise UserError(f"--margin {options.margin:g}: should be more than 0 points")
    asked = Asked(
        model=options.model,
        task=options.task,
        assumed=assumed(options.assume),
        margin=options.margin,
        plan_for=options.plan_for,
        with_plan=not options.no_plan,
    )
    table = read_table(options.target)
    figures = [] if table else read_figures(Path(options.target).expanduser())
    runs = _runs(options.runs, options.results_dir)
    found = check_table(table, asked, runs) if table else check_figures(figures, asked, runs)
    if options.json:
        print(dump_json([_as_json(each) for each in found]))  # noqa: T201
    else:
        print_checked(options.target, found)
    return 0


def _as_json(each: Checked) -> dict[str, object]:
    return {**each.model_dump(mode="json"), "is_reproducible": each.is_reproducible}


def _runs(given: Sequence[str], results_dir: Path) -> list[AnyRun]:
    """The runs that are given; none given: every finished one of the folder."""
    return read_runs(given, results_dir) if given else list(_finished(results_dir))


def _finished(results_dir: Path) -> Iterator[AnyRun]:
    for file in sorted(runs_dir(results_dir).glob("*/result.json")):
        try:
            yield from read_runs([str(file.parent)], results_dir)
        except HarnessError as error:
            log.warning("left out: %s", error)
