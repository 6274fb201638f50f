"""A leaderboard for people: tables in the terminal, and a page that stands alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from harness.analysis.leaderboard import (
    LeaderboardRow,
    LeftOut,
    RankedList,
    Standing,
)
from harness.io.terminal import open_console, safe

if TYPE_CHECKING:
    from harness.analysis.leaderboard.foreign import ForeignRow

# Characters of a run's description beside its figures; with less room it is below them.
RUN_WIDTH = 50
_NARROW_GAP = 1
_LEAST_COLUMNS = 4
"""Run, rank, accuracy and its interval are never left out."""
RANK_RULE = (
    "A rank is a range: from 1 + the runs whose 95 % interval lies wholly above, to all runs less "
    "those whose interval lies wholly below. Runs with a rank in common may be in either order; "
    "harness compare, which pairs their problems, tells smaller differences apart. Protocols are "
    "never ranked together."
)


class Column(NamedTuple):
    """One column of both tables."""

    label: str
    cell: Callable[[Standing], str]
    value: Callable[[Standing], float | str | None]
    """What the page sorts by."""
    is_number: bool = True


def print_leaderboard(lists: Sequence[RankedList], top: int, *, is_wide: bool = False) -> None:
    """Prints the lists to stdout, each as far as ``top``.

    Args:
        lists: What to print.
        top: How many runs of each.
        is_wide: Print every column, however long the lines are; otherwise latencies are left out
            where they do not fit.
    """
    console = open_console()
    if not lists:
        console.print("no finished run is here; harness run experiment=demo makes one")
        return
    columns = _columns([standing for each in lists for standing in each.standings])
    widths = [_width(console, _table(each.standings[:top], columns)) + RUN_WIDTH for each in lists]
    if is_wide:
        console.width = max(console.width, *widths)
    for each, width in zip(lists, widths, strict=True):
        console.print(f"[bold]{safe(each.task)}[/bold]  {safe(each.protocol)}")
        console.print(f"fingerprint {safe(each.fingerprint)}, {_runs(each)}")
        shown = each.standings[:top]
        if width <= console.width:
            console.print(_table(shown, columns, with_runs=True))
        else:
            _print_narrow(console, shown, columns)
        if (rest := len(each.standings) - top) > 0:
            console.print(f"… and {rest:,} more; --top {len(each.standings)} shows all")
        console.print()
    console.print(RANK_RULE)
    if max(widths) > console.width:
        console.print("--wide, --csv - and --json have every column: latencies, costs, dates")


def _print_narrow(console: Console, shown: Sequence[Standing], columns: Sequence[Column]) -> None:
    """As many figures as fit, with the model if there is room; below them, which runs they are."""
    numbers = {standing.row.file: f"#{n}" for n, standing in enumerate(shown, 1)}
    chosen = _narrow(columns, numbers, with_model=True)
    if not _fits(console, shown, chosen):
        chosen = _narrow(columns, numbers)
    while len(chosen) > _LEAST_COLUMNS and not _fits(console, shown, chosen):
        chosen.pop()
    console.print(_table(shown, chosen, gap=_NARROW_GAP))
    for standing in shown:
        console.print(f"{numbers[standing.row.file]}  {_named(standing.row)}")


def _fits(console: Console, shown: Sequence[Standing], columns: Sequence[Column]) -> bool:
    return _width(console, _table(shown, columns, gap=_NARROW_GAP)) <= console.width


def print_foreign(rows: "Sequence[ForeignRow]") -> None:
    """Prints the scores of other harnesses' logs, each with what is unknown of its protocol."""
    if not rows:
        return
    console = open_console()
    console.print("\n[bold]Logs of other harnesses, in no list[/bold]", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for label in ("task", "harness", "model", "accuracy", "95 %", "problems", "tokens", "file"):
        table.add_column(label, overflow="fold")
    for row in rows:
        cells = (row.task, f"{row.harness} {row.version or ''}", row.model or "-", *_score(row))
        table.add_row(*map(safe, (*cells, row.file)))
    console.print(table)
    for row in rows:
        unknown = f"not comparable: unknown {', '.join(row.unknown)}"
        known = f"of the protocol of list {row.fingerprint}"
        line = f"{row.file}, {row.task}: {known if row.fingerprint else unknown}"
        console.print(safe(f"{line}; graded by {row.scorer}"), soft_wrap=True)


def _score(row: "ForeignRow") -> tuple[str, ...]:
    score = row.accuracy

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    tokens = "-" if row.tokens_per_answer is None else f"{row.tokens_per_answer:,.0f}"
    interval = f"{percent(score.low)} to {percent(score.high)}"
    return percent(score.value), interval, f"{score.n}", tokens


def page(lists: Sequence[RankedList], left_out: Sequence[LeftOut], top: int) -> Iterator[str]:
    """The page, in pieces."""
    from harness.report.page.render import stream_page

    shown = [standing for each in lists for standing in each.standings[:top]]
    return stream_page(
        "leaderboard.html.j2",
        scripts=["leaderboard.js"],
        title="Leaderboard",
        lists=lists,
        columns=_columns(shown),
        subject=_subject,
        origin=_origin,
        runs_in=_runs,
        top=top,
        run_count=len({standing.row.run_id for each in lists for standing in each.standings}),
        left_out=left_out,
        rank_rule=RANK_RULE,
    )


def _table(
    standings: Sequence[Standing],
    columns: Sequence[Column],
    *,
    with_runs: bool = False,
    gap: int = 2,
) -> Table:
    """Figures, and perhaps beside them which run each line is of."""
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for column in columns:
        table.add_column(
            column.label, justify="right" if column.is_number else "left", no_wrap=True
        )
    if with_runs:
        table.add_column("run", overflow="fold")
    for standing in standings:
        cells = [_lines(column.cell(standing)) for column in columns]
        table.add_row(*cells, *([_named(standing.row)] if with_runs else []))
    return table


def _width(console: Console, table: Table) -> int:
    """Characters that a table takes where nothing bounds it."""
    unbounded = console.options.update(max_width=10_000)
    return Measurement.get(console, unbounded, table).maximum


def _narrow(
    columns: Sequence[Column], numbers: Mapping[str, str], *, with_model: bool = False
) -> list[Column]:
    """Those that 80 characters have room for: a number for the run, whose id says when it began."""
    run = Column("run", lambda standing: numbers[standing.row.file], lambda _: None)
    model = Column("model", lambda standing: standing.row.model, lambda _: None, is_number=False)
    stacked = {"95 %": lambda standing: _interval(standing).replace(" to ", " to\n")}
    return [
        run,
        *([model] if with_model else []),
        *(
            column._replace(cell=stacked.get(column.label, column.cell))
            for column in columns
            if column.label not in _WIDE_ONLY
        ),
    ]


def _named(row: LeaderboardRow) -> str:
    """Which run it is, in rich's markup."""
    return f"[bold]{safe(row.model)}[/bold], {safe(_subject(row))}\n{safe(row.run_id)}"


def _lines(cell: str) -> str:
    """A cell of ours may have two lines; nothing else that starts a line does."""
    return "\n".join(map(safe, cell.split("\n")))


def _runs(each: RankedList) -> str:
    count = len(each.standings)
    return "1 run" if count == 1 else f"{count:,} runs"


def _subject(row: LeaderboardRow) -> str:
    """What was run, beside the model: all in which two rows may differ."""
    name = f"{row.engine} {row.engine_version}"
    machine = f"{row.device_count} x {row.device_name}"
    weights = row.weights or row.revision
    parts = [name, row.dtype, row.settings, machine, weights, f"seed {row.seed}"]
    return ", ".join(filter(None, parts))


def _origin(row: LeaderboardRow) -> str:
    """Which code made it."""
    commit = "" if row.git_commit is None else f", {row.git_commit[:9]}"
    return f"{row.harness_version}{commit}{' with changes' if row.git_dirty else ''}"


# --- columns ----------------------------------------------------------------------------------

_COSTS = {
    "USD/solved,\nrented": "usd_per_solved_rented",
    "USD/solved,\nowned": "usd_per_solved_owned",
    "USD/solved,\nby an API": "usd_per_solved_api",
    "J/solved": "joules_per_solved",
}

_OF_TIME = frozenset({"usd_per_solved_rented", "usd_per_solved_owned"})
"""Costs that follow the machine's time."""
_TIMES = {
    "queue,\ns": "queue_wait_p50_s",
    "TTFT,\ns": "time_to_first_token_p50_s",
    "ITL,\ns": "inter_token_latency_mean_s",
    "TPOT,\ns": "time_per_output_token_p50_s",
    "request,\ns": "request_latency_p50_s",
}
"""Medians, of ITL the mean; TTFT and request from the request's start."""
_WIDE_ONLY = frozenset({"begun", "while\nfull", *_TIMES})
"""Columns that 80 characters have no room for."""


def _columns(standings: Sequence[Standing]) -> list[Column]:
    """Those of all lists; a price that no row has takes no column."""
    costs = [
        Column(label, _with_interval(field), _value_of(attrgetter(field)))
        for label, field in _COSTS.items()
        if any(getattr(standing.row, field) is not None for standing in standings)
    ]
    return [
        Column("rank", lambda standing: standing.shown, lambda standing: standing.first),
        Column("accuracy", _accuracy, lambda standing: standing.row.accuracy),
        Column("95 %", _interval, lambda standing: standing.row.accuracy_low),
        Column("problems", _problems, lambda standing: standing.row.n),
        Column("truncated", _truncated, _truncated_share),
        Column("errors", _errors, lambda standing: standing.row.errors),
        Column(
            "tokens/\nanswer",
            _number_of(lambda row: row.tokens_per_answer),
            _value_of(lambda row: row.tokens_per_answer),
        ),
        _rate("tokens/s", "output_tokens_per_s", "mean_concurrency"),
        _rate("while\nfull", "steady_output_tokens_per_s", "steady_mean_concurrency"),
        *(
            Column(label, _number_of(attrgetter(field)), _value_of(attrgetter(field)))
            for label, field in _TIMES.items()
        ),
        *costs,
        Column(
            "begun",
            lambda standing: f"{standing.row.started_at:%Y-%m-%d}",
            lambda standing: standing.row.started_at.isoformat(),
            is_number=False,
        ),
    ]


def _rate(label: str, rate: str, concurrency: str) -> Column:
    """Tokens per second, and below them how many requests ran at once."""

    def shown(standing: Standing) -> str:
        value, at_once = getattr(standing.row, rate), getattr(standing.row, concurrency)
        return _digits(value) if at_once is None else f"{_digits(value)}\nat {_digits(at_once)}"

    return Column(label, shown, _value_of(attrgetter(rate)))


def _number_of(of: Callable[[LeaderboardRow], float | None]) -> Callable[[Standing], str]:
    return lambda standing: _digits(of(standing.row))


def _with_interval(field: str) -> Callable[[Standing], str]:
    """The figure, and below it the 95 % interval, which of few problems is unknown."""

    def shown(standing: Standing) -> str:
        value, low, high = (getattr(standing.row, field + end) for end in ("", "_low", "_high"))
        is_least = field in _OF_TIME and standing.row.cost_is_lower_bound and value is not None
        least = "≥ " * is_least
        if low is None or high is None:
            return f"{least}{_digits(value)}"
        return f"{least}{_digits(value)}\n{_digits(low)} to\n{_digits(high)}"

    return shown


def _digits(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _value_of(of: Callable[[LeaderboardRow], float | None]) -> Callable[[Standing], float | None]:
    return lambda standing: of(standing.row)


def _accuracy(standing: Standing) -> str:
    value = standing.row.accuracy
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _interval(standing: Standing) -> str:
    low, high = standing.row.accuracy_low, standing.row.accuracy_high
    return "unknown" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _problems(standing: Standing) -> str:
    """Those that the accuracy rests on: with errors, perhaps not all that were asked."""
    row = standing.row
    return f"{row.n:,}" if row.n == row.problems else f"{row.n:,} of {row.problems:,}"


def _truncated(standing: Standing) -> str:
    share = _truncated_share(standing)
    return "unknown" if share is None else f"{100 * share:.1f} %"


def _truncated_share(standing: Standing) -> float | None:
    row = standing.row
    return None if row.truncated is None or not row.samples else row.truncated / row.samples


def _errors(standing: Standing) -> str:
    errors = standing.row.errors
    if errors is None:
        return "unknown"
    return f"⚠ {errors:,}" if errors else "0"
