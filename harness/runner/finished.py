"""What a run hands back to whoever started it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.store.result import RunResult


class FinishedShard(NamedTuple):
    """What a shard has in place of a result."""

    shard: int
    """From 0."""
    shards: int
    requests: int
    """Of the shard, all with a verdict."""


@dataclass(frozen=True)
class Finished:
    """A run that came to its end. One that did not raises an error instead."""

    folder: Path
    result: RunResult | None
    """None for a shard, which has no result: the whole run has one."""
    status: int
    """The exit status: 0, or 4 if there were more errors or truncation than allowed."""
    shard: FinishedShard | None = None
    """None for a whole run, and for a shard that was finished before."""
