"""The rows that a user requests, and whether the request is valid."""

import difflib
from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from harness.errors import UserError


class Selection(NamedTuple):
    """The filters of a leaderboard; by default there are none."""

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    """Names, or first digits of fingerprints."""
    since: date | None = None
    until: date | None = None
    """The last day that counts. Days are those of UTC."""

    def sql(self) -> tuple[str, list[object]]:
        """A condition for WHERE, and the values for its question marks."""
        parts: list[str] = []
        values: list[object] = []
        for column, wanted in (("task", self.tasks), ("model", self.models)):
            if wanted:
                parts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += wanted
        if self.protocols:
            either = "protocol = ? OR starts_with(fingerprint, ?)"
            parts.append(f"({' OR '.join([either] * len(self.protocols))})")
            values += [value for name in self.protocols for value in (name, name)]
        for sign, day in ((">=", self.since), ("<=", self.until)):
            if day is not None:
                parts.append(f"CAST(started_at AS DATE) {sign} ?")
                values.append(day)
        return " AND ".join(parts) or "TRUE", values


def parse_day(option: str, text: str | None) -> date | None:
    """A day from the command line.

    Raises:
        UserError: It is none.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: should be a day, such as 2026-01-31") from error


def check_order(since: date | None, until: date | None) -> None:
    """Refuses a time that ends before it begins.

    Raises:
        UserError: It does.
    """
    if since is not None and until is not None and since > until:
        raise UserError(f"--since {since}: is after --until {until}")


def check_known(option: str, asked: Collection[str], known: Collection[str]) -> None:
    """Refuses a name that no result has: it is more likely misspelt than meant.

    Raises:
        UserError: Names the nearest, or all there are.
    """
    for name in asked:
        if name in known:
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise UserError(f"{option} {name}: no result has it; {hint if known else 'there is none'}")
