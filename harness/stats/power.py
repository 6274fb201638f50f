"""The precision and power of a plan before it runs: numbers in, numbers out.

Everything is forecast from an expected score ``p`` and the correlation ``rho`` of two samples of
one problem. Another run is taken to find nine problems of ten as hard as this one does and one in
ten (``REDRAWN``) as hard as any: that is the spread of the differences over problems. A published
score is taken to be over the whole benchmark.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from harness.stats.assumed import PUBLISHED_SAMPLES
from harness.stats.intervals import (
    Floats,
    Ints,
    expected_standard_errors,
    normal_cdf,
    normal_quantile,
    wilson,
)

POWER = 0.8
REDRAWN = 0.1
"""Share of problems whose difficulty for another run is independent of that for this one."""
FEWEST_DIFFERING = 6
"""Problems that must differ, all in one direction, for p < 0.05 two-sided: 2 / 2^6."""
FEWEST_FOR_FORECAST = 20
"""Problems from which on the power with several samples is known within a few percent."""
_PRECISION = 1e-6
"""Precision to which a smallest difference is computed."""
MOST_SAMPLES = 64
"""More samples per problem than this are never recommended."""


class Plan(NamedTuple):
    """The sizes of one task's part of a run, and what is expected of it."""

    p: float
    """The expected score."""
    rho: float
    """Correlation of two samples of one problem: 0 all problems alike, 1 each certain."""
    problems: int
    benchmark_size: int
    """Problems of the whole benchmark, of which these are a random subset."""
    samples: int
    """Samples per problem."""
    is_greedy: bool = False
    """A problem gets the same answer each time: the run itself has no decoding noise."""
    published_samples: int = PUBLISHED_SAMPLES
    """Samples per problem behind the published score."""


class Forecast(NamedTuple):
    """The expected precision, as fractions."""

    fixed_benchmark: float
    """Half-width of the 95 % interval for this very benchmark."""
    new_problems: float
    """Half-width of the 95 % interval for new problems."""
    against_run: float | None
    """Smallest difference to another run of this protocol that is found with 80 % power."""
    against_published: float | None
    """Smallest difference to a published score that is found with 80 % power."""


@cache
def forecast(plan: Plan) -> Forecast:
    """Half-widths and smallest differences of a plan; None: no possible difference is found."""
    fixed, new = _errors(plan, plan.p)
    return Forecast(
        _half_width(plan.p, fixed),
        _half_width(plan.p, new),
        detectable_against_run(plan),
        detectable_against_published(plan),
    )


def detectable_against_run(plan: Plan) -> float | None:
    """Smallest difference of two runs on the same problems that ``compare``'s test at 5 % finds.

    The other score lies on the side of one half, where differences are hardest to see. None when
    not even the largest possible one is found.
    """
    p = max(plan.p, 1 - plan.p)
    power = mcnemar_power if plan.samples == 1 else sign_flip_power
    return _smallest(lambda difference: power(plan, difference) - POWER, p)


def sign_flip_power(plan: Plan, difference: float) -> float:
    """Power of the two-sided sign-flip test at 5 % and a true difference, several samples.

    By the t-test, which it follows closely but for the steps of its sums: half of one, 1/k, is
    taken off. Below ``FEWEST_FOR_FORECAST`` problems, where this does not hold, 0.
    """
    from scipy.special import nctdtr, stdtrit

    n = plan.problems
    if n < FEWEST_FOR_FORECAST:
        return 0.0
    error = math.sqrt(_difference_variance(plan, difference) / n)
    if error == 0:
        return 1.0 if difference else 0.0
    seen = difference - 1 / (plan.samples * n)
    return float(1 - nctdtr(n - 1, seen / error, stdtrit(n - 1, 0.975)))


def _difference_variance(plan: Plan, difference: float) -> float:
    """Variance over problems of the difference of two runs' scores of one problem.

    With v and w the variances of one sample of either run, decoding noise is (v + w)(1-rho)/k and
    the spread of true differences rho (v + w - 2 (1 - REDRAWN) sqrt(v w)).
    """
    p = max(plan.p, 1 - plan.p)
    v, w = p * (1 - p), (p - difference) * (1 - p + difference)
    alike = 2 * (1 - REDRAWN) * math.sqrt(max(v * w, 0.0))
    return (v + w) * (1 - plan.rho) / plan.samples + plan.rho * (v + w - alike)


def detectable_against_published(plan: Plan) -> float | None:
    """Smallest difference to a published score of ``p`` that a two-sided test at 5 % finds."""
    p = max(plan.p, 1 - plan.p)
    published = published_error(plan)

    def lack(difference: float) -> float:
        own, shown = _own_errors(plan, p - difference)
        true, critical = math.hypot(own, published), math.hypot(shown, published)
        return z_power(difference, true, critical) - POWER

    return _smallest(lack, p)


def z_power(difference: float, error: float, critical_error: float | None = None) -> float:
    """Power of a two-sided z-test at 5 %.

    Args:
        difference: The true one.
        error: How much the observed one varies.
        critical_error: How much the test takes it to vary; None: as much as it does.
    """
    if error == 0:
        return 1.0 if difference else 0.05
    null = error if critical_error is None else critical_error
    least = normal_quantile(0.975) * null / error
    effect = difference / error
    return float(normal_cdf(effect - least) + normal_cdf(-effect - least))


