"""``harness leaderboard``: all finished runs, one ranked list for each task and protocol."""

import argparse
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.leaderboard import (
    Contents,
    LeftOut,
    RankedList,
    Selection,
    rank,
    read_rows,
)
from harness.analysis.leaderboard.files import lines, write_csv, write_parquet
from harness.analysis.leaderboard.selection import check_order, parse_day
from harness.errors import UserError
from harness.io.jsonl import user_file
from harness.io.printable import printable
from harness.report.leaderboard import page, print_foreign, print_leaderboard
from harness.store.manifest import dump_json

if TYPE_CHECKING:
    from harness.analysis.leaderboard.foreign import ForeignRow

log = logging.getLogger(__name__)

# Left-out files that stderr names for one reason.
_NAMED = 5
_STDOUT = Path("-")


def leaderboard(options: argparse.Namespace) -> int:
    """Prints the lists, or writes them as a page, CSV or Parquet.

    Returns:
        0, whatever was left out: that is said on stderr.

    Raises:
        UserError: A day is none, or nothing has the task, model or protocol that is asked for.
        StoreError: A file cannot be written.
    """
    _check_stdout(options)
    if options.top < 1:
        raise UserError(f"--top {options.top}: should be 1 or more")
    selection = _selection(options)
    foreign = _foreign(options.log, selection.tasks)
    contents = read_rows(options.results_dir, selection, [each.task for each in foreign])
    lists = rank(contents.rows)
    _tell(contents)
    pieces = page(lists, contents.left_out, options.top) if options.html else []
    if options.html and options.html != _STDOUT:
        with user_file(options.html) as stream:
            stream.writelines(pieces)
    if options.parquet:
        write_parquet(lists, options.parquet)
    if options.csv and options.csv != _STDOUT:
        with user_file(options.csv) as stream:
            write_csv(lists, stream)
    for file in filter(None, (options.html, options.parquet, options.csv)):
        if file != _STDOUT:
            print(f"harness: wrote {printable(str(file))}", file=sys.stderr)  # noqa: T201
    if options.html == _STDOUT:
        sys.stdout.writelines(pieces)
    _print(options, lists, contents.left_out, foreign)
    return 0


def _foreign(files: Sequence[Path], tasks: Sequence[str]) -> "list[ForeignRow]":
    """Without logs, what reads them is not imported, which takes long."""
    if not files:
        return []
    from harness.analysis.leaderboard.foreign import foreign_rows

    return foreign_rows(files, tasks)


def _print(
    options: argparse.Namespace,
    lists: Sequence[RankedList],
    left_out: Iterable[LeftOut],
    foreign: "Sequence[ForeignRow]",
) -> None:
    """What goes to stdout: one thing, and nothing where files were asked for alone."""
    if options.csv == _STDOUT:
        write_csv(lists, sys.stdout)
    elif options.json:
        found = {**_as_json(lists, left_out), "foreign": [each.model_dump() for each in foreign]}
        print(dump_json(found))  # noqa: T201
    elif not (options.html or options.parquet or options.csv):
        print_leaderboard(lists, options.top, is_wide=options.wide)
        print_foreign(foreign)


def _selection(options: argparse.Namespace) -> Selection:
    since, until = parse_day("--since", options.since), parse_day("--until", options.until)
    check_order(since, until)
    return Selection(
        tasks=tuple(options.task),
        models=tuple(options.model),
        protocols=tuple(options.protocol),
        since=since,
        until=until,
    )


def _tell(contents: Contents) -> None:
    """Says what is in no list, and why: files of one reason on one line."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for each in contents.left_out:
        by_reason[each.reason].append(each.file)
    for reason, files in by_reason.items():
        more = len(files) - _NAMED
        named = ", ".join(files[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
        log.warning("left out %d: %s: %s", len(files), named, reason)


def _as_json(lists: Sequence[RankedList], left_out: Iterable[LeftOut]) -> dict[str, Any]:
    return {
        "lists": [
            {
                "task": each.task,
                "fingerprint": each.fingerprint,
                "protocol": each.protocol,
                "protocol_fields": json.loads(each.standings[0].row.protocol_fields),
                "rows": list(lines([each])),
            }
            for each in lists
        ],
        "left_out": [each.model_dump() for each in left_out],
    }


def _check_stdout(options: argparse.Namespace) -> None:
    """Refuses two things on stdout.

    Raises:
        UserError: Names the option.
    """
    if options.parquet == _STDOUT:
        raise UserError("--parquet -: is no text; name a file")
    taken = [name for name in ("html", "csv") if getattr(options, name) == _STDOUT]
    if len(taken) > 1 or (taken and options.json):
        other = "--json" if options.json else f"--{taken[0]}"
        raise UserError(f"--{taken[-1]} -: stdout cannot have {other} too; name a file")
