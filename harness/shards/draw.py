"""Which requests are a shard's: decided by their ids alone, so that every worker agrees."""

import hashlib
from collections.abc import Iterable

from harness.config import RunConfig


def of_shard(request_ids: Iterable[str], config: RunConfig) -> frozenset[str]:
    """Those that this worker has; all of them in a whole run.

    Requests are sorted by the hash of their id and dealt out in turn: the shards are of one size
    within one, and hard problems are spread over them as chance has it.
    """
    if config.shard is None:
        return frozenset(request_ids)
    dealt = sorted(request_ids, key=lambda each: hashlib.sha256(each.encode()).digest())
    return frozenset(dealt[config.shard :: config.shards])


def asked_ids(problem_ids: Iterable[str], config: RunConfig) -> frozenset[str]:
    """The requests that a run of these problems has to answer."""
    samples = range(config.protocol.samples_per_problem)
    return of_shard((f"{name}#{sample}" for name in problem_ids for sample in samples), config)
