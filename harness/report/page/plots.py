"""The plots of a page, each a pure function from runs to a Plotly figure.

Colours are the light ones of ``page.css``; the page turns each into its dark sister. A run is
known by its letter and its marker too, an outcome by its name.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from harness.report.page.outcomes import Group
from harness.report.page.runs import ReportRun, by_protocol
from harness.report.page.thinking import Bin, bin_edges, scored, thinking_bins
from harness.store.manifest import Outcome

INK, MUTED, LINE = "#1a1e23", "#565f69", "#d9dee4"
RUN_COLOURS = ("#1f6fc4", "#c2570c", "#0d7f75", "#7b3fc2", "#a3144d", "#5f6b14")
STATUS_COLOURS = {
    "correct": "#14692f", "incorrect": "#b3261e", "no answer": "#565f69", "truncated": "#855300",
    "errors": "#9a1270",
}  # fmt: skip
_MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MOST_POINTS = 1500
"""Of a scatter plot and run: more are drawn slowly and seen no better."""
_CURVE_POINTS = 200
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


@dataclass(frozen=True)
class Plot:
    """A figure with its name and what a reader has to know of it."""

    name: str
    figure: Any
    caption: str


def all_plots(runs: Sequence[ReportRun], groups: dict[str, list[Group]]) -> dict[str, list[Plot]]:
    """Every plot that has something to show, by the section that it stands in.

    Args:
        runs: One or more.
        groups: By task, from ``outcome_groups``.
    """
    tasks = list(groups)
    found = {
        "outcomes": [_by_group(task, groups[task], kind) for task in tasks for kind in _KINDS],
        "tradeoff": [plot for task in tasks for plot in _tradeoffs(runs, task)],
        "budget": [*(_budget(runs, task) for task in tasks), *_budget_costs(runs)],
        "times": [
            _latency(runs),
            _first_token(runs),
            _lengths(runs),
            *(_accuracy_by_thinking(runs, task) for task in tasks),
            _thinking(runs),
        ],
    }
    return {section: [p for p in plots if p is not None] for section, plots in found.items()}


# --- what all have in common ------------------------------------------------------------------


def _figure(title: str, x: str, y: str, **layout: Any) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(title=escape(title), legend=_LEGEND, hovermode="closest", **layout)
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure


def _label(run: ReportRun) -> str:
    """By which the page's head explains it; long names would leave no room for the plot."""
    return f"Run {run.letter}"


def _colour(run: ReportRun) -> str:
    return RUN_COLOURS[_place(run)]


def _place(run: ReportRun) -> int:
    return (ord(run.letter) - ord("A")) % len(RUN_COLOURS)


def _line(run: ReportRun) -> dict[str, Any]:
    return {"color": _colour(run), "width": 2, "dash": _DASHES[_place(run)]}


def _marker(run: ReportRun, size: int = 9) -> dict[str, Any]:
    return {"color": _colour(run), "symbol": _MARKERS[_place(run)], "size": size}


def _percents(value: float, low: float | None, high: float | None) -> tuple[float, float, float]:
    """Value and the lengths of its two whiskers, in percent."""
    lower = value if low is None else low
    upper = value if high is None else high
    return 100 * value, 100 * (value - lower), 100 * (upper - value)


# --- accuracy by subject and level ------------------------------------------------------------

_KINDS = ("subject", "level")


