"""Judges by scores of runs: rule R1 for published scores, rule R2 for R1 by its distills."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, Unpack

from harness.claims.claim import Claim, LowerBound
from harness.claims.replication_rules import PublishedScore
from harness.claims.runs import (
    MAX_TRUNCATED,
    AnyRun,
    Wanted,
    counts,
    error_fraction,
    figure,
    fitting,
    has_too_many_errors,
    is_of_model,
    truncated_fraction,
)
from harness.claims.verdict import ALPHA, Bounds, Decision, Evidence
from harness.stats.assumed import PUBLISHED_SAMPLES
from harness.stats.intervals import expected_standard_errors, normal_cdf, normal_quantile
from harness.stats.replication import ErrorModel, Published, Replication, lower_bound, replicate
from harness.store.result import RunResult

LEAST_P = 1e-9
_MOST_P = 0.499
"""A p-value above this counts as 1."""
_UNKNOWN_CORRELATION = 0.5
"""The correlation of two samples of one problem, where a run has only one."""
_QUESTIONS: tuple[ErrorModel, ErrorModel] = ("fixed_benchmark", "new_problems")


def challenge_p(excludes: Callable[[float], bool]) -> float:
    """The smallest level at which an interval excludes what is claimed.

    Args:
        excludes: Whether the interval of this confidence does; true below some confidence.
    """
    low, high = LEAST_P, _MOST_P
    if excludes(1 - low):
        return low
    if not excludes(1 - high):
        return 1.0
    for _ in range(50):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excludes(1 - middle) else (middle, high)
    return high


class Shown(TypedDict, total=False):
    """What is shown of runs beside their verdict; the fields are those of ``Evidence``."""

    model: str
    numbers: dict[str, float | int | str | None]
    arithmetic: str
    intervals: tuple[Bounds, ...]
    p: float
    caveats: tuple[str, ...]


def run_evidence(
    runs: Sequence[AnyRun],
    text: str,
    verdict: Decision | Literal["not comparable"],
    **shown: Unpack[Shown],
) -> Evidence:
    """The evidence of runs on a claim; a challenge is of its value."""
    return Evidence(
        kind="run",
        text=text,
        verdict=verdict,
        tag="value" if verdict == "challenged" else None,
        run_ids=tuple(run.manifest.run_id for run in runs),
        **{"model": runs[0].manifest.config.model.name, **shown},
    )


def not_comparable(run: AnyRun, why: str) -> Evidence:
    """The evidence of a run that cannot be compared with the claim."""
    return run_evidence([run], f"not comparable: {why}", "not comparable")


# --- what holds for every score ---------------------------------------------------------------


def caveats_for(run: RunResult, task: str, planned_samples: int | None = None) -> list[str]:
    """Caveats about a run whose score is used."""
    caveats = []
    truncated, errors = truncated_fraction(run, task), error_fraction(run, task)
    if truncated:
        caveats.append(f"{100 * truncated:.1f} % of the answers were truncated")
        if truncated > MAX_TRUNCATED:
            caveats[-1] += f", more than {100 * MAX_TRUNCATED:g} %: inconclusive at most"
    if errors:
        caveats.append(f"{100 * errors:.1f} % of the requests ended in errors and are left out")
        if has_too_many_errors(run, task):
            caveats[-1] += ", more than is allowed: inconclusive at most"
    samples = run.manifest.config.protocol.samples_per_problem
    if planned_samples is not None and samples < planned_samples:
        caveats.append(f"{samples} samples a problem where {planned_samples} were planned")
    return caveats


def subset_of(run: RunResult, task: str) -> list[str]:
    """A caveat if a run covered only a part of the benchmark."""
    found = run.manifest.task(task)
    if found is None or found.problems == found.full_size:
        return []
    return [f"subset: {found.problems} of {found.full_size} problems"]


def cap_if_unreliable(verdict: Decision, run: RunResult, task: str) -> Decision:
    """Inconclusive where too much was truncated or failed, whatever the score."""
    is_broken = has_too_many_errors(run, task) or truncated_fraction(run, task) > MAX_TRUNCATED
    return "inconclusive" if is_broken else verdict


# --- R2: a distill as a lower bound -----------------------------------------------------------


def lower_bounds(claim: Claim, block: LowerBound, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict of each run of a distill; any that challenges decides.

    A bound above the figure's upper edge shows that the figure understates R1. A bound below it
    shows nothing: a distill can neither reproduce R1's score nor show it too high.
    """
    assert claim.figure is not None, "a bound is set against a figure"
    edge = claim.figure.upper_edge / 100
    wanted = Wanted(block.task, block.metric, block.protocol, block.models)
    found = []
    for run in runs:
        fit = fitting(run, wanted)
        found.append(not_comparable(run, fit) if isinstance(fit, str) else _bound(fit, block, edge))
    return found


