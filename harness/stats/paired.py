"""Two runs on the same problems: difference, tests, equivalence. Numbers in, numbers out.

What is paired is the *problem*: each side's score of it is the mean over its samples, and the
difference is taken there. Differences are "after minus before", so a negative one is a loss. As
in ``statistics`` two questions are kept apart: what other problems would show (``new_problems``),
and what these very problems would show again (``fixed_benchmark``).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.stats.intervals import (
    CHUNK_ELEMENTS,
    DRAWS,
    SEED,
    Floats,
    Interval,
    Ints,
    is_proportional,
    no_bootstrap,
    normal_cdf,
    normal_quantile,
    score_ends,
    score_z,
    standard_errors,
)

_EXACT_FLIPS = 13
"""Up to this many differing problems, all 2^m sign flips are fewer than ``DRAWS``."""
_TIE = 1e-9
"""Sums that differ by less are equal: the smallest real step is 1 / (64 * 64) or so."""


class Pairs(NamedTuple):
    """One row for each problem that both sides answered. Made by ``pair_up``."""

    solved_before: Ints
    samples_before: Ints
    solved_after: Ints
    samples_after: Ints

    @property
    def n(self) -> int:
        """Number of problems."""
        return len(self.solved_before)

    @property
    def before(self) -> Floats:
        """The first side's score of each problem, in [0, 1]."""
        return self.solved_before / self.samples_before

    @property
    def after(self) -> Floats:
        """The second side's."""
        return self.solved_after / self.samples_after

    @property
    def differences(self) -> Floats:
        """After minus before, in [-1, 1]."""
        return self.after - self.before

    @property
    def is_single(self) -> bool:
        """Every problem has one sample on either side."""
        return bool((self.samples_before == 1).all() and (self.samples_after == 1).all())

    @property
    def is_balanced(self) -> bool:
        """Every problem has as many samples on one side as on the other."""
        return bool((self.samples_before == self.samples_after).all())


def pair_up(
    solved_before: ArrayLike,
    samples_before: ArrayLike,
    solved_after: ArrayLike,
    samples_after: ArrayLike,
) -> Pairs:
    """Takes the four counts of each problem; their order makes no difference to anything.

    Raises:
        ValueError: A problem has no sample on one side, or more solved ones than samples.
    """
    given = (solved_before, samples_before, solved_after, samples_after)
    columns = [np.asarray(column, dtype=np.int64) for column in given]
    c, n, d, m = columns
    if (n < 1).any() or (m < 1).any() or (c < 0).any() or (c > n).any() or (d < 0).any():
        raise ValueError("each problem needs 0 <= solved <= samples and samples >= 1 on each side")
    if (d > m).any():
        raise ValueError("more solved than sampled")
    order = np.lexsort(tuple(reversed(columns)))
    return Pairs(*(column[order] for column in columns))


# --- the difference ---------------------------------------------------------------------------