def _by_group(task: str, groups: Sequence[Group], kind: str) -> Plot | None:
    mine = [each for each in groups if each.kind == kind and each.accuracy.value is not None]
    names = sorted({each.name for each in mine}, reverse=True)
    if len(names) < 2:  # noqa: PLR2004 - one is no picture
        return None
    figure = _figure(f"Accuracy by {kind}, {task}", "solved, %", "")
    letters = sorted({each.run.letter for each in mine})
    for letter in letters:
        of_run = [each for each in mine if each.run.letter == letter]
        # Runs of one group stand a little apart, so that no whisker hides another.
        shift = 0.22 * (letters.index(letter) - (len(letters) - 1) / 2)
        points = [
            _percents(e.accuracy.value or 0.0, e.accuracy.low, e.accuracy.high) for e in of_run
        ]
        figure.add_scatter(
            x=[point[0] for point in points],
            y=[names.index(each.name) - shift for each in of_run],
            error_x={
                "array": [point[2] for point in points],
                "arrayminus": [point[1] for point in points],
                "color": _colour(of_run[0].run), "thickness": 1.5, "width": 4,
            },
            mode="markers",
            name=_label(of_run[0].run),
            marker=_marker(of_run[0].run),
            text=[f"{escape(e.name)}: {e.counts['correct']} of {e.samples}" for e in of_run],
            hovertemplate="%{text}<br>%{x:.1f} %<extra></extra>",
            showlegend=len(letters) > 1,
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[escape(n) for n in names], zeroline=False
    )
    figure.update_xaxes(range=[-2, 102])
    return Plot(f"{kind}-{task}", figure, "Bars: 95 % intervals for new problems of the kind.")


