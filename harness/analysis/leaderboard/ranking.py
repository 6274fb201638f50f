"""Ranks rows in lists: one for each task and protocol fingerprint, never across lists.

A run's rank is a range, as far as the 95 % intervals tell: it begins at 1 + the number of runs
whose interval lies wholly above this one's, and ends at the number of runs less those whose
interval lies wholly below. Two runs whose intervals overlap may be in either order. The rule is
cautious twice: separate intervals need a larger difference than a test at 5 % would, and the runs
answered the same problems, which ``harness compare`` makes use of. It is not corrected for the
number of runs.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.analysis.leaderboard.row import LeaderboardRow


class Standing(NamedTuple):
    """A row with its rank; None where its accuracy is unknown."""

    row: LeaderboardRow
    first: int | None
    last: int | None

    @property
    def shown(self) -> str:
        """``3`` or ``1-4``."""
        if self.first is None:
            return "-"
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class RankedList(NamedTuple):
    """The runs of one task under one protocol, the best first."""

    task: str
    fingerprint: str
    protocol: str
    """The protocol in words."""
    standings: tuple[Standing, ...]


def rank(rows: Iterable[LeaderboardRow]) -> list[RankedList]:
    """Ranks rows, each list for itself; lists by task, those of many runs first."""
    groups: dict[tuple[str, str], list[LeaderboardRow]] = defaultdict(list)
    for row in rows:
        groups[row.task, row.fingerprint].append(row)
    words = _words_by_list(groups)
    lists = [
        RankedList(task, fingerprint, words[task, fingerprint], tuple(_standings(group)))
        for (task, fingerprint), group in groups.items()
    ]
    return sorted(lists, key=lambda each: (each.task, -len(each.standings), each.fingerprint))


def _standings(rows: Sequence[LeaderboardRow]) -> list[Standing]:
    known = [row for row in rows if row.accuracy is not None]
    lows, highs = sorted(map(_low, known)), sorted(map(_high, known))
    standings = []
    for row in rows:
        if row.accuracy is None:
            standings.append(Standing(row, None, None))
            continue
        above = len(known) - bisect_right(lows, _high(row))
        below = bisect_left(highs, _low(row))
        standings.append(Standing(row, above + 1, len(known) - below))
    return sorted(standings, key=_order)


def _low(row: LeaderboardRow) -> float:
    return -math.inf if row.accuracy_low is None else row.accuracy_low


def _high(row: LeaderboardRow) -> float:
    return math.inf if row.accuracy_high is None else row.accuracy_high


def _order(standing: Standing) -> tuple[Any, ...]:
    row = standing.row
    if standing.first is None or row.accuracy is None:
        return (math.inf, 0, 0.0, row.run_id, row.file)
    return (standing.first, standing.last, -row.accuracy, row.run_id, row.file)


# --- a protocol in words ----------------------------------------------------------------------

# Fields that the words tell.
_TOLD = frozenset(
    {
        "task",
        "subset",
        "subset_sha256",
        "temperature",
        "top_p",
        "top_k",
        "max_new_tokens",
        "samples_per_problem",
        "force_think",
        "scorer",
    }
)


def _words_by_list(
    groups: Mapping[tuple[str, str], list[LeaderboardRow]],
) -> dict[tuple[str, str], str]:
    """By list: its protocol, and how it differs from the task's other lists."""
    fields = {key: json.loads(rows[0].protocol_fields) for key, rows in groups.items()}
    words = {}
    for (task, fingerprint), mine in fields.items():
        others = [each for (name, _), each in fields.items() if name == task]
        differing = [
            f"{name} {_short(value)}"
            for name, value in mine.items()
            if name not in _TOLD and any(each.get(name) != value for each in others)
        ]
        told = _words(groups[task, fingerprint], mine)
        words[task, fingerprint] = ", ".join([told, *differing])
    return words


def _words(rows: Sequence[LeaderboardRow], fields: Mapping[str, Any]) -> str:
    names = sorted({row.protocol for row in rows})
    row = rows[0]
    size = f"{row.problems} of {row.full_size}" if row.problems < row.full_size else "all"
    samples = fields.get("samples_per_problem")

    def told(name: str, spec: str) -> str:
        value = fields.get(name)
        return format(value, spec) if isinstance(value, int | float) else "unknown"

    parts = [
        f"{size} problems" if size != "all" else f"all {row.full_size} problems",
        f"{samples} sample{'s' * (samples != 1)} each",
        f"temperature {told('temperature', 'g')}",
        f"top_p {told('top_p', 'g')}",
        f"top_k {'off' if fields.get('top_k') is None else fields['top_k']}",
        f"at most {told('max_new_tokens', ',')} tokens",
        *(["<think> forced"] if fields.get("force_think") else []),
        f"graded by {fields.get('scorer')}",
    ]
    return f"protocol {', '.join(names)}: {', '.join(parts)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:8]}…" if len(text) == 64 else text  # noqa: PLR2004 - a sha256