def _bound(run: RunResult, block: LowerBound, edge: float) -> Evidence:
    solved, samples = counts(run, block.task)
    score = _score(solved, samples)
    if score is None:
        return not_comparable(run, "no problem has a verdict")
    low = lower_bound(solved, samples)
    assert low is not None, "there are problems"

    def excludes(confidence: float) -> bool:
        bound = lower_bound(solved, samples, confidence)
        return bound is not None and bound > edge

    verdict = cap_if_unreliable("challenged" if low > edge else "inconclusive", run, block.task)
    is_above = "above" if low > edge else "not above"
    return run_evidence(
        [run],
        f"{run.manifest.config.model.name}: {100 * score:.1f} %, at least {100 * low:.1f} % "
        f"by the one-sided 95 % bound, {is_above} {100 * edge:g} %",
        verdict,
        numbers={
            "score": score,
            "upper_edge_of_the_claim": edge,
            "problems": len(solved),
            "solved": sum(solved),
            "samples": sum(samples),
        },
        arithmetic=f"{sum(solved)} of {sum(samples)} samples of {len(solved)} problems; bound "
        f"{low:.4f} > {edge:g}" + ("" if low > edge else " does not hold"),
        intervals=(Bounds(low=low, high=None, confidence=0.95, of="score, new problems"),),
        p=challenge_p(excludes),
        caveats=tuple(caveats_for(run, block.task, block.samples_per_problem)),
    )


# --- R1: a published score of a model that can be run -----------------------------------------


def replications(score: PublishedScore, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict of each run of the model; runs of other models are not mentioned."""
    row, column = score.row, score.column
    models = [name for name in (row.model, row.hub_id) if name]
    if column.task is None or column.metric is None or score.table.protocol is None:
        return []
    wanted = Wanted(column.task, column.metric, score.table.protocol, models)
    found = []
    for run in runs:
        if is_of_model(run, models):
            fit = fitting(run, wanted)
            found.append(
                not_comparable(run, fit) if isinstance(fit, str) else replication(fit, score)
            )
    return found


def replication(run: RunResult, score: PublishedScore) -> Evidence:
    """The evidence of a fitting run on a published score."""
    task = score.column.task
    assert task is not None, "replications() skips columns without a task"
    solved, samples = counts(run, task)
    mine = _score(solved, samples)
    if mine is None:
        return not_comparable(run, "no problem has a verdict")
    fixed, new = (_test(run, score, model) for model in _QUESTIONS)
    # A replication tests whether the score is reproduced on these problems. One sample a
    # problem cannot answer it; then the wider question does, which is the stricter one.
    which: ErrorModel = "fixed_benchmark" if fixed.verdict else "new_problems"
    test = fixed if fixed.verdict else new
    verdict = cap_if_unreliable(test.verdict or "inconclusive", run, task)
    margin = score.column.margin_points or 0.0
    caveats = caveats_for(run, task, score.column.samples_per_problem)
    if which == "new_problems":
        caveats.append("one sample a problem: judged by the wider interval for new problems")
    return run_evidence(
        [run],
        f"{run.manifest.config.model.name}: {100 * mine:.1f} % against the published "
        f"{score.value:g} %, {_interval_words(test)}; margin {margin:g} points",
        verdict,
        numbers={
            "score": mine,
            "published": score.value / 100,
            "difference": mine - score.value / 100,
            "margin": margin / 100,
            "problems": len(solved),
            "samples": sum(samples),
            "published_standard_error": _published(run, score, which).standard_error,
        },
        arithmetic=f"{100 * mine:.2f} - {score.value:g} = {100 * mine - score.value:+.2f} points",
        intervals=tuple(
            Bounds(low=each.low, high=each.high, confidence=level, of=f"difference, {name}")
            for name, found in zip(_QUESTIONS, (fixed, new), strict=True)
            for level, each in ((0.90, found.ninety), (0.95, found.ninety_five))
        ),
        p=_outside_p(test, margin / 100),
        caveats=tuple(caveats),
    )


def _test(run: RunResult, score: PublishedScore, model: ErrorModel) -> Replication:
    task = score.column.task or ""
    found = run.manifest.task(task)
    size = found.full_size if found else None
    return replicate(*counts(run, task), _published(run, score, model), model, size)


def _published(run: RunResult, score: PublishedScore, model: ErrorModel) -> Published:
    """The published score, with the decoding noise that it has too.

    The interval for new problems is wide enough without: both scores are of the same ones.
    """
    column, p = score.column, score.value / 100
    error = 0.0
    if model == "fixed_benchmark":
        known = figure(run, "within_problem_correlation", column.task or "").value
        rho = _UNKNOWN_CORRELATION if known is None else min(max(known, 0.0), 1.0)
        problems = column.problems or len(counts(run, column.task or "").solved)
        samples = column.samples_per_problem or PUBLISHED_SAMPLES
        error = expected_standard_errors(p, problems, samples, rho).fixed_benchmark or 0.0
    return Published(p, (column.margin_points or 0.0) / 100, error)


def _outside_p(test: Replication, margin: float) -> float:
    """The smallest level at which the interval of the difference lies outside the margin.

    The end of the interval on the margin's side is taken for that of a normal one.
    """
    value, low, high = test.ninety_five.value, test.ninety_five.low, test.ninety_five.high
    if value is None or low is None or high is None:
        return 1.0
    near = value - low if value > 0 else high - value
    error = near / normal_quantile(1 - ALPHA / 2)
    if error == 0:
        return LEAST_P if abs(value) > margin else 1.0
    return min(1.0, max(LEAST_P, 2 * float(normal_cdf((margin - abs(value)) / error))))


def _interval_words(test: Replication) -> str:
    low, high = test.ninety.low, test.ninety.high
    if low is None or high is None:
        return "no interval"
    return f"difference {100 * low:+.1f} to {100 * high:+.1f} points (90 %)"


def _score(solved: Sequence[int], samples: Sequence[int]) -> float | None:
    """Mean over problems of the mean over samples."""
    if not samples:
        return None
    return sum(c / k for c, k in zip(solved, samples, strict=True)) / len(samples)