# --- accuracy against cost and speed ----------------------------------------------------------


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that none beats: less of the first, more of the second is better."""
    return [
        place
        for place, (cost, score) in enumerate(points)
        if not any(
            (other <= cost and better >= score) and (other < cost or better > score)
            for other, better in points
        )
    ]


def _tradeoffs(runs: Sequence[ReportRun], task: str) -> Iterator[Plot | None]:
    if len(runs) < 2:  # noqa: PLR2004 - one run has nothing to be set against
        return
    bases = [b for b in ("rented", "owned", "api") if any(_cost(r, task, b) for r in runs)]
    if bases:
        basis = bases[0]
        xs = {run.letter: _cost(run, task, basis) for run in runs}
        yield _tradeoff(runs, task, xs, _Axis("cost", f"USD per solved task, {basis}", -1))
    speeds = {run.letter: run.result.estimate("output_tokens_per_s").value for run in runs}
    yield _tradeoff(runs, task, speeds, _Axis("speed", "output tokens/s", 1))


def _cost(run: ReportRun, task: str, basis: str) -> float | None:
    found = run.result.estimate(f"cost_per_solved.{basis}", task).value
    if found is None and len(run.result.manifest.tasks) == 1 and run.result.manifest.task(task):
        found = run.result.estimate(f"cost_per_solved.{basis}").value
    return found


@dataclass(frozen=True)
class _Axis:
    name: str
    title: str
    better: int
    """1 where more is better, -1 where less is."""


def _tradeoff(
    runs: Sequence[ReportRun], task: str, xs: dict[str, float | None], axis: _Axis
) -> Plot | None:
    groups = [
        [
            run
            for run in group
            if xs[run.letter] and run.result.estimate("accuracy", task).value is not None
        ]
        for group in by_protocol(runs, task)
    ]
    groups = [group for group in groups if group]
    if sum(map(len, groups)) < 2:  # noqa: PLR2004
        return None
    figure = _figure(f"Accuracy against {axis.name}, {task}", axis.title, "solved, %")
    for number, group in enumerate(groups, 1):
        _add_front(figure, group, (task, xs, axis), f", protocol {number}" * (len(groups) > 1))
    for run in (run for group in groups for run in group):
        accuracy = run.result.estimate("accuracy", task)
        y, minus, plus = _percents(accuracy.value or 0.0, accuracy.low, accuracy.high)
        figure.add_scatter(
            x=[xs[run.letter]], y=[y], mode="markers+text", name=_label(run),
            text=[run.letter], textposition="top right", marker=_marker(run, 11),
            cliponaxis=False,
            error_y={"array": [plus], "arrayminus": [minus], "color": _colour(run), "width": 4},
            hovertemplate=f"{escape(run.name)}<br>%{{x:.4g}}, %{{y:.1f}} %",
            showlegend=False,
        )  # fmt: skip
    figure.update_xaxes(type="log", tickformat=".3~r", nticks=5)
    figure.update_yaxes(rangemode="tozero")
    caption = "Line: the Pareto front, the runs that no other beats in both."
    if len(groups) > 1:
        caption += (
            " NOT COMPARABLE: the runs were made under different protocols. Each protocol has a "
            "front of its own; points of different fronts must not be ranked."
        )
    return Plot(f"{axis.name}-{task}", figure, caption)


def _add_front(
    figure: Any,
    group: Sequence[ReportRun],
    of: tuple[str, dict[str, float | None], _Axis],
    suffix: str,
) -> None:
    task, xs, axis = of
    scores = {run.letter: run.result.estimate("accuracy", task).value for run in group}
    points = [(xs[letter] or 0.0, 100 * (score or 0)) for letter, score in scores.items()]
    front = pareto_front([(-axis.better * x, y) for x, y in points])
    corners = sorted(points[place] for place in front)
    figure.add_scatter(
        x=[x for x, _ in corners], y=[y for _, y in corners], mode="lines+markers",
        name=f"Pareto front{suffix}", hoverinfo="skip",
        line={"color": MUTED, "dash": "dot", "width": 1.5},
        marker={"symbol": "circle-open", "size": 20, "color": MUTED},
    )  # fmt: skip


# --- what a smaller budget would have given ---------------------------------------------------


def _budget(runs: Sequence[ReportRun], task: str) -> Plot | None:
    figure = _figure(
        f"What a token budget would have given, {task}",
        "tokens that an answer may take",
        "solved, %",
    )
    for run in runs:
        points = [p for p in run.result.budget_curve if p.task == task and p.accuracy]
        known = [(p.budget_tokens, p.accuracy) for p in points if p.accuracy]
        line = [(x, a) for x, a in known if a.value is not None]
        if len(line) < 2:  # noqa: PLR2004
            continue
        whiskers = [_percents(a.value or 0.0, a.low, a.high) for _, a in line]
        figure.add_scatter(
            x=[x for x, _ in line], y=[w[0] for w in whiskers], mode="lines+markers",
            name=_label(run), line=_line(run), marker=_marker(run, 7),
            error_y={"array": [w[2] for w in whiskers], "arrayminus": [w[1] for w in whiskers],
                     "color": _colour(run), "thickness": 1, "width": 3},
            hovertemplate="%{x:,} tokens: %{y:.1f} %<extra></extra>", showlegend=len(runs) > 1,
        )  # fmt: skip
    _log_budget(figure, runs)
    figure.update_yaxes(rangemode="tozero")
    caption = "Answers that would not have fitted count as not solved. Bars: 95 % intervals."
    return Plot(f"budget-{task}", figure, caption) if figure.data else None


def _budget_costs(runs: Sequence[ReportRun]) -> Iterator[Plot]:
    for basis in ("rented", "owned", "api"):
        title = f"Cost per solved task by budget, {basis}"
        figure = _figure(title, "tokens that an answer may take", "USD per solved task")
        for run in runs:
            line = [
                (point.budget_tokens, cost.usd_per_solved)
                for point in run.result.budget_curve
                for cost in point.costs
                if point.task is None and cost.basis == basis and cost.usd_per_solved is not None
            ]
            if len(line) > 1:
                figure.add_scatter(
                    x=[x for x, _ in line], y=[y for _, y in line], mode="lines+markers",
                    name=_label(run), line=_line(run), marker=_marker(run, 7),
                    hovertemplate="%{x:,} tokens: %{y:.3g} USD<extra></extra>",
                    showlegend=len(runs) > 1,
                )  # fmt: skip
        _log_budget(figure, runs)
        figure.update_yaxes(rangemode="tozero", tickformat=".3~r")
        if figure.data:
            yield Plot(f"budget-cost-{basis}", figure, "All tasks of a run; all attempts are paid.")
            return


def _log_budget(figure: Any, runs: Sequence[ReportRun]) -> None:
    ticks = sorted({p.budget_tokens for run in runs for p in run.result.budget_curve})
    # Neighbours that nearly touch share a label: the run's own limit is no power of two.
    shown = [t for t, after in pairwise([*ticks, math.inf]) if after / t > 1.4]  # noqa: PLR2004
    figure.update_xaxes(type="log", tickvals=shown, ticktext=[f"{t:,}" for t in shown])


# --- times and lengths ------------------------------------------------------------------------


def _curve(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The share of values up to each, in percent, thinned to what a screen shows."""
    ordered = sorted(values)
    count = len(ordered)
    places = sorted({round(i * (count - 1) / (_CURVE_POINTS - 1)) for i in range(_CURVE_POINTS)})
    return [ordered[p] for p in places], [100 * (p + 1) / count for p in places]


