"""What a run hands back to whoever started it."""

from dataclasses import dataclass
from pathlib import Path

from harness.store.result import RunResult


@dataclass(frozen=True)
class Finished:
    """A run that came to its end. One that did not raises an error instead."""

    folder: Path
    result: RunResult | None
    """None for a shard, which has no result: the whole run has one."""
    status: int
    """The exit status: 0, or 4 if there were more errors or truncation than allowed."""
