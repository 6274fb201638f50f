"""Estimators and their uncertainty: numbers in, numbers out.

Samples of one problem resemble each other, so the *problem* is what is counted and resampled:
``k`` samples of ``n`` problems are never taken for ``k n`` independent ones. What SciPy and
statsmodels have is theirs, imported where it is used. No result depends on the problems' order.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 10_000
LEAST_FOR_BOOTSTRAP = 30
"""Problems. With 20 the 95 % interval of a ratio covers as little as 86 %, with 10 83 %."""
SEED = 20_250_120
"""The default seed of every bootstrap, so that results are reproducible to the last digit."""
_BISECTIONS = 54
"""Halvings of an interval no longer than 1: down to the last digit of a float."""
_TINY = 1e-300
_HARDLY_ONE = 2.0
"""Problems' worth of failures, or successes, up to which their number has a Poisson bound."""
CHUNK_ELEMENTS = 2_000_000
"""Resampled values held at once, 16 MB: bounds the memory of a bootstrap, not its result."""


class Interval(NamedTuple):
    """A point and its confidence interval; what is undefined is None."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    undefined: str | None = None
    """Why there is no value."""
    missing_end: str | None = None
    """Why there is a value without an interval, or an interval without an upper end."""

    @classmethod
    def unknown(cls, why: str, n: int = 0) -> Self:
        """An interval without any known end."""
        return cls(None, None, None, n, "", why)


class StandardErrors(NamedTuple):
    """Standard errors of a mean score, under two error models."""

    fixed_benchmark: float | None
    """For the score on this benchmark: decoding noise, and the choice of a subset."""
    new_problems: float | None
    """For new problems like these."""


# --- fractions --------------------------------------------------------------------------------


def wilson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion. ``trials`` > 0 and need not be whole.

    Written out, because statsmodels' takes two seconds to import, more than all else that
    ``harness claims`` or the end of a run does; a test holds the two together.
    """
    share, z2 = successes / trials, normal_quantile((1 + confidence) / 2) ** 2
    middle = (successes + z2 / 2) / (trials + z2)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    # Where the formula gives 0 and 1 exactly, rounding may leave 1e-17 beside them.
    return 0.0 if successes <= 0 else middle - half, 1.0 if successes >= trials else middle + half


def fraction_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of one value in [0, 1] per problem, with an interval for new problems.

    If all values are 0 or 1 it is the plain Wilson interval of ``n`` trials. Otherwise it is the
    same score interval for values in between (``score_ends``). Where hardly one problem's worth of
    failures (or of successes) was seen that interval is too short on the near side; there the end
    is that of a Poisson count, as Brown, Cai and DasGupta do (Statistical Science 2001, 16:101).
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = len(x)
    if n == 0:
        return Interval.unknown("no problem has a sample that counts")
    mean = float(x.mean())
    percent = f"{confidence:.4g}"
    if np.isin(x, (0.0, 1.0)).all():
        low, high = wilson(float(x.sum()), n, confidence)
        return Interval(mean, low, high, n, f"Wilson {percent} interval over {n} problems")
    lows, highs = fraction_ends(x[None, :], confidence)
    method = (
        f"score {percent} interval over {n} problems, with a place for unseen problems at 0 or 1"
    )
    return Interval(mean, float(lows[0]), float(highs[0]), n, method)