def mcnemar_power(plan: Plan, difference: float, alpha: float = 0.05) -> float:
    """Power of McNemar's exact two-sided test at a true difference, one sample of each problem.

    The two sides answer a problem differently as often as the mean square of the difference says,
    its variance plus ``difference`` squared, and at least as often as the difference demands.
    """
    import numpy as np
    from scipy.special import bdtr, bdtrc

    seen = _difference_variance(plan._replace(samples=1), difference) + difference**2
    discordant = min(1.0, max(seen, difference))
    if discordant == 0:
        return 0.0
    counts = np.arange(plan.problems + 1)
    least = _fewest_significant_wins(plan.problems, alpha)
    share = (1 + difference / discordant) / 2
    # With as many wins as problems, or fewer than none, the functions have no value.
    can_be_found = least <= counts
    counts, least = counts[can_be_found], least[can_be_found]
    found = bdtrc(least - 1, counts, share) + bdtr(counts - least, counts, share)
    return float((_binomial(counts, plan.problems, discordant) * found).sum())


@cache
def _fewest_significant_wins(problems: int, alpha: float) -> Floats:
    """The fewest wins among 0, 1 … ``problems`` discordant problems that are significant."""
    import numpy as np
    from scipy.special import bdtrc, bdtrik

    counts = np.arange(problems + 1)
    # The smallest number that is exceeded with a chance of alpha / 2 at most, from both sides.
    near = np.floor(bdtrik(1 - alpha / 2, counts, 0.5))
    tried = np.clip(near + np.arange(-1, 3)[:, None], 0, counts)
    is_rare = np.where(tried == counts, True, bdtrc(tried, counts, 0.5) <= alpha / 2)
    return np.asarray(np.where(is_rare, tried, counts).min(axis=0) + 1)


def _binomial(counts: Ints, trials: int, share: float) -> Floats:
    """Chance of each count, not below 0 and not above ``trials``."""
    import numpy as np
    from scipy.special import gammaln, xlog1py, xlogy

    ways = gammaln(trials + 1) - gammaln(counts + 1) - gammaln(trials - counts + 1)
    return np.asarray(np.exp(ways + xlogy(counts, share) + xlog1py(trials - counts, -share)))


def equivalence_power(plan: Plan, margin: float) -> float:
    """Chance to show that a run whose true score is the published one is within the margin.

    Two one-sided tests (TOST) at 5 % of the difference, with the errors of both scores.
    """
    published = published_error(plan)
    true, shown = (math.hypot(error, published) for error in _own_errors(plan, plan.p))
    if true == 0:
        return 1.0
    return max(0.0, float(2 * normal_cdf(tost_reach(shown, margin) / true) - 1))


def tost_reach(error: float, margin: float) -> float:
    """Largest observed difference that TOST at 5 % still calls the same; negative: none."""
    return margin + normal_quantile(0.05) * error


def samples_that_decide(plan: Plan, margin: float) -> int | None:
    """Fewest samples per problem, by doubling, of the whole benchmark that reach the power."""
    samples = 1
    while samples <= (1 if plan.is_greedy else MOST_SAMPLES):
        whole = plan._replace(problems=plan.benchmark_size, samples=samples)
        if equivalence_power(whole, margin) >= POWER:
            return samples
        samples *= 2
    return None


def published_difference_error(plan: Plan) -> float:
    """Standard error, as the run will show it, of its score minus a published one."""
    return math.hypot(_own_errors(plan, plan.p)[1], published_error(plan))


def published_error(plan: Plan) -> float:
    """Standard error of a published score of the whole benchmark from its own decoding noise."""
    of_all = plan._replace(problems=plan.benchmark_size, samples=plan.published_samples)
    return _decoding_error(of_all, plan.p)


def _decoding_error(plan: Plan, p: float) -> float:
    return expected_standard_errors(p, plan.problems, plan.samples, plan.rho).fixed_benchmark or 0.0


def _errors(plan: Plan, p: float) -> tuple[float, float]:
    """Both standard errors of a score, for the benchmark of which this is a part."""
    rho = 1.0 if plan.is_greedy else plan.rho
    size = plan.benchmark_size
    found = expected_standard_errors(p, plan.problems, plan.samples, rho, size)
    return found.fixed_benchmark or 0.0, found.new_problems or 0.0


def _own_errors(plan: Plan, p: float) -> tuple[float, float]:
    """Standard error of a score on this benchmark: the true one, and the one a run can show.

    With one sample per problem, decoding noise cannot be separated from difficulty, so the larger
    error, that for new problems, has to be taken.
    """
    fixed, new = _errors(plan, p)
    return fixed, new if plan.samples == 1 else fixed


def _half_width(p: float, error: float) -> float:
    """Half-width of Wilson's interval at the number of trials with this error."""
    if error == 0:
        return 0.0
    trials = p * (1 - p) / error**2
    low, high = wilson(p * trials, trials)
    return (high - low) / 2


def _smallest(lack: Callable[[float], float], most: float) -> float | None:
    """The smallest argument at which a power is reached; None if even ``most`` lacks some."""
    if lack(most) < 0:
        return None
    low, high = 0.0, most
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if lack(middle) < 0 else (low, middle)
    return (low + high) / 2
