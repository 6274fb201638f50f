"""The page of all nights: trends of each model with what changed on the way, and every night."""

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from harness.analysis.nightly import record
from harness.analysis.nightly.change_points import change_points
from harness.analysis.nightly.history import Step, by_label, steps
from harness.analysis.nightly.record import Night, NightFigure
from harness.report.nightly_words import (
    NAMES,
    amount,
    changed,
    name,
    number,
    reasons,
    unit,
    verdict,
)
from harness.report.page.render import plot_div, render_page

BAD = "#b3261e"
TASK_COLOURS = ("#1f6fc4", "#c2570c", "#0d7f75", "#7b3fc2", "#a3144d", "#5f6b14")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")
_SIGNS = {"fine": "✓", "REGRESSION": "▼", "ERRORS": "!", "CRASHED": "✕", "STOPPED": "✕"}
_KINDS = {"fine": "good", "REGRESSION": "bad", "ERRORS": "warn", "CRASHED": "loud"}
SHOWN_NIGHTS = 180
"""In plots and table; the history has all."""


class Mark(NamedTuple):
    """A night that something is to be said of, as a line in each plot."""

    colour: str
    sign: str
    dash: str
    height: float
    """Of its sign: 0 is the bottom of the plot, 1 its top."""


NO_RESULT = Mark("#9a1270", "✕", "dot", 0)
LEVEL = Mark("#9a1270", "◆", "dash", 0.92)
SERIES = Mark("#0a58a8", "S", "solid", 1)
VERSION = Mark("#565f69", "v", "dot", 1)


class NightRow(NamedTuple):
    """A night of one model, as the page shows it."""

    night: Night
    step: Step

    @property
    def verdict(self) -> str:
        """As on the terminal."""
        return verdict(self.night)

    @property
    def sign(self) -> str:
        """Of the verdict, for who sees no colours."""
        return _SIGNS[self.verdict]

    @property
    def kind(self) -> str:
        """Its colour."""
        return _KINDS.get(self.verdict, "muted")

    @property
    def lines(self) -> list[str]:
        """What else is to be said of it."""
        return [*reasons(self.night), *(f"changed here: {line}" for line in changed(self.step))]


class Column(NamedTuple):
    """A figure that the nights of one model have."""

    key: str
    figure: NightFigure

    @property
    def title(self) -> str:
        """Its name."""
        return name(self.figure)

    @property
    def heading(self) -> str:
        """Its name with its unit, in two lines."""
        words = name(self.figure).removeprefix(f"{self.figure.task} ")
        words = words if self.figure.unit in words.split() else f"{words}, {unit(self.figure)}"
        return f"{self.figure.task or 'whole run'}\n{words}"

    def cell(self, night: Night) -> str:
        """Its value that night; nothing for a night without result."""
        value = night.value(self.key)
        if value is None:
            return "unknown" if night.figures else ""
        return number(value, self.figure)


def render_history(nights: Sequence[Night], results_dir: Path) -> str:
    """The page as text."""
    parts = []
    for place, (label, of_label) in enumerate(by_label(nights).items()):
        shown = of_label[-SHOWN_NIGHTS:]
        rows = [NightRow(*each) for each in zip(of_label, steps(of_label), strict=True)][
            -SHOWN_NIGHTS:
        ]
        columns = _columns(shown)
        parts.append(
            {
                "label": label,
                "rows": rows[::-1],
                "columns": columns,
                "plots": [
                    plot_div(figure, f"plot-{place}-{order}", caption)
                    for order, (figure, caption) in enumerate(_plots(rows, columns))
                ],
            }
        )
    return render_page(
        "nightly.html.j2",
        title="Nights",
        parts=parts,
        plots=True,
        link=lambda night: _link(night, results_dir),
    )


def _columns(nights: Sequence[Night]) -> list[Column]:
    found: dict[str, NightFigure] = {}
    for night in nights:
        for figure in night.figures:
            found.setdefault(figure.key, figure)
    order = list(NAMES)
    by_kind = sorted(found.items(), key=lambda item: order.index(_kind(item[1].metric)))
    return [Column(key, figure) for key, figure in by_kind]


def _kind(metric: str) -> str:
    return record.COST if metric.startswith(f"{record.COST}.") else metric


def _link(night: Night, results_dir: Path) -> str | None:
    """Where more is to be seen: the run's report, its result, or what it said before it ended."""
    nightly = results_dir / "nightly"
    candidates = []
    if night.run_id:
        folder = results_dir / "runs" / night.run_id
        candidates += [folder / "report" / "report.html", folder / "result.json"]
    if night.log:
        candidates.append(nightly / "logs" / night.log)
    found = next((file for file in candidates if file.is_file()), None)
    return None if found is None else os.path.relpath(found, nightly)


# --- plots ------------------------------------------------------------------------------------


def _plots(rows: Sequence[NightRow], columns: Sequence[Column]) -> Iterator[tuple[Any, str]]:
    """One for each kind of figure, all tasks in it."""
    for kind, words in NAMES.items():
        of_kind = [column for column in columns if _kind(column.figure.metric) == kind]
        if of_kind:
            yield _plot(words, kind, rows, of_kind)


