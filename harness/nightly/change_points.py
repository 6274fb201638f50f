"""Where the level of a series changed for good, told from nights that were merely odd."""

from collections.abc import Sequence

import numpy as np

from harness.statistics import Floats

ALPHA = 0.01
"""Of each scan: at most one series in a hundred without any change is split."""
DRAWS = 4_999
SEED = 20_250_127
SHORTEST = 3
"""Nights on either side: two bad ones are an episode."""


def change_points(values: Sequence[float]) -> list[int]:
    """Indices at which a new level begins, in rising order.

    Pettitt's test (Applied Statistics 1979, 28:126): the split with the largest |U|, the
    Mann-Whitney statistic between what lies before and after it. By ranks, so one night that is
    far off weighs no more than one that is a little off. Its null distribution is had by shuffling
    these very values, since his formula is for long series, and ties are the rule here. Where the
    change is, is another question, in which |U| leans towards the middle: there the split is taken
    that leaves the least sum of distances from the two medians. What is found is split again, until
    nothing is significant at ``ALPHA``. The same values give the same answer. The fewest nights
    that can show anything are ten: five, and five that are all beyond them.
    """
    return sorted(_split(np.asarray(values, dtype=np.float64), 0))


def _split(x: Floats, offset: int) -> list[int]:
    if len(x) < 2 * SHORTEST:
        return []
    ranks = _ranks(x)
    seen = _statistic(ranks[None, :]).max()
    rng = np.random.default_rng(SEED)
    shuffled = rng.permuted(np.tile(ranks, (DRAWS, 1)), axis=1)
    as_large = int((_statistic(shuffled).max(axis=1) >= seen - 1e-9).sum())
    if (as_large + 1) / (DRAWS + 1) > ALPHA:
        return []
    split = min(range(SHORTEST, len(x) - SHORTEST + 1), key=lambda place: _distance(x, place))
    return [
        offset + split,
        *_split(x[:split], offset),
        *_split(x[split:], offset + split),
    ]


def _distance(x: Floats, place: int) -> float:
    """What the two medians leave unexplained when the new level begins at ``place``."""
    return float(sum(np.abs(part - np.median(part)).sum() for part in (x[:place], x[place:])))


def _ranks(x: Floats) -> Floats:
    from scipy import stats

    return np.asarray(stats.rankdata(x), dtype=np.float64)


def _statistic(ranks: Floats) -> Floats:
    """|U| of every split that leaves ``SHORTEST`` on either side, one row for each order."""
    n = ranks.shape[1]
    sums = np.cumsum(ranks, axis=1)[:, SHORTEST - 1 : n - SHORTEST]
    before = np.arange(SHORTEST, n - SHORTEST + 1)
    return np.asarray(np.abs(2 * sums - before * (n + 1)), dtype=np.float64)
