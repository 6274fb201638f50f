"""Draws the requests of a run that are repeated."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.records import ERROR_STATUSES, RequestId, VerdictStatus


class StratumKey(NamedTuple):
    """Requests that are drawn in proportion to each other."""

    task: str
    status: VerdictStatus


class Selection(NamedTuple):
    """The requests to repeat."""

    chosen: frozenset[RequestId]
    sizes: dict[StratumKey, int]
    """Requests of the run in each stratum, errors left out."""
    drawn: dict[StratumKey, int]
    errors: int
    """Requests left out because they ended in an error: there is no verdict to repeat."""

    @property
    def total(self) -> int:
        """Requests to draw from."""
        return sum(self.sizes.values())


def select(statuses: Mapping[RequestId, VerdictStatus], n: int, seed: int) -> Selection:
    """Draws requests without replacement, stratified by task and verdict.

    A stratum's share is proportional, and at least one where ``n`` is as large as the number of
    strata. Within it the lowest hashes of seed and request id are taken: the same draw on every
    machine, whatever the order of the requests.

    Args:
        statuses: The verdict of each request of the run.
        n: How many to draw, >= 1; all where it is more than there are.
        seed: The run's.
    """
    strata: dict[StratumKey, list[RequestId]] = defaultdict(list)
    for request_id, status in statuses.items():
        if status not in ERROR_STATUSES:
            strata[StratumKey(request_id.task, status)].append(request_id)
    keys = sorted(strata)
    sizes = {key: len(strata[key]) for key in keys}
    drawn = dict(zip(keys, _shares(list(sizes.values()), n), strict=True))

    def place(request_id: str) -> str:
        return hashlib.sha256(f"{seed}:rerun:{request_id}".encode()).hexdigest()

    chosen = frozenset(
        request_id for key in keys for request_id in sorted(strata[key], key=place)[: drawn[key]]
    )
    return Selection(chosen, sizes, drawn, len(statuses) - sum(sizes.values()))


def _shares(sizes: Sequence[int], n: int) -> list[int]:
    """Splits ``n`` in proportion to sizes; each next one goes to the group that lacks most."""
    total = sum(sizes)
    if n >= total:
        return list(sizes)
    shares = [1 if n >= len(sizes) else 0 for _ in sizes]
    for _ in range(n - sum(shares)):
        lacking = [
            n * size - share * total if share < size else -n * total
            for size, share in zip(sizes, shares, strict=True)
        ]
        shares[lacking.index(max(lacking))] += 1
    return shares
