"""Judges whether tonight is worse than before, with few misses and few false alarms."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.analysis.comparison import Options, Side, compare_sides, read_side
from harness.analysis.nightly import record
from harness.analysis.nightly.record import Night, NightFigure, NightFinding
from harness.errors import StoreError, UserError

log = logging.getLogger(__name__)

ALPHA = 0.01
"""Significance level of the paired test of a night against a run: one false alarm in a hundred
nights."""
SHARES_ALPHA = 0.005
"""Significance level of all of a night's shares of truncated answers and errors together."""
SPREADS = 4.0
"""How many robust standard deviations beyond the median still are ordinary."""
FEWEST = 3
"""The fewest nights for a median; with fewer nothing is reported."""
_PERCENT = 100.0
_SHARES = frozenset({record.TRUNCATED, record.ERRORS})
# The median absolute deviation of a normal distribution times this is its standard deviation.
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Rules:
    """The thresholds of a regression; points are percentage points."""

    nights: int = 7
    margin_points: float = 2.0
    tolerance_percent: float = 10.0

    def __post_init__(self) -> None:
        """Refuses what is no rule.

        Raises:
            UserError: Names the argument.
        """
        if self.nights < FEWEST:
            raise UserError(f"--nights {self.nights}: at least {FEWEST}; fewer make no median")
        for name, value in (
            ("--margin", self.margin_points),
            ("--speed-tolerance", self.tolerance_percent),
        ):
            if not 0 <= value < _PERCENT:
                unit = "percentage points" if name == "--margin" else "percent"
                raise UserError(f"{name} {value:g}: {unit} from 0 to below 100")


def compare_nights(
    tonight: Night, result_file: Path, before: Sequence[Night], rules: Rules, results_dir: Path
) -> list[NightFinding]:
    """Compares tonight with the last nights of its series.

    Accuracy is compared problem by problem with the middle one of those nights, everything else
    with their median.

    Args:
        tonight: The night, with its figures.
        result_file: Its ``result.json``.
        before: The last nights of the series, the oldest first.
        rules: What counts as worse.
        results_dir: Where the runs of those nights are.
    """
    nights = before[-rules.nights :]
    if len(nights) < FEWEST:
        return []
    found = []
    middle = _middle(nights, results_dir)
    if middle is not None:
        night, side = middle
        found += paired(side, f"middle night {night.night}", result_file, rules)
    shares = sum(figure.metric in _SHARES for figure in tonight.figures)
    for figure in tonight.figures:
        alpha = SHARES_ALPHA / shares if figure.metric in _SHARES else None
        if (finding := _against_median(figure, nights, rules, alpha)) is not None:
            found.append(finding)
    return found


# --- accuracy: problem by problem -------------------------------------------------------------


def paired(reference: Side, label: str, result_file: Path, rules: Rules) -> list[NightFinding]:
    """Accuracy of each task against another run's, by the paired test of ``comparison``.

    Raises:
        NotComparableError: The protocols differ.
    """
    tonight = read_side(str(result_file), result_file.parent)
    comparison = compare_sides(reference, [tonight], Options(margin_points=rules.margin_points))
    found = []
    for task in comparison.candidates[0].tasks:
        was, now = task.baseline_score.value, task.candidate_score.value
        if was is None or now is None:
            continue
        p = task.test.p_worse_holm
        found.append(
            NightFinding(
                figure=f"{task.task}/{record.ACCURACY}",
                against=label,
                value=now,
                reference=was,
                limit=None,
                p=p,
                is_regression=p is not None and p < ALPHA,
            )
        )
    return found


def _middle(nights: Sequence[Night], results_dir: Path) -> tuple[Night, Side] | None:
    """The night whose accuracy is the median of those whose result can still be read.

    A real night, because a test by problems needs one; not the last, nor the best, which would be
    lucky more often than not.
    """
    known = [
        (night, file)
        for night in nights
        if night.run_id and (file := results_dir / "runs" / night.run_id / "result.json").is_file()
    ]
    known.sort(key=lambda each: _mean_accuracy(each[0]))
    while known:
        night, file = known.pop((len(known) - 1) // 2)
        try:
            return night, read_side(str(file), results_dir)
        except StoreError as error:
            log.warning("%s; not compared with", error)
    return None


def _mean_accuracy(night: Night) -> float:
    values = [f.value for f in night.figures if f.metric == record.ACCURACY and f.value is not None]
    return math.fsum(values) / len(values) if values else 0.0


# --- everything else: against the median ------------------------------------------------------


def _against_median(
    figure: NightFigure, nights: Sequence[Night], rules: Rules, alpha: float | None
) -> NightFinding | None:
    """Worse means beyond the tolerance and beyond what nights differ by anyway.

    Args:
        figure: Tonight's.
        nights: The ones before.
        rules: How much is tolerated.
        alpha: Of a share: how often chance alone may exceed the limit. None for what is no share.
    """
    past = [found for night in nights if (found := night.figure(figure.key)) is not None]
    if figure.metric.startswith(record.COST):
        past = [found for found in past if found.is_whole]
    values = [found.value for found in past if found.value is not None]
    if figure.value is None or len(values) < FEWEST or figure.metric == record.ACCURACY:
        return None
    centre = median(values)
    spread = _MAD_TO_SD * median(abs(value - centre) for value in values)
    tolerance = rules.tolerance_percent / _PERCENT * centre
    if alpha is not None:
        tolerance = rules.margin_points / _PERCENT
    allowed = max(tolerance, SPREADS * spread)
    is_loss = figure.metric == record.SPEED
    limit = centre - allowed if is_loss else centre + allowed
    if alpha is not None:
        limit = max(limit, largest_ordinary_share(figure.n, past, alpha))
    return NightFinding(
        figure=figure.key,
        against=f"median of {len(values)} nights",
        value=figure.value,
        reference=centre,
        limit=limit,
        p=None,
        is_regression=figure.value < limit if is_loss else figure.value > limit,
    )


def largest_ordinary_share(n: int, past: Sequence[NightFigure], alpha: float) -> float:
    """The share of ``n`` answers that chance exceeds with probability ``alpha``.

    The beta-binomial prediction from all answers of the past nights, with half an answer more of
    either kind (Jeffreys' prior): nights without any error do not promise that none will come.
    """
    from scipy.stats import betabinom

    if n == 0:
        return 1.0
    known = [(each.value, each.n) for each in past if each.value is not None]
    such = sum(value * count for value, count in known)
    others = sum(count for _, count in known) - such
    return float(betabinom.isf(alpha, n, such + 0.5, others + 0.5)) / n
