"""``harness derive``: what follows from a model's published configuration, or in a study."""

import argparse
import json
import logging

from harness.errors import UserError
from harness.quantities.derivation import derive as compute
from harness.quantities.derivation import ratios
from harness.quantities.published import find_architecture
from harness.report.derive import print_derivations, print_quantities

log = logging.getLogger(__name__)


def derive(options: argparse.Namespace) -> int:
    """Prints all figures of a model and their ratios to those of another, or those of a study.

    Raises:
        UserError: A model or study is unknown, a model is compared with itself, or the context is
            below 1.
        ConfigError: The study has mistakes.
    """
    if options.study is not None:
        return _of_study(options)
    if options.context < 1:
        raise UserError(f"--context={options.context} must be at least 1 token")
    architecture = find_architecture(options.model)
    other = find_architecture(options.against, "--against") if options.against else None
    if other == architecture:
        raise UserError(
            f"--against={options.against} has the same architecture as MODEL={options.model}; "
            "name another model"
        )
    found = compute(architecture, options.context)
    against = compute(other, options.context) if other else None
    compared = ratios(architecture, other, options.context) if other else None
    if not options.json:
        print_derivations(found, against, compared)
        return 0
    shown = found.model_dump(mode="json")
    if against:
        shown |= {"against": against.model_dump(mode="json"), "ratios": compared}
    print(json.dumps(shown, allow_nan=False))  # noqa: T201
    return 0


def _of_study(options: argparse.Namespace) -> int:
    """The quantities that a study adds to the catalogue."""
    # Only here: what a study is read with takes longer than a model's figures.
    from harness.claims.ledger import load_ledger
    from harness.claims.study import find_study

    if options.against is not None:
        raise UserError(f"--against={options.against} goes with a MODEL and not with --study")
    known = load_ledger(find_study(options.study)).quantities
    found = {name: known.quantity(name) for name in sorted(known.own())}
    if options.json:
        listed = {name: each.model_dump(mode="json") for name, each in found.items()}
        print(json.dumps(listed, allow_nan=False))  # noqa: T201
    elif found:
        print_quantities(found)
    else:
        log.info("its quantities are those of the catalogue alone; docs/derive.md lists them")
    return 0