def difference(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """Mean difference, as far as it holds for other problems like these.

    A score interval: the differences δ that a test with the variance *under δ* does not reject.
    With several samples it is ``score_ends`` of the problems' differences, in which a problem that
    was not seen may be lost or won whole. With one sample that variance is at least the one seen
    and at least |δ| - δ², the smallest that losses and gains of whole problems can have. Where no
    problem differs both give Tango's interval for paired proportions (Statistics in Medicine 1998,
    17:891), ±z²/(n + z²), and the usual one where many do.
    """
    if pairs.n == 0:
        return Interval.unknown("no problem is answered on both sides")
    d, z = pairs.differences, normal_quantile((1 + confidence) / 2)
    value = float(d.mean())
    if pairs.is_single:
        low, high = -_single_end(-d, z), _single_end(d, z)
    else:
        lows, highs = score_ends(_to_fractions(d)[None, :], z)
        low, high = 2 * float(lows[0]) - 1, 2 * float(highs[0]) - 1
    method = f"score {confidence:.4g} interval over {pairs.n} paired problems"
    if not pairs.is_single:
        method += ", with a place for unseen problems lost or won whole"
    return Interval(value, max(min(low, value), -1.0), min(max(high, value), 1.0), pairs.n, method)


def _to_fractions(differences: Floats) -> Floats:
    """Maps values from [-1, 1] to [0, 1]."""
    return (1 + differences) / 2


def _single_end(d: Floats, z: float) -> float:
    """Largest δ with (δ - mean)² = z²/n · variance under δ: the larger root of two quadratics."""
    mean, square = float(d.mean()), float((d**2).mean())
    g = z**2 / len(d)
    seen = mean**2 - (1 + g) * (mean**2 - g * square)
    middle = mean + g / 2
    smallest = middle**2 - (1 + g) * mean**2
    ends = [(mean + np.sqrt(max(seen, 0.0))) / (1 + g)]
    if smallest >= 0:
        ends.append((middle + np.sqrt(smallest)) / (1 + g))
    return float(max(ends))


def difference_on_benchmark(
    pairs: Pairs, confidence: float = 0.95, benchmark_size: int | None = None
) -> Interval:
    """Mean difference, as far as these very problems would show it again: decoding noise.

    Normal interval with the squares of both sides' within-problem errors; of a subset of a
    ``benchmark_size`` problems also the noise of its choice. On each side one more sample is
    taken to have come out otherwise than its problem's others, so that samples that all agree
    leave a width. None where a side has one sample of every problem.
    """
    if pairs.n == 0:
        return Interval.unknown("no problem is answered on both sides")
    d = pairs.differences
    value, n = float(d.mean()), pairs.n
    noise = [
        decoding_error(pairs.solved_before, pairs.samples_before),
        decoding_error(pairs.solved_after, pairs.samples_after),
    ]
    if noise[0] is None or noise[1] is None:
        return Interval(value, None, None, n, "mean difference", missing_end=NO_NOISE)
    fraction = n / (benchmark_size or n)
    between = float(d.var(ddof=1)) / n if n > 1 else 0.0
    error = np.sqrt((1 - fraction) * between + fraction * (noise[0] ** 2 + noise[1] ** 2))
    half = normal_quantile((1 + confidence) / 2) * float(error)
    of = "" if fraction == 1 else f", as a subset of {benchmark_size}"
    method = f"normal {confidence:.4g} interval from decoding noise within {n} problems{of}"
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0), n, method)


NO_NOISE = (
    "with one sample per problem, decoding noise cannot be separated from the problems' difficulty"
)


def decoding_error(solved: Ints, samples: Ints) -> float | None:
    """Standard error of one side's mean from its decoding noise."""
    if not (samples > 1).any():
        return None
    n = len(samples)
    found = standard_errors(solved, samples).fixed_benchmark
    if found is None:  # a single problem: what its own samples say
        p, k = float(solved[0] / samples[0]), int(samples[0])
        found = float(np.sqrt(p * (1 - p) / (k - 1)))
    return float(np.hypot(found, 1 / (float(samples.mean()) * n)))


# --- tests ------------------------------------------------------------------------------------


class Test(NamedTuple):
    """Tests for any difference, and for a loss beyond the margin."""

    p: float | None
    """Two-sided, of no difference. None without problems."""
    p_worse: float | None
    """One-sided, of a loss no larger than the margin."""
    better: int
    """Problems with a higher score after."""
    worse: int
    method: str


