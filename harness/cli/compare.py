"""``harness compare``: one baseline, one or more candidates."""

import argparse

from harness.analysis.comparison import Options, compare_sides, read_side
from harness.report.comparison import print_comparison
from harness.store.manifest import dump_json


def compare(options: argparse.Namespace) -> int:
    """Prints the comparison as tables or as JSON.

    Returns:
        0, or 5 when a candidate is significantly worse than the baseline by more than the margin,
        else 6 when of a task no problem has a verdict on both sides.

    Raises:
        UserError: An argument is not what it should be.
        NotComparableError: The protocols differ.
    """
    asked = Options(
        margin_points=options.margin,
        equivalence_points=options.equivalence,
        allowed=tuple(options.allow_protocol_mismatch),
    )
    baseline, *candidates = (
        read_side(name, options.results_dir, options.task)
        for name in (options.baseline, *options.candidates)
    )
    comparison = compare_sides(baseline, candidates, asked)
    if options.json:
        print(dump_json(comparison.model_dump(mode="json")))  # noqa: T201
    else:
        print_comparison(comparison)
    return comparison.exit_status
