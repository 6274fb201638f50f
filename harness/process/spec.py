"""The input of a child process, on its stdin: the run to make, and where to report it."""

from typing import Any

from harness.records import Record


class JobSpec(Record):
    """A composed run for ``harness run --composed``."""

    config: dict[str, Any]
    """The composed configuration, plain."""
    cores: tuple[int, ...] | None = None
    """CPU cores that it may use; None: any."""
    is_quiet: bool = False
    """The parent prints the error that ends the run."""
    answer: int
    """The descriptor for its report (``process.report``)."""
