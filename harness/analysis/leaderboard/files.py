"""Ranked lists as tables for other programs: CSV and Parquet, a line for each run and task."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from harness.analysis.leaderboard.ranking import RankedList
from harness.analysis.leaderboard.row import LeaderboardRow
from harness.analysis.leaderboard.table import columns_of, connect, insert
from harness.errors import StoreError
from harness.io.jsonl import aside_for_user

_COLUMNS = {"rank_first": "BIGINT", "rank_last": "BIGINT", **columns_of(LeaderboardRow)}
del _COLUMNS["protocol_fields"]  # the fingerprint stands for them
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(lists: Iterable[RankedList]) -> Iterator[dict[str, Any]]:
    """The lists one after the other, times as text; a rank is one within its task and protocol."""
    for line in _rows(lists):
        yield {**line, "started_at": f"{line['started_at'].isoformat()}Z"}


def _rows(lists: Iterable[RankedList]) -> Iterator[dict[str, Any]]:
    for each in lists:
        for row, first, last in each.standings:
            line = {"rank_first": first, "rank_last": last, **row._asdict()}
            del line["protocol_fields"]
            yield line


def write_csv(lists: Iterable[RankedList], stream: IO[str]) -> None:
    """Writes CSV; what is unknown is empty, and no name is a formula to a spreadsheet."""
    writer = csv.DictWriter(stream, list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    for line in lines(lists):
        writer.writerow({name: _inert(value) for name, value in line.items()})


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would compute gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_parquet(lists: Iterable[RankedList], file: Path) -> None:
    """Writes Parquet; times are in UTC.

    Raises:
        StoreError: It cannot be written.
    """
    import duckdb

    with connect() as connection:
        insert(connection, "lines", _COLUMNS, _rows(lists))
        with aside_for_user(file) as scratch:
            try:
                connection.table("lines").write_parquet(str(scratch), compression="zstd")
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise StoreError(f"--parquet {file}: cannot be written: {reason}") from error
