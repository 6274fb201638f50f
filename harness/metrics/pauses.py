"""Pauses: time in which requests waited to be sent again and none was under way.

A rate limit of a server is no speed of the model, so speed is computed on a clock that stops while
requests wait for one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable

Span = tuple[float, float]


def without_pauses(waits: Iterable[Span], busy: Iterable[Span]) -> Callable[[float], float]:
    """A clock without the pauses.

    Args:
        waits: From when to when each request waited, in seconds.
        busy: From when to when each was under way, on the same clock.

    Returns:
        A function from a moment of that clock to one of the clock without pauses.
    """
    pauses = _less(_union(waits), _union(busy))
    begins = [begin for begin, _ in pauses]

    def on_clock(moment: float) -> float:
        before = pauses[: bisect_right(begins, moment)]
        return moment - sum(min(end, moment) - begin for begin, end in before)

    return on_clock


def _union(spans: Iterable[Span]) -> list[Span]:
    """Spans joined where they overlap, in order."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif end > begin:
            joined.append((begin, end))
    return joined


def _less(spans: list[Span], others: list[Span]) -> list[Span]:
    """The parts of spans outside all other spans; both lists are sorted and disjoint."""
    left: list[Span] = []
    for begin, end in spans:
        at = begin
        for other_begin, other_end in others:
            if other_end <= at or other_begin >= end:
                continue
            if other_begin > at:
                left.append((at, other_begin))
            at = max(at, other_end)
        if at < end:
            left.append((at, end))
    return left
