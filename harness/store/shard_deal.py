"""Assigns requests to workers by their ids alone, so that all workers agree."""

import hashlib
from collections.abc import Iterable

from harness.records import RequestId


def dealt(request_ids: Iterable[RequestId], workers: int) -> list[frozenset[RequestId]]:
    """The requests of each worker.

    Requests are sorted by the hash of their id and dealt out in turn: the parts are of one size
    within one, and hard problems are spread over them as chance has it.
    """
    ordered = sorted(request_ids, key=lambda each: hashlib.sha256(each.encode()).digest())
    return [frozenset(ordered[worker::workers]) for worker in range(workers)]
