"""``harness derive``: what follows from a model's published configuration."""

import argparse

from harness.errors import UserError
from harness.quantities.derivation import derive as compute
from harness.quantities.derivation import ratios
from harness.quantities.published import find_architecture
from harness.report.derive import print_derivations
from harness.store.manifest import dump_json


def derive(options: argparse.Namespace) -> int:
    """Prints all figures of a model, and their ratios to those of another.

    Raises:
        UserError: A model is unknown or set against itself, or the context is below 1.
    """
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
    print(dump_json(shown))  # noqa: T201
    return 0
