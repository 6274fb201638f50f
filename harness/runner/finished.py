"""The result of running a benchmark, for the caller."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.store.result import RunResult


class FinishedShard(NamedTuple):
    """The end of a shard, which has no result."""

    shard: int
    """The shard's number, from 0."""
    shards: int
    requests: int
    """Number of the shard's requests, all with a verdict."""


@dataclass(frozen=True)
class Finished:
    """A finished run. A run that did not finish raises an error instead."""

    folder: Path
    result: RunResult | None
    """None for a shard: only the merged run has a result."""
    status: int
    """The exit status: 0, or 4 if there were more errors or truncation than allowed."""
    shard: FinishedShard | None = None
    """None for a whole run, and for a shard that was finished before."""
