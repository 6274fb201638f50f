"""The figures on top of a page: each with its interval, or with why it is unknown."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from harness.records import Estimate
from harness.report.page.runs import ReportRun
from harness.runner.summary import missing_end, percent_and_unit, percents
from harness.stats.intervals import fraction_interval
from harness.store.manifest import Outcome

Tone = Literal["", "warn", "loud"]
Kind = Literal["accuracy", "cost", "tokens_per_s", "steady_state", "time", "truncated", "errors"]
"""In the order of a table of several runs."""
MUCH_TRUNCATED = 0.02
"""Above it a score depends on the token limit (the claims' own bound)."""
_BASES = {
    "rented": "machine rented",
    "owned": "machine owned",
    "api": "had an API billed it",
}
_TIMES = {
    "queue_wait_s.p50": "Wait in the queue, median",
    "time_to_first_token_s.p50": "TTFT from the request's start, median",
    "inter_token_latency_s.mean": "ITL, mean",
    "time_per_output_token_s.p50": "TPOT, median",
    "request_latency_s.p50": "Request from its start to its end, median",
}


@dataclass(frozen=True)
class HeadlineFigure:
    """One figure of one run."""

    kind: Kind
    label: str
    value: str
    notes: tuple[str, ...] = ()
    unit: str = ""
    tone: Tone = ""
    of: str = ""
    """Which task, basis of cost or time, where there are several of the kind."""

    @property
    def key(self) -> str:
        """What makes it the same figure of another run: ``accuracy/math500``, ``errors``."""
        return f"{self.kind}/{self.of}" if self.of else self.kind


def headline(run: ReportRun) -> list[HeadlineFigure]:
    """What is said first of a run."""
    return [
        *_accuracies(run),
        *_costs(run),
        _throughput(run),
        _steady_state(run),
        *_times(run),
        _truncated(run),
        _errors(run),
    ]


def _accuracies(run: ReportRun) -> Iterator[HeadlineFigure]:
    for task in run.result.manifest.tasks:
        new = run.result.estimate("accuracy", task.name)
        fixed = run.result.estimate("accuracy.fixed_benchmark", task.name)
        value, unit = percent_and_unit(new.value)
        size = f"{task.problems:,}"
        if task.problems < task.full_size:
            size += f" of {task.full_size:,}"
        yield HeadlineFigure(
            "accuracy",
            f"Accuracy, {task.selection}",
            value,
            (
                f"{percents(new)} for new problems like these",
                f"{_fixed(run, fixed)} for this benchmark itself",
                f"95 % intervals; {size} problems, {_samples(run)}",
            ),
            unit,
            of=task.name,
        )


def _fixed(run: ReportRun, fixed: Estimate) -> str:
    if fixed.value is None or fixed.low is not None:
        return percents(fixed)
    greedy = run.result.manifest.config.protocol.temperature == 0
    return "unknown (greedy, asked once)" if greedy else "unknown (needs 2 samples)"


def _samples(run: ReportRun) -> str:
    samples = run.result.manifest.config.protocol.samples_per_problem
    return f"{samples} sample{'s' * (samples != 1)} of each"


def _costs(run: ReportRun) -> Iterator[HeadlineFigure]:
    for basis in run.result.pricing.bases():
        found = run.result.estimate(f"cost_per_solved.{basis}")
        total = run.result.estimate(f"cost.{basis}")
        notes = [f"95 %: {_usd(found.low)} to {_usd(found.high)}"] if found.low is not None else []
        notes += [why] if (why := missing_end(found)) else []
        if found.value is None:
            notes.append(found.why_unknown)
        if total.value is not None:
            notes.append(f"{_usd(total.value)} USD in all, failed attempts too")
        label = f"Cost per solved task, {_BASES[basis]}"
        value = "unknown" if found.value is None else _usd(found.value)
        if found.value is not None and run.result.cost_bound(basis) == "lower":
            value = f"≥ {value}"
            notes.append("at least: the machine was in use for longer than the files show")
        unit = "USD" if found.value is not None else ""
        yield HeadlineFigure("cost", label, value, tuple(notes), unit, of=basis)
    if not run.result.pricing.bases():
        why = "no price list is for this device (see conf/pricing)"
        yield HeadlineFigure("cost", "Cost per solved task", "unknown", (why,), of="rented")


def _usd(value: float | None) -> str:
    if value is None:
        return "unbounded"
    if value == 0 or value >= 1:
        return f"{value:,.2f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"  # three digits, no exponent


def _throughput(run: ReportRun) -> HeadlineFigure:
    rate = run.result.estimate("output_tokens_per_s")
    tokens, seconds = (
        run.result.estimate("completion_tokens.total"),
        run.result.estimate("generation_s"),
    )
    notes = [*_at_once(run.result.estimate("mean_concurrency"))]
    if tokens.value is not None and seconds.value is not None:
        notes.append(f"{tokens.value:,.0f} tokens in {duration(seconds.value)}, thinking included")
    notes.append("no interval: one measurement")
    return _number("tokens_per_s", "Output, whole run", rate, "tokens/s", notes)


def _steady_state(run: ReportRun) -> HeadlineFigure:
    rate, seconds = (
        run.result.estimate("output_tokens_per_s.steady_state"),
        run.result.estimate("steady_state_s"),
    )
    notes = [*_at_once(run.result.estimate("mean_concurrency.steady_state"))]
    if seconds.value is not None:
        notes.append(f"for {duration(seconds.value)} in which the engine was full")
    return _number("steady_state", "Output while full", rate, "tokens/s", notes)


def _at_once(concurrency: Estimate) -> Iterator[str]:
    if concurrency.value is not None:
        yield f"{concurrency.value:,.1f} requests at once on average"


def _times(run: ReportRun) -> Iterator[HeadlineFigure]:
    for metric, label in _TIMES.items():
        name = metric.partition(".")[0]
        middle, slowest = run.result.estimate(metric), run.result.estimate(f"{name}.p99")
        if middle.value is None:
            yield HeadlineFigure("time", label, "unknown", (middle.why_unknown,), of=name)
            continue
        notes = () if slowest.value is None else (f"99 % within {duration(slowest.value)}",)
        yield HeadlineFigure("time", label, duration(middle.value), notes, of=name)


def _number(
    kind: Kind, label: str, found: Estimate, unit: str, notes: Sequence[str]
) -> HeadlineFigure:
    if found.value is None:
        return HeadlineFigure(kind, label, "unknown", (found.why_unknown,))
    digits = f"{found.value:,.0f}" if found.value >= 100 else f"{found.value:.3g}"  # noqa: PLR2004
    return HeadlineFigure(kind, label, digits, tuple(notes), unit)


def _truncated(run: ReportRun) -> HeadlineFigure:
    every = run.result.outcomes
    count = sum(outcome.status == "truncated" for outcome in every)
    found = fraction_interval([sum(f) / len(f) for f in _flags(every)])
    value, unit = percent_and_unit(count / len(every))
    notes = [f"{count:,} of {len(every):,} answers; not solved"]
    if found.low is not None and found.high is not None:
        notes.append(f"95 %: {100 * found.low:.1f} to {100 * found.high:.1f} %")
    is_much = count / len(every) > MUCH_TRUNCATED
    if is_much:
        limit = run.result.manifest.config.protocol.max_new_tokens
        notes.append(f"accuracy depends on the limit of {limit:,} tokens")
    tone: Tone = "warn" if is_much else ""
    return HeadlineFigure("truncated", "Truncated", value, tuple(notes), unit, tone)


def _flags(outcomes: Sequence[Outcome]) -> list[list[bool]]:
    by_problem: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:  # errors too, as in the share itself
        name = outcome.problem_id
        by_problem[name].append(outcome.status == "truncated")
    return list(by_problem.values())


def _errors(run: ReportRun) -> HeadlineFigure:
    every = run.result.outcomes
    generation = sum(outcome.status == "generation_error" for outcome in every)
    scorer = sum(outcome.status == "scorer_error" for outcome in every)
    if not generation + scorer:
        return HeadlineFigure("errors", "Errors", "0", (f"of {len(every):,} requests",))
    notes = [f"of {len(every):,} requests; in no denominator"]
    notes += [f"{generation:,} of the engine"] * bool(generation)
    notes += [f"{scorer:,} of a scorer"] * bool(scorer)
    return HeadlineFigure(
        "errors", "Errors", f"⚠ {generation + scorer:,}", tuple(notes), tone="loud"
    )


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.3g} s"
    if seconds < 7200:  # noqa: PLR2004
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


@dataclass(frozen=True)
class FigureRow:
    """One figure of several runs, side by side."""

    label: str
    cells: tuple[HeadlineFigure | None, ...]


def side_by_side(runs: Sequence[ReportRun]) -> list[FigureRow]:
    """The headlines of runs as rows; None where a run has no such figure."""
    columns = [{figure.key: figure for figure in headline(run)} for run in runs]
    first: dict[str, HeadlineFigure] = {}
    for column in columns:
        first = first | {key: each for key, each in column.items() if key not in first}
    kinds = get_args(Kind)
    rows = sorted(first.values(), key=lambda figure: kinds.index(figure.kind))
    return [
        # subsets of one task differ by run
        FigureRow(
            f"Accuracy, {each.of}" if each.kind == "accuracy" else each.label,
            tuple(column.get(each.key) for column in columns),
        )
        for each in rows
    ]
