"""Divides a run's requests among shards."""

from collections.abc import Iterable, Mapping

from harness.config.settings import RunConfig
from harness.records import RequestId
from harness.store.shard_deal import dealt


def of_shard(request_ids: Iterable[RequestId], config: RunConfig) -> frozenset[RequestId]:
    """The requests of this worker; all of them in a whole run."""
    if config.shard is None:
        return frozenset(request_ids)
    return dealt(request_ids, config.shards)[config.shard]


def asked_ids(problem_ids: Iterable[str], config: RunConfig) -> frozenset[RequestId]:
    """Ids of all requests of a run of these problems."""
    samples = range(config.protocol.samples_per_problem)
    return of_shard(
        (RequestId.of(name, sample) for name in problem_ids for sample in samples), config
    )


def count_own(requests: Mapping[str, int], config: RunConfig) -> dict[str, int]:
    """The expected number of requests of this worker, by task: its even share.

    Args:
        requests: Of the whole run, by task.
        config: The run's.
    """
    whole = sum(requests.values())
    if config.shard is None or not whole:
        return dict(requests)
    own = len(range(config.shard, whole, config.shards))
    return {task: round(count * own / whole) for task, count in requests.items()}