def compare_paired(pairs: Pairs, margin: float = 0.0, draws: int = DRAWS, seed: int = SEED) -> Test:
    """Tests a difference.

    One sample on each side: McNemar's exact test. Several, as many on both sides of each problem:
    the sign-flip permutation test of the problems' differences, all flips where these are few,
    else ``draws`` of them. Unequal numbers of samples make the differences of equal models skewed,
    which no flip of signs allows for: then the larger p of the score test, which allows for effects
    that differ between problems, and of a permutation of each problem's samples between the sides,
    which is exact where the models are equal on every problem. A loss beyond a ``margin`` > 0 is
    tested by the score test, which ``difference`` inverts, and its p is never below that of any
    loss.
    """
    d = pairs.differences
    better, worse = int((d > 0).sum()), int((d < 0).sum())
    if pairs.n == 0:
        return Test(None, None, 0, 0, "no problem is answered on both sides")
    if pairs.is_single:
        p, p_worse = _mcnemar(better, worse)
        method = "exact McNemar test"
    elif pairs.is_balanced:
        p, p_worse, flips = _sign_flips(d, draws, seed)
        method = f"sign-flip permutation test over problems, {flips}"
    else:
        score_loss = _score_p(pairs, 0.0)
        p, p_worse = _permuted_samples_p(pairs, draws, seed)
        p, p_worse = max(p, 2 * min(score_loss, 1 - score_loss)), max(p_worse, score_loss)
        method = (
            "numbers of samples differ: the larger p of the score test and of a permutation of the "
            f"samples within problems, {draws} draws, seed {seed}"
        )
    if margin > 0:
        p_worse = max(p_worse, _score_p(pairs, margin))
    return Test(p, p_worse, better, worse, method)


def _mcnemar(better: int, worse: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    if better + worse == 0:
        return 1.0, 1.0
    both = binomtest(worse, better + worse).pvalue
    return float(both), float(binomtest(worse, better + worse, alternative="greater").pvalue)


def _score_p(pairs: Pairs, margin: float) -> float:
    """One-sided p of a loss no larger than the margin, by the test that ``difference`` inverts."""
    if margin >= 1:
        return 1.0  # no loss is larger
    d = pairs.differences
    if not pairs.is_single:
        z = score_z(_to_fractions(d)[None, :], (1 - margin) / 2)
        return float(normal_cdf(-z[0]))
    mean, square = float(d.mean()), float((d**2).mean())
    variance = max(square, margin) - margin**2
    if variance <= 0:  # all lose as much as the margin, or more
        return 0.0 if mean < -margin else 1.0
    return float(normal_cdf((mean + margin) / np.sqrt(variance / len(d))))


def _sign_flips(d: Floats, draws: int, seed: int) -> tuple[float, float, str]:
    """Two-sided and one-sided (a loss) p. By hand: SciPy's takes 15 times as long."""
    sizes = np.sort(np.abs(d[d != 0]))  # of these alone, so that swapping the sides changes no p
    m, total = len(sizes), float(d.sum())
    if m <= _EXACT_FLIPS:
        patterns = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
        sums = (2 * patterns - 1) @ sizes
        extra, how = 0, f"all {2**m} flips"
    else:
        sums = np.concatenate(list(_flipped_sums(sizes, draws, seed)))
        extra, how = 1, f"{draws} flips, seed {seed}"
    both = int((np.abs(sums) >= abs(total) - _TIE).sum()) + extra
    # The sums' distribution is symmetric, so this too is the same with the sides swapped.
    loss = int((sums >= -total - _TIE).sum()) + extra
    count = len(sums) + extra
    return both / count, loss / count, how


def _permuted_samples_p(pairs: Pairs, draws: int, seed: int) -> tuple[float, float]:
    """Two-sided and one-sided (loss) p of a permutation test: samples are shuffled within problems.

    How many solved ones a side is dealt is hypergeometric. The same with the sides swapped.
    """
    rows = sorted(zip(*(column.tolist() for column in pairs), strict=True))
    swapped = sorted((d, m, c, n) for c, n, d, m in rows)
    is_swapped = swapped < rows
    c, n, d, m = np.array(min(rows, swapped), dtype=np.int64).T
    solved, all_samples = c + d, n + m
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // len(n))
    sums = np.concatenate(
        [
            _gain(rng.hypergeometric(solved, all_samples - solved, n, (each, len(n))), solved, n, m)
            for start in range(0, draws, chunk)
            if (each := min(chunk, draws - start))
        ]
    )
    seen = _gain(c[None, :], solved, n, m)[0]
    less = (int((sums <= seen + _TIE).sum()) + 1) / (draws + 1)
    more = (int((sums >= seen - _TIE).sum()) + 1) / (draws + 1)
    return min(1.0, 2 * min(less, more)), more if is_swapped else less


def _gain(solved_before: Ints, solved: Ints, before: Ints, after: Ints) -> Floats:
    """Sum over problems of the second side's score minus the first's, one for each row."""
    gains = (solved - solved_before) / after - solved_before / before
    return np.asarray(gains.sum(axis=1), dtype=np.float64)


def _flipped_sums(sizes: Floats, draws: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // len(sizes))
    for start in range(0, draws, chunk):
        shape = (min(chunk, draws - start), len(sizes))
        flips = rng.integers(0, 2, size=shape, dtype=np.int8)
        yield 2 * (flips @ sizes) - sizes.sum()


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values; None stays None and counts for nothing.

    Written out for the reason given at ``statistics.wilson``.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted, least = list(p_values), 0.0
    for below, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - below) * p))
        adjusted[place] = least
    return adjusted


