"""Which requests are a shard's."""

from collections.abc import Iterable

from harness.config import RunConfig
from harness.dealing import dealt


def of_shard(request_ids: Iterable[str], config: RunConfig) -> frozenset[str]:
    """Those that this worker has; all of them in a whole run."""
    if config.shard is None:
        return frozenset(request_ids)
    return dealt(request_ids, config.shards)[config.shard]


def asked_ids(problem_ids: Iterable[str], config: RunConfig) -> frozenset[str]:
    """The requests that a run of these problems has to answer."""
    samples = range(config.protocol.samples_per_problem)
    return of_shard((f"{name}#{sample}" for name in problem_ids for sample in samples), config)
