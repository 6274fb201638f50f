"""The index: the rows of all results of a folder, kept in one Parquet file, never out of date.

It lies in the user's cache, so results may be on a read-only disk and git never sees it. Before
each use every file is looked at: one whose path, size or time of change is new is read again, one
that is gone leaves. DuckDB holds the rows in memory and selects from them; the file is only ever
replaced as a whole, so processes need no lock: at worst two read the same new results. Where the
cache cannot be written the index is not kept.
"""

import logging
import os
import secrets
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.analysis.leaderboard.row import LeaderboardRow, UnreadableError, rows_of
from harness.analysis.leaderboard.selection import Selection, check_known
from harness.analysis.leaderboard.table import columns_of, connect, insert
from harness.errors import StoreError
from harness.io.paths import cache_dir
from harness.records import Record
from harness.store.run_files import runs_dir

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)

# Rises whenever the columns change: an index of another version is not looked at.
_VERSION = 3


class State(NamedTuple):
    """The file attributes by which a change is noticed."""

    file: str
    """Path relative to the results folder."""
    size_bytes: int
    mtime_ns: int


class LeftOut(Record):
    """A file or folder that is in no list."""

    file: str
    """Path relative to the results folder, as in rows."""
    reason: str


class Contents(NamedTuple):
    """The content of a results folder."""

    rows: tuple[LeaderboardRow, ...]
    """The requested rows."""
    left_out: tuple[LeftOut, ...]
    read: int
    """Files that were read, because they are new or changed."""


def read_rows(
    results_dir: Path, selection: Selection | None = None, other_tasks: Iterable[str] = ()
) -> Contents:
    """The rows of all finished runs and baselines, brought up to date.

    Args:
        results_dir: Where they are.
        selection: Which are asked for; None: all.
        other_tasks: That may be asked for though no result has them: logs beside the results do.

    Raises:
        StoreError: There is no such folder.
        UserError: A task, model or protocol is asked for that no result has.
    """
    if not results_dir.is_dir():
        raise StoreError(
            f"--results-dir {results_dir}: no such folder; name the one with runs/ in it"
        )
    states, left_out = _look(results_dir)
    kept = index_file(results_dir)
    with connect() as connection:
        _load(connection, kept)
        stale, gone = _changes(connection, states)
        connection.execute("DELETE FROM rows WHERE file IN (SELECT unnest(?))", [gone])
        fresh, unreadable = _read(results_dir, stale)
        insert(connection, "rows", _COLUMNS, fresh)
        if gone or fresh:
            _keep(connection, kept)
        asked = selection or Selection()
        _check(connection, asked, other_tasks)
        rows, copies = _select(connection, asked)
    return Contents(tuple(rows), (*left_out, *unreadable, *copies), len(stale))


def index_file(results_dir: Path) -> Path:
    """The index file of a results folder."""
    named = f"{results_dir.resolve()} {_VERSION} {_COLUMNS}"
    digest = sha256(os.fsencode(named)).hexdigest()[:16]
    return cache_dir() / "leaderboard" / f"{digest}.parquet"


# --- files ------------------------------------------------------------------------------------


def _look(results_dir: Path) -> tuple[set[State], list[LeftOut]]:
    """All result files as they are now, and the run folders that have none."""
    states, unfinished = set(), []
    runs = runs_dir(results_dir)
    for name in _names(runs):
        file = f"{runs.name}/{name}/result.json"
        if (state := _state(results_dir, file)) is not None:
            states.add(state)
        elif os.path.isdir(f"{runs}/{name}"):  # noqa: PTH112 - 10,000 Paths take their time
            reason = "has no result.json: not finished, or a shard"
            unfinished.append(LeftOut(file=f"{runs.name}/{name}", reason=reason))
    for name in _names(results_dir / "baselines"):
        if name.endswith(".json") and (state := _state(results_dir, f"baselines/{name}")):
            states.add(state)
    return states, unfinished


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name[0] != ".")  # noqa: PTH208
    except FileNotFoundError:
        return []