def is_equivalent(interval: Interval, margin: float) -> bool | None:
    """TOST at 5 %: the 90 % interval of the difference lies inside ±margin. None: unknown."""
    if interval.low is None or interval.high is None:
        return None
    return -margin < interval.low and interval.high < margin


# --- ratios of ratios -------------------------------------------------------------------------


def ratio_of_ratios(
    before: tuple[ArrayLike, ArrayLike],
    after: tuple[ArrayLike, ArrayLike],
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Interval:
    """How many times as large after a ratio of sums is as before, such as cost per solved task.

    Percentile bootstrap over problems: a draw takes a problem's four numbers together. An end is
    None where too many draws have an unbounded ratio, or no ratio.

    Args:
        before: Numerators and denominators >= 0, one of each per problem.
        after: Likewise.
        confidence: Of the interval.
        draws: Of the bootstrap.
        seed: Of the draws.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (*before, *after)]
    n = len(columns[0])
    if n == 0:
        return Interval.unknown("no problems")
    table = np.stack([column[np.lexsort(columns)] for column in columns], axis=1)
    a, b, c, d = table.sum(axis=0)
    if b == 0 or d == 0 or a == 0:
        return Interval.unknown("a side has nothing to divide by", n)
    value = float((c / d) / (a / b))
    alike = [(0, 1), (2, 3)], [(0, 2), (1, 3)]  # each side has one ratio, or one scales the other
    is_alike = any(
        all(is_proportional(table[:, i], table[:, j]) for i, j in couples) for couples in alike
    )
    if (why := no_bootstrap(n, value, is_alike=is_alike)) is not None:
        return Interval(value, None, None, n, "ratio of ratios of sums", missing_end=why)
    drawn = np.concatenate(list(_drawn_sums(table, draws, seed)))
    top, bottom = drawn[:, 2] * drawn[:, 1], drawn[:, 0] * drawn[:, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = top / bottom
    # 0 / 0 may be anything: it counts as the lowest for the low end, as the highest for the high.
    tail = (1 - confidence) / 2
    unknown = np.isnan(ratios)
    low = float(np.quantile(np.where(unknown, 0.0, ratios), tail, method="lower"))
    high = float(np.quantile(np.where(unknown, np.inf, ratios), 1 - tail, method="higher"))
    method = (
        f"ratio of ratios of sums; percentile bootstrap {confidence:.4g} interval over {n} "
        f"paired problems, {draws} draws, seed {seed}"
    )
    return Interval(
        value,
        min(low, value) if np.isfinite(low) else None,
        max(high, value) if np.isfinite(high) else None,
        n,
        method,
        missing_end=None if np.isfinite(high) else "no upper bound",
    )


def _drawn_sums(table: Floats, draws: int, seed: int) -> Iterator[Floats]:
    """Sums over problems drawn with replacement, a few draws at a time."""
    rng, n = np.random.default_rng(seed), len(table)
    chunk = max(1, CHUNK_ELEMENTS // n)
    for start in range(0, draws, chunk):
        drawn = rng.integers(0, n, size=(min(chunk, draws - start), n))
        yield np.stack([column[drawn].sum(axis=1) for column in table.T], axis=1)
