"""Yes, no, or None for not yet known; and how several such verdicts become one."""

from collections.abc import Iterable

Verdict = bool | None


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """The verdict that needs all: no if any is no, yes if all are yes."""
    result: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        result = None if verdict is None else result
    return result


def either(*verdicts: bool | None) -> bool | None:
    """The verdict that needs one: yes if any is yes, no if all are no."""
    if True in verdicts:
        return True
    return None if None in verdicts else False


def pair_off(verdicts: list[list[bool | None]], rows: int, columns: int) -> bool | None:
    """Whether rows and columns can be paired off, each once."""
    if rows != columns:
        return False
    if _pairs_off(verdicts, {True}):
        return True
    return None if _pairs_off(verdicts, {True, None}) else False


def _pairs_off(verdicts: list[list[bool | None]], accepted: set[bool | None]) -> bool:
    """Kuhn's augmenting paths."""
    taken: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, verdict in enumerate(verdicts[row]):
            if verdict in accepted and column not in seen:
                seen.add(column)
                if column not in taken or place(taken[column], seen):
                    taken[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(verdicts)))
