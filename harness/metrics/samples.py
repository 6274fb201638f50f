"""Sums over samples where a count may be unknown."""

from collections.abc import Iterable

NO_COUNTS = "the server did not report the token count of every answer"


def known_sum(counts: Iterable[int | None]) -> int | None:
    """The sum, None where one of them is unknown."""
    listed = list(counts)
    known = [count for count in listed if count is not None]
    return sum(known) if len(known) == len(listed) else None
