"""The part of a run in which the engine is full: what it does under load, and under which.

A run's whole rate also holds its end, in which a few long answers run alone. The window follows
ML.ENERGY's: it begins when as many requests as the engine serves at once have had a first token,
and ends before the batch drains, with the first request that ends when no other is left to begin.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Served(NamedTuple):
    """One request, in seconds of one clock."""

    start: float
    first: float | None
    """When the first token came; None where unknown."""
    finish: float
    tokens: int
    """Number of generated tokens."""
    queued: float | None = None
    """When it was handed to the engine; None where unknown."""


class Window(NamedTuple):
    """A span of time in which an engine was full."""

    begin: float
    end: float

    def tokens(self, row: Served) -> float:
        """Tokens of a request in it, if those after the first came evenly."""
        return _tokens_by(row, self.end) - _tokens_by(row, self.begin)

    def request_seconds(self, row: Served) -> float:
        """How long a request was in flight in it."""
        return max(0.0, min(row.finish, self.end) - max(row.start, self.begin))


def steady_window(rows: Sequence[Served], places: int | None) -> Window | str:
    """The window of one session, or why there is none.

    Requests that failed are handed over once more when all others have ended. By then the batch has
    drained, so they are in no window.

    Args:
        rows: Its requests.
        places: How many the engine serves at once. None: as many as it was seen to serve, if
            another had to wait.
    """
    rows = _handed_over_first(rows)
    if places is None:
        places = _places_seen(rows)
        if places is None:
            return "the engine's limit is unknown, and no request waited for a place"
    firsts = sorted(row.first for row in rows if row.first is not None)
    if len(firsts) < places:
        return f"never full: {len(firsts)} requests with a first token for {places} places"
    last_start = max(row.start for row in rows)
    begin = firsts[places - 1]
    end = min((row.finish for row in rows if row.finish > last_start), default=last_start)
    if end <= begin:
        return f"never full: requests ended before {places} had a first token"
    return Window(begin, end)


def _handed_over_first(rows: Sequence[Served]) -> list[Served]:
    first = min((row.queued for row in rows if row.queued is not None), default=None)
    return [row for row in rows if row.queued in {None, first}]


def _places_seen(rows: Sequence[Served]) -> int | None:
    """The most requests in flight at once; None when none began after another had ended."""
    if not rows or max(row.start for row in rows) < min(row.finish for row in rows):
        return None
    # At one moment an end comes before a start: the place is taken over.
    moments = sorted([(row.finish, -1) for row in rows] + [(row.start, 1) for row in rows])
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most or None


def _tokens_by(row: Served, moment: float) -> float:
    first = row.start if row.first is None else row.first
    if moment >= row.finish:
        return float(row.tokens)
    if moment < first or row.tokens == 0:
        return 0.0
    return 1 + (row.tokens - 1) * (moment - first) / (row.finish - first)