def _state(results_dir: Path, file: str) -> State | None:
    """The state of a file; None where there is none."""
    try:
        stat = os.stat(f"{results_dir}/{file}")  # noqa: PTH116
    except OSError:
        return None
    return State(file, stat.st_size, stat.st_mtime_ns)


def _read(results_dir: Path, stale: Iterable[State]) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    fresh, unreadable = [], []
    for state in stale:
        try:
            rows = rows_of((results_dir / state.file).read_bytes(), state.file)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            unreadable.append(LeftOut(file=state.file, reason=reason))
        except UnreadableError as error:
            unreadable.append(LeftOut(file=state.file, reason=str(error)))
        else:
            fresh += [{**row._asdict(), **state._asdict()} for row in rows]
    return fresh, unreadable


# --- DuckDB -----------------------------------------------------------------------------------


_COLUMNS = {**columns_of(LeaderboardRow), **columns_of(State)}


def _load(connection: "DuckDBPyConnection", kept: Path) -> None:
    """Fills the table from the index, or with nothing where that is missing or damaged."""
    import duckdb

    insert(connection, "rows", _COLUMNS, ())
    if kept.is_file():
        try:
            connection.execute(
                "INSERT INTO rows BY NAME SELECT * FROM read_parquet(?)", [str(kept)]
            )
        except duckdb.Error as error:
            log.debug("%s: cannot be used, so all is read anew: %s", kept, error)


def _changes(connection: "DuckDBPyConnection", states: set[State]) -> tuple[list[State], list[str]]:
    """The files to read, and those whose rows are not true any more."""
    names = ", ".join(State._fields)
    found = connection.execute(f"SELECT DISTINCT {names} FROM rows")  # noqa: S608
    known = {State(*line) for line in found.fetchall()}
    return sorted(states - known), sorted({state.file for state in known - states})


def _keep(connection: "DuckDBPyConnection", kept: Path) -> None:
    """Replaces the index as a whole."""
    import duckdb

    scratch = kept.with_name(f".{kept.name}.{secrets.token_hex(4)}.new")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        connection.table("rows").write_parquet(str(scratch), compression="zstd")
        scratch.replace(kept)
    except (OSError, duckdb.Error) as error:
        log.info("the index cannot be kept, so results are read anew each time: %s", error)
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def _select(
    connection: "DuckDBPyConnection", asked: Selection
) -> tuple[list[LeaderboardRow], list[LeftOut]]:
    """The requested rows, each run once: a baseline is often a copy of a run in the same folder."""
    condition, values = asked.sql()
    # The words are ours; values are passed apart.
    names = ", ".join(LeaderboardRow._fields)
    query = f"SELECT {names} FROM rows WHERE {condition} ORDER BY file DESC"  # noqa: S608
    seen: dict[tuple[str, str], list[LeaderboardRow]] = defaultdict(list)
    copies = {}
    for row in map(LeaderboardRow._make, connection.execute(query, values).fetchall()):
        alike = seen[row.run_id, row.task]
        first = next((each for each in alike if each._replace(file=row.file) == row), None)
        if first is None:
            alike.append(row)
        else:
            copies[row.file] = LeftOut(file=row.file, reason=f"is a copy of {first.file}")
    return list(chain.from_iterable(seen.values())), list(copies.values())


def _check(connection: "DuckDBPyConnection", asked: Selection, other_tasks: Iterable[str]) -> None:
    """Refuses names that no result has.

    Raises:
        UserError: There is one.
    """
    for option, names, query, others in (
        ("--task", asked.tasks, "SELECT DISTINCT task FROM rows", other_tasks),
        ("--model", asked.models, "SELECT DISTINCT model FROM rows", ()),
    ):
        if names:
            known = {name for (name,) in connection.execute(query).fetchall()}
            check_known(option, names, known.union(others))
    for name in asked.protocols:
        found = "SELECT 1 FROM rows WHERE protocol = ? OR starts_with(fingerprint, ?) LIMIT 1"
        if not connection.execute(found, [name, name]).fetchall():
            protocols = connection.execute("SELECT DISTINCT protocol FROM rows").fetchall()
            check_known("--protocol", [name], {protocol for (protocol,) in protocols})
