"""``harness doctor``: what this machine can do, and how to mend the rest."""

import argparse

from harness.doctor.diagnosis import diagnose
from harness.errors import UnavailableError
from harness.report.doctor import print_diagnosis


def doctor(options: argparse.Namespace) -> int:
    """Looks at the machine and prints what it found.

    Returns:
        0 when an engine can run a model here and its code can be confined, else 3.
    """
    found = diagnose(options.results_dir)
    if options.json:
        print(found.model_dump_json(indent=1))  # noqa: T201
    else:
        print_diagnosis(found)
    return 0 if found.can_run else UnavailableError.exit_status
