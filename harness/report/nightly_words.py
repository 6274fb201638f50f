"""The words of a night: its verdict, its figures, why it is not fine, what changed."""

from collections.abc import Sequence

from harness.analysis.nightly import record
from harness.analysis.nightly.history import Step
from harness.analysis.nightly.record import Night, NightFigure, NightFinding

NAMES = {
    record.ACCURACY: "accuracy",
    record.SPEED: "output",
    record.TOKENS: "tokens per answer",
    record.TRUNCATED: "truncated",
    record.ERRORS: "errors",
    record.COST: "cost per solved",
}
_MANY = 100
_SHOWN_CHANGES = 4


def name(figure: NightFigure) -> str:
    """``humaneval accuracy``."""
    metric, _, basis = figure.metric.partition(f"{record.COST}.")
    text = f"{NAMES[record.COST]}, {basis}" if basis else NAMES[metric]
    return f"{figure.task} {text}" if figure.task else text


def amount(value: float | None, figure: NightFigure) -> str:
    """A value with its unit."""
    if value is None:
        return "unknown"
    return f"{number(value, figure)} {unit(figure)}"


def number(value: float, figure: NightFigure) -> str:
    """A value in ``unit``."""
    if figure.unit == "fraction":
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if abs(value) >= _MANY else f"{value:.3g}"


def unit(figure: NightFigure) -> str:
    """That people read it in."""
    return "%" if figure.unit == "fraction" else figure.unit


def verdict(night: Night) -> str:
    """One word, or two."""
    if night.status != "done":
        return night.status.upper()
    return {0: "fine", 4: "ERRORS", 5: "REGRESSION"}[night.night_exit_status]


def headline(night: Night) -> str:
    """The night's figures in a line."""
    shown = [f for f in night.figures if f.metric == record.ACCURACY]
    shown += [f for f in night.figures if f.task is None]
    return ", ".join(f"{name(f)} {amount(f.value, f)}{_interval(f)}" for f in shown)


def _interval(figure: NightFigure) -> str:
    """As far as there is one."""
    if figure.low is None or figure.high is None:
        return ""
    return f" ({number(figure.low, figure)} to {number(figure.high, figure)})"


def reasons(night: Night) -> list[str]:
    """Why a night is not fine, a line each."""
    found = [describe(each, night) for each in night.findings if each.is_regression]
    return [*found, *([night.error] if night.error else [])]


def describe(finding: NightFinding, night: Night) -> str:
    """A finding in one phrase."""
    figure = night.figure(finding.figure)
    assert figure is not None
    text = (
        f"{name(figure)} {amount(finding.value, figure)} against "
        f"{amount(finding.reference, figure)}, the {finding.against}"
    )
    if finding.p is not None:
        return f"{text} (p = {finding.p:.2g})"
    return f"{text} (worse from {amount(finding.limit, figure)})"


def changed(step: Step) -> list[str]:
    """What changed, in lines: what begins a new series first."""
    lines = []
    if step.setting:
        lines.append(f"{_some(step.setting)}; a new series, not compared with earlier nights")
    if step.versions:
        lines.append(_some(step.versions))
    return lines


def _some(changes: Sequence[object]) -> str:
    shown = ", ".join(map(str, changes[:_SHOWN_CHANGES]))
    more = len(changes) - _SHOWN_CHANGES
    return f"{shown} and {more} more" if more > 0 else shown


def status_of(nights: Sequence[Night]) -> int:
    """Of the whole night: 5 outranks 4."""
    return max(night.night_exit_status for night in nights)