def _distribution(
    plot: tuple[str, str, str], values: Sequence[tuple[ReportRun, list[float]]]
) -> Plot | None:
    name, title, unit = plot
    figure = _figure(title, unit, "of the requests, %")
    for run, mine in values:
        if mine:
            x, y = _curve(mine)
            figure.add_scatter(
                x=x, y=y, mode="lines", name=_label(run), line={**_line(run), "shape": "hv"},
                hovertemplate=f"%{{y:.0f}} % within %{{x:.4g}} {unit}<extra></extra>",
                showlegend=len(values) > 1,
            )  # fmt: skip
    figure.update_yaxes(range=[0, 101])
    figure.update_xaxes(rangemode="tozero")
    caption = "How many requests had ended by then." if figure.data else ""
    return Plot(name, figure, caption) if figure.data else None


def _latency(runs: Sequence[ReportRun]) -> Plot | None:
    values = [(run, _since_starts(run, lambda each: each.finished_s)) for run in runs]
    return _distribution(("latency", "Request from its start to its end", "seconds"), values)


def _first_token(runs: Sequence[ReportRun]) -> Plot | None:
    values = [(run, _since_starts(run, lambda each: each.first_token_s)) for run in runs]
    found = _distribution(("first-token", "Time from start to first token", "seconds"), values)
    return found and Plot(found.name, found.figure, "How many requests had a first token by then.")


def _since_starts(run: ReportRun, moment: Callable[[Outcome], float | None]) -> list[float]:
    """Seconds from the start of each answer to a moment of it; errors and unknown ones left out."""
    return [
        ended_s - each.started_s
        for each in run.result.outcomes
        if each.finish_reason != "error"
        and (ended_s := moment(each)) is not None
        and each.started_s is not None
    ]


def _lengths(runs: Sequence[ReportRun]) -> Plot | None:
    """A histogram; of one run by outcome, of several by run."""
    every = [o.completion_tokens for run in runs for o in run.result.outcomes]
    known = [tokens for tokens in every if tokens is not None]
    if not known:
        return None
    width = max(1, math.ceil((max(known) + 1) / 40))
    figure = _figure(
        "Length of the answers", "tokens, thinking included", "of the run's answers, %"
    )
    for name, colour, counts in _histograms(runs, width):
        figure.add_bar(
            x=[(b + 0.5) * width for b in counts], y=list(counts.values()), width=width, name=name,
            marker={"color": colour, "opacity": 0.85 if len(runs) == 1 else 0.5},
            text=[f"{b * width:,} to {(b + 1) * width - 1:,} tokens" for b in counts],
            textposition="none", hovertemplate="%{text}: %{y:.1f} %",
        )  # fmt: skip
    figure.update_layout(barmode="stack" if len(runs) == 1 else "overlay", bargap=0)
    return Plot("lengths", figure, f"Bars are {width:,} tokens wide.")


def _histograms(
    runs: Sequence[ReportRun], width: int
) -> Iterator[tuple[str, str, dict[int, float]]]:
    if len(runs) > 1:
        for run in runs:
            every = run.result.outcomes
            yield _label(run), _colour(run), _shares(every, width, len(every))
        return
    every = runs[0].result.outcomes
    for word, colour in STATUS_COLOURS.items():
        mine = [o for o in every if status_word(o.status) == word]
        if mine:
            yield word, colour, _shares(mine, width, len(every))


def status_word(status: str) -> str:
    """A verdict's status in the words of the tables."""
    return "errors" if status.endswith("_error") else status.replace("_", " ")


def _shares(outcomes: Sequence[Outcome], width: int, whole: int) -> dict[int, float]:
    counts: dict[int, float] = {}
    for outcome in outcomes:
        if outcome.completion_tokens is None:
            continue
        place = outcome.completion_tokens // width
        counts[place] = counts.get(place, 0.0) + 100 / whole
    return dict(sorted(counts.items()))


