"""One run against a published score, and the bounds of a score. Numbers in, numbers out."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.stats.intervals import (
    Interval,
    fixed_benchmark_interval,
    fraction_interval,
    normal_quantile,
)
from harness.stats.paired import NO_NOISE, is_equivalent

ErrorModel = Literal["new_problems", "fixed_benchmark"]


class Published(NamedTuple):
    """A published score, as a fraction."""

    score: float
    margin: float
    """How far apart is still the same."""
    standard_error: float = 0.0
    """The run's standard error under the chosen error model."""


class Replication(NamedTuple):
    """The comparison of one run with a published score."""

    verdict: Literal["reproduced", "challenged", "inconclusive"] | None
    """The verdict; None where the error model has no interval."""
    ninety: Interval
    """Run minus published, 90 %."""
    ninety_five: Interval


def replicate(
    solved: ArrayLike,
    samples: ArrayLike,
    published: Published,
    model: ErrorModel,
    benchmark_size: int | None = None,
) -> Replication:
    """TOST of a run's score against a published one.

    *reproduced* if the 90 % interval of the difference lies inside ±margin, *challenged* if the
    95 % interval lies wholly outside, *inconclusive* otherwise.

    Args:
        solved: Solved samples per problem.
        samples: Samples per problem.
        published: What is to be reproduced.
        model: What is random: the decoding alone, or the problems too.
        benchmark_size: Problems of the whole benchmark, of which these are a subset.
    """
    ninety, ninety_five = (
        _minus(score_interval(solved, samples, model, level, benchmark_size), published, level)
        for level in (0.90, 0.95)
    )
    if ninety.low is None or ninety_five.low is None or ninety_five.high is None:
        return Replication(None, ninety, ninety_five)
    if is_equivalent(ninety, published.margin):
        return Replication("reproduced", ninety, ninety_five)
    is_outside = ninety_five.low > published.margin or ninety_five.high < -published.margin
    return Replication("challenged" if is_outside else "inconclusive", ninety, ninety_five)


def score_interval(
    solved: ArrayLike,
    samples: ArrayLike,
    model: ErrorModel,
    confidence: float = 0.95,
    benchmark_size: int | None = None,
) -> Interval:
    """Mean score of a run with the interval of either error model, as in the run's result.

    Without a problem that has two samples there is none on the fixed benchmark.
    """
    c, k = np.asarray(solved, dtype=np.int64), np.asarray(samples, dtype=np.int64)
    if model == "new_problems":
        return fraction_interval(c / k, confidence)
    found = fixed_benchmark_interval(c, k, benchmark_size, confidence)
    if found.value is not None and not (k > 1).any():
        return found._replace(missing_end=NO_NOISE)
    return found


def lower_bound(solved: ArrayLike, samples: ArrayLike, confidence: float = 0.95) -> float | None:
    """One-sided lower bound of a score on new problems. Wilson's where there is one sample."""
    c, k = np.asarray(solved, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    return fraction_interval(c / k, 2 * confidence - 1).low


def _minus(score: Interval, published: Published, confidence: float) -> Interval:
    """Score minus published score, their errors independent (Newcombe's square-and-add)."""
    if score.value is None or score.low is None or score.high is None:
        return score
    half = normal_quantile((1 + confidence) / 2) * published.standard_error
    value = score.value - published.score
    low = value - float(np.hypot(score.value - score.low, half))
    high = value + float(np.hypot(score.high - score.value, half))
    return Interval(value, low, high, score.n, f"{score.method}, minus {published.score:g}")