def fraction_ends(rows: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Ends of the interval of ``fraction_interval``, for each row.

    Args:
        rows: Data sets by problems, ``(draws, n)``, values in [0, 1].
        confidence: Of the interval.
    """
    z = normal_quantile((1 + confidence) / 2)
    low, high = score_ends(rows, z)
    n, between = rows.shape[1], ((rows > 0) & (rows < 1)).any(axis=1)
    fewest_solved = _fewest(rows.sum(axis=1), 1 - confidence) / n
    fewest_unsolved = _fewest((1 - rows).sum(axis=1), 1 - confidence) / n
    return (
        np.where(between, np.minimum(low, fewest_solved), low),
        np.where(between, np.maximum(high, 1 - fewest_unsolved), high),
    )


def _fewest(seen: Floats, tail: float) -> Floats:
    """Lower bound of an expected number of problems of which hardly one was ``seen``."""
    from scipy.special import gammaincinv

    few = (seen > 0) & (seen <= _HARDLY_ONE)
    bound = gammaincinv(np.where(few, seen, 1.0), tail)
    return np.asarray(np.where(few, bound, np.where(seen == 0, 0.0, np.inf)))


def score_ends(rows: Floats, z: float) -> tuple[Floats, Floats]:
    """Ends of the score interval of the mean of values in [0, 1], for each row.

    Wilson's idea without the binomial: the interval holds the means ``mu`` that a test does not
    reject whose variance is that *under mu*, here of the most likely distribution on [0, 1] with
    that mean (empirical likelihood). That distribution may put weight on 0 or on 1 where no
    problem was seen, so problems that agree leave a width: ``n`` equal values of 1 give the lower
    end n / (n + z^2). Of values that are all 0 or 1 it is Wilson's interval, of -1, 0 and 1 (moved
    to [0, 1]) Tango's of paired proportions (Statistics in Medicine 1998, 17:891).

    Args:
        rows: Data sets by problems, ``(draws, n)``.
        z: Quantile of the normal distribution.
    """
    return _lower_ends(rows, z), 1 - _lower_ends(1 - rows, z)


def _lower_ends(rows: Floats, z: float) -> Floats:
    n, means = rows.shape[1], rows.mean(axis=1)
    # From here to the mean nothing is rejected: unseen problems at 0 would explain it.
    rejected, accepted = np.zeros_like(means), means * n / (n + z**2)
    for _ in range(_BISECTIONS):
        mu = (rejected + accepted) / 2
        pull = z**2 / (n * np.maximum(means - mu, _TINY))
        apart = rows - mu[:, None]
        is_accepted = (apart / (1 + pull[:, None] * apart)).mean(axis=1) <= 0
        accepted = np.where(is_accepted, mu, accepted)
        rejected = np.where(is_accepted, rejected, mu)
    return np.asarray(accepted)


def score_z(rows: Floats, mean: float) -> Floats:
    """Distance of each row's mean below ``mean``, in standard errors: the test of ``score_ends``.

    Negative where it lies above. With weights 1 / (n (1 + pull (x - mean))) on the values the
    most likely distribution has the mean asked for, and its variance is the distance over the
    pull, so that the square of the statistic is n times distance times pull.

    Args:
        rows: Data sets by problems, ``(draws, n)``, values in [0, 1].
        mean: The mean under test, inside (0, 1).
    """
    is_below = rows.mean(axis=1) < mean
    # Turned round where needed, so that the mean that is tested always lies below the one seen.
    apart = np.where(is_below[:, None], mean - rows, rows - mean)
    floor = np.where(is_below, 1 - mean, mean)
    weak, strong = np.zeros_like(floor), 1 / floor
    for _ in range(_BISECTIONS):
        pull = (weak + strong) / 2
        is_weak = (apart / (1 + pull[:, None] * apart)).mean(axis=1) > 0
        weak, strong = np.where(is_weak, pull, weak), np.where(is_weak, strong, pull)
    distance = np.maximum(apart.mean(axis=1), 0.0)
    z = np.sqrt(rows.shape[1] * distance * strong)
    return np.asarray(np.where(is_below, z, -z))


def fixed_benchmark_interval(
    successes: ArrayLike,
    trials: ArrayLike,
    benchmark_size: int | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Mean score with an interval for the score on the whole of this benchmark.

    Wilson at the number of trials at which a proportion varies as much as
    ``standard_errors(...).fixed_benchmark`` says, reduced by Student's t: it holds decoding noise
    and, in a subset, the choice of its problems. That number is at least that of independent
    trials of equal problems, since trials of unequal ones vary less.

    With one sample per problem, decoding noise cannot be separated from difficulty. For the whole
    benchmark there is no interval then: all that is known is that it would be no wider than that
    for new problems. For a subset of a share ``f`` the standard error lies between ``sqrt(1 - f)``
    and all of that for new problems, whatever the noise; the interval takes the upper end.

    Args:
        successes: Solved samples per problem.
        trials: Samples per problem, each >= 1.
        benchmark_size: Problems of the whole benchmark when these are a random subset of it.
        confidence: Of the interval.

    Raises:
        ValueError: ``benchmark_size`` is smaller than its subset.
    """
    c, k = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    n = len(k)
    error = standard_errors(c, k, benchmark_size).fixed_benchmark
    if n == 0:
        return Interval.unknown("no problem has a sample that counts")
    size = n if benchmark_size is None else benchmark_size
    means = np.sort(c / k)
    mean = float(means.mean())
    percent, part = f"{confidence:.4g}", f"{n} of {size} problems"
    if not (k > 1).any():
        if n == size:
            reason = "one sample per problem cannot tell decoding noise from difficulty"
            return Interval(mean, None, None, n, f"mean over {part}", missing_end=reason)
        low, high = wilson(float(means.sum()), n, confidence)
        method = (
            f"Wilson {percent} interval, {part}, if all variance were decoding noise: at most this "
            f"wide, at least {np.sqrt(1 - n / size):.2f} of it"
        )
        return Interval(mean, low, high, n, method)
    fraction = n / size
    effective = 1 / ((1 - fraction) / n + fraction * float((1 / k).mean()) / n)
    if error:
        effective = max(effective, mean * (1 - mean) / error**2) * _student_shrinkage(n, confidence)
    low, high = wilson(mean * effective, effective, confidence)
    method = (
        f"Wilson {percent} interval at the effective sample size {effective:.1f} of two-stage "
        f"sampling, {part}"
    )
    return Interval(mean, low, high, n, method)