def _accuracy_by_thinking(runs: Sequence[ReportRun], task: str) -> Plot | None:
    edges = bin_edges(runs, task)
    if not edges:
        return None
    figure = _figure(f"Accuracy against thinking, {task}", "tokens of thinking", "solved, %")
    for run in runs:
        bins = list(thinking_bins(run, task, edges))
        if bins:
            _add_bins(figure, run, bins, in_legend=len(runs) > 1)
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(range=[-2, 102])
    caption = (
        "Samples in bins by the length of the thought, at its median; bars: 95 % intervals over "
        "the problems of a bin; numbers: samples. Hard problems make models think longer, so the "
        "line does not show what more thinking would do."
    )
    left_out = [part for run in runs if (part := _unknown_thoughts(run, task))]
    return Plot(f"accuracy-thinking-{task}", figure, " ".join([caption, *left_out]))


def _add_bins(figure: Any, run: ReportRun, bins: Sequence[Bin], *, in_legend: bool) -> None:
    points = [_percents(b.accuracy.value or 0.0, b.accuracy.low, b.accuracy.high) for b in bins]
    figure.add_scatter(
        x=[b.median_tokens for b in bins], y=[point[0] for point in points],
        mode="lines+markers+text", name=_label(run), line=_line(run), marker=_marker(run, 8),
        error_y={"array": [p[2] for p in points], "arrayminus": [p[1] for p in points],
                 "color": _colour(run), "thickness": 1, "width": 4},
        text=[f"{b.samples:,}" for b in bins], cliponaxis=False,
        textposition="top right" if _place(run) % 2 == 0 else "bottom right",
        hovertext=[
            f"{b.low_tokens:,} to {b.high_tokens:,} tokens: {b.correct:,} of {b.samples:,} samples "
            f"solved, of {b.problems:,} problems; {b.truncated:,} truncated"
            for b in bins
        ],
        hovertemplate="%{hovertext}<br>%{y:.1f} %<extra></extra>", showlegend=in_legend,
    )  # fmt: skip


def _unknown_thoughts(run: ReportRun, task: str) -> str:
    """Which samples are in no bin; empty where all are."""
    unknown = [each for each in scored(run, task) if each.reasoning_tokens is None]
    if not unknown:
        return ""
    correct = sum(each.status == "correct" for each in unknown)
    return (
        f"Run {run.letter}: {len(unknown):,} samples are in no bin, since their thinking tokens "
        f"are unknown; {correct:,} of them are solved."
    )


def _thinking(runs: Sequence[ReportRun]) -> Plot | None:
    figure = _figure("Thinking against answer", "tokens of thinking", "tokens of answer")
    step = 1
    for run in runs:
        known = [o for o in run.result.outcomes if o.reasoning_tokens and o.completion_tokens]
        step = max(step, math.ceil(len(known) / MOST_POINTS))
    for run in runs:
        for name, marker, mine in _thinkers(run, alone=len(runs) == 1):
            figure.add_scatter(
                x=[o.reasoning_tokens for o in mine[::step]],
                y=[(o.completion_tokens or 0) - (o.reasoning_tokens or 0) for o in mine[::step]],
                mode="markers", name=name, marker={**marker, "size": 6, "opacity": 0.65},
                text=[escape(f"{o.request_id}, {status_word(o.status)}") for o in mine[::step]],
                hovertemplate="%{text}<br>%{x:,} thinking, %{y:,} answer",
            )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    which = "each answer" if step == 1 else f"one of {step} answers, evenly chosen,"
    return Plot("thinking", figure, f"A mark for {which} that thought.")


def _thinkers(
    run: ReportRun, *, alone: bool
) -> Iterator[tuple[str, dict[str, Any], list[Outcome]]]:
    """Answers with thinking: of a run that is alone by outcome, else together."""
    known = [o for o in run.result.outcomes if o.reasoning_tokens and o.completion_tokens]
    if not alone:
        if known:
            yield _label(run), _marker(run), known
        return
    for place, (word, colour) in enumerate(STATUS_COLOURS.items()):
        mine = [o for o in known if status_word(o.status) == word]
        if mine:
            yield word, {"color": colour, "symbol": _MARKERS[place]}, mine
