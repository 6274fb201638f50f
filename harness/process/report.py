"""How a child process reports the run that it makes: as JSON lines on a descriptor it was given.

The descriptor is a pipe, or a file that outlives the parent too. Each line replaces the one before:
the first says where the run's folder is, so that it is known even if the child is killed.
"""

import contextlib
import os
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from harness.errors import HarnessError, Interrupted
from harness.io.redaction import redact
from harness.records import Record

MAX_ERROR = 2000
"""The longest error in a report, in characters: the pipe is only read after the child's end, so all
lines have to fit into its buffer."""


class FinishedReport(Record):
    """How a run in a child process ended, as far as the child could report it."""

    status: int = HarnessError.exit_status
    """The exit status; 1 if the child was killed before it had one."""
    run: str | None = None
    """The run's folder, as soon as there is one."""
    error: str | None = None
    """One line; None if it ended well."""

    @property
    def folder(self) -> Path | None:
        """The run's folder; None if there was none, or if it was removed because it was empty."""
        if self.run is None:
            return None
        folder = Path(self.run)
        return folder if folder.is_dir() else None

    @property
    def run_id(self) -> str | None:
        """The run's id, even if its folder is gone."""
        return None if self.run is None else Path(self.run).name

    def failed(self, error: BaseException) -> Self:
        """This report with the error that ended the run, and the exit status it calls for."""
        status = getattr(error, "exit_status", HarnessError.exit_status)
        return self.model_copy(update={"status": status, "error": describe(error)})


def describe(error: BaseException) -> str:
    """An error as one line without secrets, cut to ``MAX_ERROR`` characters."""
    text = redact(" ".join(str(error).split()))
    is_ours = isinstance(error, HarnessError | Interrupted)
    line = text if is_ours else f"unexpected {type(error).__name__}: {text}"
    return line if len(line) <= MAX_ERROR else f"{line[:MAX_ERROR]}…"


def report_to(descriptor: int, report: FinishedReport) -> None:
    """Writes one line; a reader that is gone is no error."""
    with contextlib.suppress(OSError):
        os.write(descriptor, report.model_dump_json().encode() + b"\n")


def last_report(lines: bytes) -> FinishedReport:
    """The last whole line; a report without folder and error if there is none."""
    report = FinishedReport()
    for line in lines.splitlines():
        with contextlib.suppress(ValidationError):
            report = FinishedReport.model_validate_json(line)
    return report
