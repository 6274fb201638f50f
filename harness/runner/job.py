"""The child's side of a run in a child process: ``harness run --composed``."""

import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from harness.config.settings import load_run_config
from harness.errors import HarnessError, Interrupted
from harness.io.mistakes import first_mistake
from harness.process.report import FinishedReport, describe, report_to
from harness.process.spec import JobSpec

log = logging.getLogger(__name__)


def job() -> int:
    """Makes the run that stdin describes.

    Returns:
        Its exit status.

    Raises:
        Interrupted: The parent was killed before it had sent everything. If it is killed later,
            its guardian stops this process.
        HarnessError: The parent is another version of the harness.
    """
    try:
        spec = JobSpec.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise Interrupted("the process that started this run is gone") from error
        raise HarnessError(
            "the harness was replaced by another version while this sweep or night was running; "
            f"start it again: {first_mistake(error)}"
        ) from error
    os.set_inheritable(spec.answer, False)
    if sys.platform == "linux" and spec.cores:
        os.sched_setaffinity(0, spec.cores)
    report = FinishedReport()

    def on_start(folder: Path) -> None:
        nonlocal report
        report = report.model_copy(update={"run": str(folder)})
        report_to(spec.answer, report)

    try:
        # After the cores are set: libraries count them as they are loaded.
        from harness.runner.hand_over import hand_over
        from harness.runner.run import run

        finished = run(load_run_config(spec.config), on_start=on_start)
        hand_over(finished)
    except (Exception, Interrupted) as error:
        report_to(spec.answer, report.failed(error))
        if not spec.is_quiet:
            raise
        log.debug("%s", describe(error), exc_info=True)
        return report.failed(error).status
    report_to(spec.answer, FinishedReport(status=finished.status, run=str(finished.folder)))
    return finished.status
