"""``harness check``: published figures of a card or a file, and what it takes to check them."""

import argparse

from harness.claims.check import Asked, check_target, runs_to_check
from harness.claims.check.protocol import assumed
from harness.report.check import print_checked
from harness.store.manifest import dump_json


def check(options: argparse.Namespace) -> int:
    """Says of each figure what it takes to reproduce it, and what runs say of it.

    Returns:
        0, whatever the verdicts.

    Raises:
        UserError: The target or an option is not what it should be, or has no figures.
        StoreError: A run is none.
    """
    asked = Asked(
        model=options.model,
        task=options.task,
        assumed=assumed(options.assume),
        margin=options.margin,
        plan_for=options.plan_for,
        with_plan=not options.no_plan,
    )
    runs = runs_to_check(options.runs, options.results_dir)
    found = check_target(options.target, asked, runs)
    if options.json:
        print(dump_json([each.model_dump(mode="json") for each in found]))  # noqa: T201
    else:
        print_checked(options.target, found)
    return 0