def _plot(
    words: str, kind: str, rows: Sequence[NightRow], columns: Sequence[Column]
) -> tuple[Any, str]:
    import plotly.graph_objects as go

    figure = go.Figure()
    found = []
    for place, column in enumerate(columns):
        _add_line(figure, rows, column, place)
        found += _add_levels(figure, rows, column)
        _add_regressions(figure, rows, column)
    _mark_nights(figure, rows)
    is_share = columns[0].figure.unit == "fraction"
    dates = [row.night.night.isoformat() for row in rows]
    figure.update_layout(
        title=f"{words[0].upper()}{words[1:]}",
        hovermode="closest",
        showlegend=len(columns) > 1,
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
        margin={"t": 22},
        xaxis={"type": "date", "tickformat": "%d %b", "hoverformat": "%Y-%m-%d", "nticks": 8},
        yaxis={"title": unit(columns[0].figure), "rangemode": "tozero" if is_share else "normal"},
    )
    if len(set(dates)) == 1:  # a plot of one day would be labelled by the hour
        figure.update_xaxes(tickvals=dates[:1])
    caption = "Shaded: 95 % intervals. " if kind == record.ACCURACY else ""
    if found:
        caption += f"New level from {', '.join(found)}."
    return figure, caption


def _segments(rows: Sequence[NightRow]) -> list[list[NightRow]]:
    """Nights with a result, cut where a new series begins."""
    segments: list[list[NightRow]] = [[]]
    for row in rows:
        if row.night.status != "done":
            continue
        if row.step.setting:
            segments.append([])
        segments[-1].append(row)
    return [segment for segment in segments if segment]


def _xy(rows: Sequence[NightRow], column: Column) -> tuple[list[str], list[float]]:
    scale = 100 if column.figure.unit == "fraction" else 1
    known = [(row, value) for row in rows if (value := row.night.value(column.key)) is not None]
    return [row.night.night.isoformat() for row, _ in known], [scale * value for _, value in known]


def _add_line(figure: Any, rows: Sequence[NightRow], column: Column, place: int) -> None:
    """A line for each series, broken at nights without a value, with its interval."""
    colour = TASK_COLOURS[place % len(TASK_COLOURS)]
    for order, segment in enumerate(_segments(rows)):
        if column.figure.metric == record.ACCURACY:
            _add_band(figure, segment, column, colour)
        inside = [row for row in rows if _is_within(row, segment)]
        scale = 100 if column.figure.unit == "fraction" else 1
        values = [row.night.value(column.key) for row in inside]
        figure.add_scatter(
            x=[row.night.night.isoformat() for row in inside],
            y=[None if value is None else scale * value for value in values],
            mode="lines+markers",
            name=escape(column.figure.task or column.title),
            legendgroup=column.key,
            showlegend=order == 0,
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": _MARKERS[place % len(_MARKERS)], "size": 7},
            text=[amount(value, column.figure) for value in values],
            hovertemplate="%{x}: %{text}<extra>" + escape(column.title) + "</extra>",
        )


def _is_within(row: NightRow, segment: Sequence[NightRow]) -> bool:
    """Between the first and the last night of a series, with or without a result."""
    if row.night.status == "done":
        return any(row is each for each in segment)
    return segment[0].night.night <= row.night.night <= segment[-1].night.night


def _add_band(figure: Any, segment: Sequence[NightRow], column: Column, colour: str) -> None:
    known = [
        (row.night.night.isoformat(), each.low, each.high)
        for row in segment
        if (each := row.night.figure(column.key)) is not None
        and each.low is not None
        and each.high is not None
    ]
    days = [day for day, _, _ in known]
    figure.add_scatter(
        x=[*days, *days[::-1]],
        y=[*(100 * high for *_, high in known), *(100 * low for _, low, _ in known[::-1])],
        mode="lines",
        line={"color": colour, "width": 0},
        fill="toself",
        fillcolor=colour,
        opacity=0.14,
        hoverinfo="skip",
        showlegend=False,
        legendgroup=column.key,
    )


def _add_levels(figure: Any, rows: Sequence[NightRow], column: Column) -> list[str]:
    """Marks where the level changed for good; returns those dates."""
    found = []
    for segment in _segments(rows):
        days, values = _xy(segment, column)
        for index in change_points(values):
            found.append(days[index])
            _add_mark(figure, days[index], LEVEL, f"a new level of {column.title}")
    return found


def _add_regressions(figure: Any, rows: Sequence[NightRow], column: Column) -> None:
    worse = [
        row
        for row in rows
        if any(f.is_regression and f.figure == column.key for f in row.night.findings)
    ]
    days, values = _xy(worse, column)
    if days:
        figure.add_scatter(
            x=days,
            y=values,
            mode="markers",
            marker={
                "symbol": "circle-open",
                "color": BAD,
                "size": 16,
                "line": {"color": BAD, "width": 3},
            },
            name="regression",
            showlegend=False,
            hoverinfo="skip",
        )


def _mark_nights(figure: Any, rows: Sequence[NightRow]) -> None:
    """Nights without a result, and where something changed."""
    for row in rows:
        day = row.night.night.isoformat()
        if row.night.status != "done":
            words = f"{row.night.status}: {row.night.error or 'how it ended is not recorded'}"
            _add_mark(figure, day, NO_RESULT, words)
        elif row.step.setting:
            _add_mark(figure, day, SERIES, "; ".join(changed(row.step)))
        elif row.step.versions:
            _add_mark(figure, day, VERSION, "; ".join(changed(row.step)))


def _add_mark(figure: Any, day: str, mark: Mark, words: str) -> None:
    figure.add_shape(
        type="line",
        x0=day,
        x1=day,
        y0=0,
        y1=1,
        yref="paper",
        layer="below",
        line={"color": mark.colour, "width": 1, "dash": mark.dash},
    )
    figure.add_annotation(
        x=day,
        y=mark.height,
        yref="paper",
        yanchor="bottom",
        text=mark.sign,
        hovertext=escape(words),
        showarrow=False,
        font={"color": mark.colour, "size": 13},
    )
