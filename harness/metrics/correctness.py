"""How often a task is solved: accuracy, pass@k, cons@k, and what became of all requests."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import get_args

from harness.metrics.figures import figure, from_interval, in_words, unknown
from harness.records import ERROR_STATUSES, Estimate, Sample, VerdictStatus
from harness.stats.intervals import (
    Interval,
    Ints,
    fixed_benchmark_interval,
    fraction_interval,
    majority_correct,
    standard_errors,
    tally,
    within_problem_correlation,
)
from harness.stats.intervals import pass_at_k as chance_of_k

_NEEDS_SEVERAL = "needs two problems, two samples of each, and some variation"


def accuracy(samples: Sequence[Sample], benchmark_size: int | None = None) -> list[Estimate]:
    """Mean over problems of the share of samples that are correct (pass@1).

    Args:
        samples: All attempts at one task. Only ``correct`` is solved; ``scorer_error`` and
            ``generation_error`` are in no denominator.
        benchmark_size: Problems of the whole benchmark when these are a random subset of it.

    Returns:
        ``accuracy``, with the interval for new problems; ``accuracy.fixed_benchmark``, the same
        score with the interval for this very benchmark; the two standard errors
        ``accuracy_se.fixed_benchmark`` and ``accuracy_se.new_problems``, None where nothing
        varies; and ``within_problem_correlation``.
    """
    graded = _graded(samples)
    solved, trials = _tally(graded)
    n = len(trials)
    size = n if benchmark_size is None else benchmark_size
    mean = fraction_interval(solved / trials)
    counts = f"{len(graded)} samples of {n} problems, {len(samples) - len(graded)} errors left out"
    fixed, new = standard_errors(solved, trials, benchmark_size)
    rho = within_problem_correlation(solved, trials)
    intervals = {
        "accuracy": mean._replace(method=in_words(mean.method, counts)),
        "accuracy.fixed_benchmark": fixed_benchmark_interval(solved, trials, benchmark_size),
        "accuracy_se.fixed_benchmark": _standard_error(
            fixed, n, f"two-stage sampling, {n} of {size} problems", _NEEDS_SEVERAL
        ),
        "accuracy_se.new_problems": _standard_error(
            new, n, f"variance between {n} problem means", "needs two problems"
        ),
        "within_problem_correlation": (
            Interval.unknown(_NEEDS_SEVERAL, n)
            if rho is None
            else Interval(rho, None, None, n, "analysis of variance")
        ),
    }
    return [from_interval(name, interval, "fraction") for name, interval in intervals.items()]


def _standard_error(error: float | None, n: int, method: str, needs: str) -> Interval:
    if error == 0:
        # A standard error of 0 would say that the score is certain.
        return Interval.unknown("nothing varies", n)._replace(method="the interval has a width")
    return Interval.unknown(needs, n) if error is None else Interval(error, None, None, n, method)


def pass_at_k(samples: Sequence[Sample], k: Iterable[int] = (1,)) -> list[Estimate]:
    """Unbiased estimate of the chance that at least one of k samples is correct.

    Args:
        samples: All attempts at one task, counted as in ``accuracy``.
        k: The values of k. A problem with fewer than k samples left does not count for that k.

    Returns:
        ``pass@k`` for each k.
    """
    solved, trials = _tally(_graded(samples))
    problems = len({sample.problem_id for sample in samples})
    estimates = []
    for each in k:
        enough = trials >= each
        interval = fraction_interval(chance_of_k(solved[enough], trials[enough], each))
        short = problems - int(enough.sum())
        how = ", ".join(part for part in ("unbiased estimator", interval.method) if part)
        method = f"{how}; {short} problems had < {each} samples"
        estimates.append(
            from_interval(f"pass@{each}", interval._replace(method=method), "fraction")
        )
    return estimates


def cons_at_k(
    samples: Sequence[Sample], k: Iterable[int], spelling: Callable[[str], str] = str
) -> list[Estimate]:
    """Share of problems whose most frequent answer among k samples is correct.

    Args:
        samples: All attempts at one task. Errors neither vote nor count, an answer that was not
            found does not vote.
        k: The values of k. A problem with fewer than k samples left does not count for that k; of
            one that has more, the first k vote.
        spelling: Answers for which it returns the same text vote together.

    Returns:
        ``cons@k`` for each k. Where answers tie, each is taken with equal probability.
    """
    spelt = cache(spelling)  # samples of a problem mostly agree
    ballots: dict[str, list[tuple[str | None, bool]]] = defaultdict(list)
    for sample in _graded(samples):
        answer = spelt(sample.verdict.extracted or "") or None
        ballots[sample.problem_id].append((answer, sample.verdict.status == "correct"))
    problems = len({sample.problem_id for sample in samples})
    return [_majority(list(ballots.values()), problems, each) for each in k]


def _majority(
    ballots: Sequence[Sequence[tuple[str | None, bool]]], problems: int, k: int
) -> Estimate:
    enough = [ballot[:k] for ballot in ballots if len(ballot) >= k]
    interval = fraction_interval(
        [majority_correct([a for a, _ in b], [ok for _, ok in b]) for b in enough]
    )
    method = in_words(
        "majority of equally spelt answers, expected value of ties",
        interval.method,
        f"{problems - len(enough)} problems had < {k} samples",
    )
    return from_interval(f"cons@{k}", interval._replace(method=method), "fraction")


def outcome_shares(samples: Sequence[Sample]) -> list[Estimate]:
    """Share of each verdict status among all requests; the shares sum to 1.

    Args:
        samples: All attempts. Unlike in an accuracy, errors are in the denominator too.

    Returns:
        ``share.<status>`` for each status.
    """
    counts, n = Counter(sample.verdict.status for sample in samples), len(samples)
    return [
        figure(
            f"share.{status}",
            counts[status] / n,
            "fraction",
            n,
            f"{counts[status]} of all {n} requests, errors included",
        )
        if n
        else unknown(f"share.{status}", "fraction", "no requests")
        for status in get_args(VerdictStatus)
    ]


def _graded(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.verdict.status not in ERROR_STATUSES]


def _tally(graded: Sequence[Sample]) -> tuple[Ints, Ints]:
    """Solved samples and samples of each problem."""
    return tally(
        [sample.problem_id for sample in graded],
        [sample.verdict.status == "correct" for sample in graded],
    )