def _student_shrinkage(n: int, confidence: float) -> float:
    """The factor on a number of trials whose variance was estimated from ``n`` problems."""
    from scipy.special import stdtrit

    upper = (1 + confidence) / 2
    return float((normal_quantile(upper) / stdtrit(n - 1, upper)) ** 2)


# --- several samples per problem --------------------------------------------------------------


def tally(problems: Sequence[Hashable], solved: Sequence[bool]) -> tuple[Ints, Ints]:
    """Solved samples and samples of each problem, in the order in which problems first appear."""
    counts: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for problem, is_solved in zip(problems, solved, strict=True):
        counts[problem][0] += bool(is_solved)
        counts[problem][1] += 1
    table = np.array(list(counts.values()), dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def pass_at_k(successes: ArrayLike, trials: ArrayLike, k: int) -> Floats:
    """Unbiased estimate, per problem, that one of ``k`` samples is right.

    1 - C(n - c, k) / C(n, k) for ``c`` of ``n`` right (Chen et al. 2021, arXiv 2107.03374), as
    the product of (n - c - j) / (n - j), which never overflows.

    Raises:
        ValueError: ``k`` < 1, or a problem has fewer than ``k`` samples.
    """
    c, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if k < 1 or (n < k).any():
        raise ValueError(f"pass@{k} needs 1 <= k <= {int(n.min()) if n.size else 'samples'}")
    j = np.arange(k)
    wrong, drawn = (n - c)[:, None] - j, n[:, None] - j
    return np.asarray(1 - np.prod(np.maximum(wrong, 0) / drawn, axis=1), dtype=np.float64)


def majority_correct(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """How right the most frequent answer to one problem is, in [0, 1].

    None does not vote; without a vote the problem is not solved. Of tied answers each is taken
    with equal probability, which gives the expected value. Answers count as equal when they are
    ``==``, so an answer written in two ways splits its vote. If equal answers were graded
    differently, their mean counts.
    """
    votes: dict[Hashable, list[bool]] = defaultdict(list)
    for answer, is_correct in zip(answers, correct, strict=True):
        if answer is not None:
            votes[answer].append(bool(is_correct))
    if not votes:
        return 0.0
    most = max(len(flags) for flags in votes.values())
    # Sorted, so that the sum does not depend on the order of the samples.
    tied = sorted(sum(flags) / most for flags in votes.values() if len(flags) == most)
    return sum(tied) / len(tied)


def within_problem_correlation(successes: ArrayLike, trials: ArrayLike) -> float | None:
    """Correlation rho of two samples of one problem, by analysis of variance, in [0, 1].

    The usual estimator for unequal group sizes (Donner 1986). None where it is undefined: fewer
    than two problems, one sample everywhere, or no variation.
    """
    c, k = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    n, total = len(k), k.sum()
    if n < 2 or total == n or c.sum() in (0, total):  # noqa: PLR2004 - variance needs two
        return None
    means, mean = c / k, c.sum() / total
    between = (k * (means - mean) ** 2).sum() / (n - 1)
    within = (k * means * (1 - means)).sum() / (total - n)
    size = (total - (k**2).sum() / total) / (n - 1)
    return float(np.clip((between - within) / (between + (size - 1) * within), 0.0, 1.0))


# --- standard errors --------------------------------------------------------------------------


def standard_errors(
    successes: ArrayLike, trials: ArrayLike, benchmark_size: int | None = None
) -> StandardErrors:
    """Both standard errors of the mean over problems of the mean over samples.

    Two-stage sampling: with ``s2`` the variance of the ``n`` problem means and ``w`` the mean
    decoding variance of one problem's mean, the squares are ``(1 - f) s2/n + f w/n`` with ``f``
    = n / ``benchmark_size``, and ``s2/n`` for new problems (f -> 0).

    Args:
        successes: Solved samples per problem.
        trials: Samples per problem, each >= 1. One that has a single sample is taken to vary as
            the others do on average.
        benchmark_size: Problems of the whole benchmark when these are a random subset of it;
            None means these are all.

    Returns:
        ``new_problems`` is None below two problems. ``fixed_benchmark`` is None too where no
        problem has two samples: then decoding noise cannot be separated from difficulty, and is
        only known to be at most ``new_problems``.

    Raises:
        ValueError: ``benchmark_size`` is smaller than its subset.
    """
    c, k = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    n = len(k)
    size = n if benchmark_size is None else benchmark_size
    if size < n:
        raise ValueError(f"benchmark_size {size} is smaller than its subset of {n} problems")
    if n < 2:  # noqa: PLR2004 - variance needs two
        return StandardErrors(None, None)
    means = c / k
    between = means.var(ddof=1) / n
    several = k > 1
    if not several.any():
        return StandardErrors(None, float(np.sqrt(between)))
    variance = np.zeros(n)
    variance[several] = (means * (1 - means) * k)[several] / (k[several] - 1)
    variance[~several] = variance[several].mean()
    within = (variance / k).mean() / n
    fraction = n / size
    fixed = (1 - fraction) * between + fraction * within
    return StandardErrors(float(np.sqrt(fixed)), float(np.sqrt(between)))


def expected_standard_errors(
    p: float, problems: int, samples: int, rho: float, benchmark_size: int | None = None
) -> StandardErrors:
    """Standard errors that a score ``p`` is expected to have: for planning, and for published ones.

    ``p(1-p)(1-rho)/(n k)`` on a fixed benchmark, ``p(1-p)(rho + (1-rho)/k)/n`` on new problems;
    where ``n`` problems are a random subset of ``benchmark_size``, the first holds
    ``p(1-p) rho/n`` times ``1 - n/benchmark_size`` besides.
    """
    variance = p * (1 - p) / problems
    decoding = variance * (1 - rho) / samples
    left_out = 0.0 if benchmark_size is None else 1 - problems / benchmark_size
    return StandardErrors(
        float(np.sqrt(decoding + left_out * variance * rho)),
        float(np.sqrt(decoding + variance * rho)),
    )


# --- bootstrap and percentiles ----------------------------------------------------------------


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = SEED,
    nothing: str = "the denominator is 0",
) -> Interval:
    """Sum of numerators over sum of denominators, both >= 0 and one per problem.

    The interval is the percentile bootstrap over problems. ``high`` is None where too
    many draws have a denominator of 0: then the ratio has no upper bound at this confidence. There
    is none for fewer than ``LEAST_FOR_BOOTSTRAP`` problems or where all have the same ratio.
    ``nothing`` says in the words of the figure what a denominator of 0 is.
    """
    top, bottom = (np.asarray(a, dtype=np.float64) for a in (numerators, denominators))
    n = len(top)
    total = bottom.sum()
    if n == 0 or total == 0:
        return Interval.unknown("no problems" if n == 0 else nothing, n)
    order = np.lexsort((bottom, top))
    top, bottom = top[order], bottom[order]
    value = float(top.sum() / total)
    what = no_bootstrap(n, value, is_alike=is_proportional(top, bottom))
    if what is not None:
        return Interval(value, None, None, n, "ratio of sums", missing_end=what)
    # The angle grows with the ratio and stays finite where the denominator is 0. Scaling puts
    # the point at 45 degrees, where angles lose no digits.
    scale = value or 1.0
    angles = _drawn_angles(top, bottom, scale, draws, seed)
    tail = (1 - confidence) / 2
    low, high = _quantile(angles, tail), _quantile(angles, 1 - tail)
    method = (
        f"ratio of sums; percentile bootstrap {confidence:.4g} interval over {n} problems, "
        f"{draws} draws, seed {seed}"
    )
    # Rounding must not leave the point outside of an interval without width.
    lower = min(value, scale * float(np.tan(low)))
    if high > np.pi / 2 - 1e-9:
        why = f"in more than {50 * (1 - confidence):.4g} % of the draws {nothing}"
        return Interval(value, lower, None, n, method, missing_end=why)
    return Interval(value, lower, max(value, scale * float(np.tan(high))), n, method)


def _drawn_angles(top: Floats, bottom: Floats, scale: float, draws: int, seed: int) -> Floats:
    """The angle of the ratio of sums, of each bootstrap draw of problems, in rising order.

    Written out, because ``scipy.stats`` takes longer to import than the draws take; a test holds
    it together with ``scipy.stats.bootstrap``.
    """
    rng, n = np.random.default_rng(seed), len(top)
    batch = max(1, CHUNK_ELEMENTS // n)
    angles = []
    for first in range(0, draws, batch):
        drawn = rng.integers(0, n, (min(batch, draws - first), n))
        sums = top[drawn].sum(axis=-1), bottom[drawn].sum(axis=-1)
        angles.append(np.arctan2(sums[0], scale * sums[1]))
    return np.sort(np.concatenate(angles))


def _quantile(ordered: Floats, p: float) -> float:
    """By linear interpolation, rounded as ``scipy.stats.quantile`` does."""
    n = len(ordered)
    above, part = divmod(p * n + (1 - p), 1)
    j = int(above)
    return float((1 - part) * ordered[j - 1] + part * ordered[min(j, n - 1)])


def is_proportional(one: Floats, other: Floats) -> bool:
    """Whether one of two rows is a multiple of the other."""
    return np.allclose(one * other.sum(), other * one.sum(), rtol=1e-9, atol=0)


def no_bootstrap(n: int, value: float, *, is_alike: bool) -> str | None:
    """Why a ratio has no interval; None: it has one.

    Args:
        n: Problems.
        value: The ratio.
        is_alike: Whichever problems are drawn, the ratio is the same.
    """
    if value == 0:
        return "a numerator of 0"
    if n < LEAST_FOR_BOOTSTRAP:
        return f"fewer than {LEAST_FOR_BOOTSTRAP} problems"
    return "all problems have the same ratio" if is_alike else None


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def normal_cdf(z: ArrayLike) -> Floats:
    """The distribution function of the standard normal distribution."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=np.float64)


def percentiles(values: ArrayLike, ranks: Sequence[float]) -> list[float | None]:
    """Percentiles (0 to 100) by linear interpolation; None of nothing."""
    x = np.asarray(values, dtype=np.float64)
    return [None] * len(ranks) if x.size == 0 else [float(v) for v in np.percentile(x, ranks)]
