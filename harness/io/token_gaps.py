"""How long an answer's tokens were apart, counted in bins: 32,768 gaps are some 30 numbers.

Bin 0 is a microsecond, and each next one is 5 % wider, so a percentile read from the bins is within
2.5 % of the gap itself.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_LEAST_S = 1e-6
_STEP = math.log(1.05)


def bin_of(gap_s: float) -> int:
    """The bin of a gap."""
    return round(math.log(max(gap_s, _LEAST_S) / _LEAST_S) / _STEP)


def gap_of(number: int) -> float:
    """The middle of a bin, in seconds."""
    return _LEAST_S * math.exp(number * _STEP)


@dataclass(slots=True)
class GapCounter:
    """Counts the gaps of one answer while its tokens come."""

    counts: Counter[int] = field(default_factory=Counter)
    """The number of gaps in each bin."""
    _last_s: float | None = None

    def token_came(self, now_s: float) -> None:
        """A token, the first one included."""
        if self._last_s is not None:
            self.counts[bin_of(now_s - self._last_s)] += 1
        self._last_s = now_s


def gap_percentiles(counts: Mapping[int, int], ranks: Sequence[float]) -> list[float | None]:
    """Nearest-rank percentiles in seconds; None without a gap."""
    total = sum(counts.values())
    return [_percentile(counts, math.ceil(total * rank / 100)) if total else None for rank in ranks]


def _percentile(counts: Mapping[int, int], place: int) -> float:
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= place:
            return gap_of(number)
    raise AssertionError("a place beyond the last gap")
