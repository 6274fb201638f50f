"""Every estimator against an independent reference: SciPy, exact enumeration, published numbers."""

import statistics as stdlib
from collections import Counter
from fractions import Fraction
from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats import intervals as statistics
from harness.stats.intervals import (
    expected_standard_errors,
    fixed_benchmark_interval,
    fraction_ends,
    fraction_interval,
    majority_correct,
    pass_at_k,
    percentiles,
    ratio_interval,
    score_ends,
    score_z,
    standard_errors,
    tally,
    wilson,
    within_problem_correlation,
)
from tests.facts import known

# --- fractions --------------------------------------------------------------------------------


@pytest.mark.parametrize(("solved", "n"), [(0, 7), (1, 7), (7, 7), (441, 500), (13, 164)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_agrees_with_scipy(solved: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(solved, n).proportion_ci(confidence, method="wilson")
    assert wilson(solved, n, confidence) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(
    ("score", "low", "high"),
    [(97.3, 95.5, 98.4), (96.4, 94.4, 97.7), (90.2, 87.3, 92.5), (83.9, 80.4, 86.9)],
)
def test_wilson_gives_the_intervals_of_published_math500_scores(
    score: float, low: float, high: float
) -> None:
    assert [100 * x for x in wilson(score * 5, 500)] == pytest.approx([low, high], abs=0.05)


@pytest.mark.parametrize(
    ("solved", "n", "edge"), [(441, 500, 0.855), (158, 164, 0.925)], ids=["math500", "humaneval"]
)
def test_wilson_gives_the_fewest_solved_that_lie_above_a_claim(
    solved: int, n: int, edge: float
) -> None:
    def lower(count: int) -> float:
        return wilson(count, n, confidence=0.9)[0]  # one-sided 95 %

    assert lower(solved) > edge > lower(solved - 1)


def test_fraction_interval_of_single_samples_is_wilson() -> None:
    found = fraction_interval([1, 0, 1, 1, 0, 1, 1])
    expected = stats.binomtest(5, 7).proportion_ci(method="wilson")
    assert (found.value, found.n) == (5 / 7, 7)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_problems_do_not_give_certainty(value: float) -> None:
    found = fraction_interval([value] * 20)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.1


def test_fraction_interval_of_nothing_says_why() -> None:
    found = fraction_interval([])
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)
    assert found.undefined is not None


def test_effective_sample_size_is_that_of_independent_samples_when_they_are() -> None:
    """4 independent samples of 2000 problems tell as much as 8000 problems, less 0.1 %."""
    rng = np.random.default_rng(5)
    found = fraction_interval(rng.binomial(4, 0.7, 2000) / 4)
    assert found.value is not None
    expected = wilson(found.value * 8000, 8000)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.0005)


# --- coverage: the intervals hold what they promise --------------------------------------------

SIMULATIONS = 2000


def _simulate(p: float, rho: float, problems: int, samples: int) -> np.ndarray:
    """Problem means of many benchmarks whose problems' own chances are beta distributed."""
    rng = np.random.default_rng([round(1000 * p), round(10 * rho), problems, samples])
    a, b = p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho
    chances = rng.beta(a, b, (SIMULATIONS, problems))
    return rng.binomial(samples, chances) / samples


def _coverage(benchmarks: np.ndarray, p: float) -> float:
    low, high = fraction_ends(benchmarks)
    first = fraction_interval(benchmarks[0])
    if not np.isin(benchmarks[0], (0, 1)).all():
        assert (first.low, first.high) == pytest.approx((low[0], high[0]))
    return float(((low <= p) & (p <= high)).mean())


@pytest.mark.parametrize(
    ("problems", "samples", "impossible", "score"),
    [
        (30, 64, 0.03, 0.998),  # 54 % by the variance between the problems that were seen
        (30, 64, 0.05, 0.985),
        (30, 64, 0.004, 0.985),
        (164, 8, 0.01, 0.998),
        (500, 4, 0.004, 0.998),
    ],
)
def test_a_few_impossible_problems_among_easy_ones_are_allowed_for(
    problems: int, samples: int, impossible: float, score: float
) -> None:
    rng = np.random.default_rng([problems, samples, round(1000 * score)])
    shape = (SIMULATIONS, problems)
    chances = np.where(rng.random(shape) < impossible, 0.0, score)
    solved = rng.binomial(samples, chances) / samples
    assert _coverage(solved, (1 - impossible) * score) >= 0.93
    # Few solvable ones among impossible ones are the same, mirrored.
    assert _coverage(1 - solved, 1 - (1 - impossible) * score) >= 0.93


@pytest.mark.parametrize(("p", "rho", "samples"), [(0.95, 0.7, 64), (0.05, 0.1, 4), (0.1, 0.4, 64)])
def test_thirty_problems_of_unlike_difficulty_are_enough_for_an_interval(
    p: float, rho: float, samples: int
) -> None:
    assert 0.93 <= _coverage(_simulate(p, rho, 30, samples), p) <= 0.99


def test_one_wrong_sample_of_many_changes_an_interval_little() -> None:
    all_right = fraction_interval([1.0] * 30)
    one_wrong = fraction_interval([1.0] * 29 + [63 / 64])
    assert one_wrong.low == pytest.approx(all_right.low, abs=0.001)
    assert known(one_wrong.low) < known(one_wrong.value) < known(one_wrong.high)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_the_score_interval_of_single_samples_is_wilsons(solved: list[int]) -> None:
    low, high = score_ends(np.array([solved], dtype=float), 1.96)
    expected = stats.norm.cdf(1.96) * 2 - 1
    assert (low[0], high[0]) == pytest.approx(wilson(sum(solved), len(solved), expected), abs=1e-9)


def test_the_score_test_turns_at_the_ends_of_the_score_interval() -> None:
    rows = np.random.default_rng(1).binomial(8, 0.8, (20, 40)) / 8
    low, high = score_ends(rows, 1.96)
    for row, one, other in zip(rows, low, high, strict=True):
        assert score_z(row[None, :], one)[0] == pytest.approx(-1.96)
        assert score_z(row[None, :], other)[0] == pytest.approx(1.96)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.93])
@pytest.mark.parametrize(
    ("samples", "rho", "problems"),
    # Of one sample per problem the correlation makes no difference.
    [(1, 0.5, 164), (1, 0.5, 500), *product([4], [0.1, 0.5, 0.8], [50]), (4, 0.5, 164)],
)
def test_intervals_for_new_problems_cover_what_they_promise(
    p: float, samples: int, rho: float, problems: int
) -> None:
    assert 0.93 <= _coverage(_simulate(p, rho, problems, samples), p) <= 0.98


@pytest.mark.parametrize("p", [0.05, 0.5, 0.93])
@pytest.mark.parametrize(
    ("samples", "rho", "problems", "size"),
    [
        *product([4], [0.1, 0.5, 0.8], [50], [50]),
        (4, 0.5, 164, 164),
        (4, 0.5, 100, 500),
        # One sample: the interval is as wide as it could have to be, and covers a little more.
        (1, 0.2, 100, 500),
        (1, 0.5, 100, 500),
    ],
)
def test_intervals_for_this_benchmark_cover_what_they_promise(
    p: float, samples: int, rho: float, problems: int, size: int
) -> None:
    """Each draw is a benchmark of its own; what is to be covered is the mean of its chances."""
    rng = np.random.default_rng([round(1000 * p), round(10 * rho), problems, samples, size])
    a, b = p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho
    chances = rng.beta(a, b, (SIMULATIONS, size))
    solved = rng.binomial(samples, chances[:, :problems])
    trials = np.full(problems, samples)
    held = 0
    for c, truth in zip(solved, chances.mean(axis=1), strict=True):
        found = fixed_benchmark_interval(c, trials, size)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / SIMULATIONS <= 0.97


@pytest.mark.parametrize("p", [0.05, 0.5, 0.93])
@pytest.mark.parametrize(
    ("n", "most"),
    # With 50 problems there are so few possible scores that 0.93 is covered 97.8 %: too wide
    # there, never too narrow.
    [(50, 0.98), (164, 0.97), (500, 0.97)],
)
def test_wilson_coverage_computed_exactly(p: float, n: int, most: float) -> None:
    counts = np.arange(n + 1)
    bounds = np.array([wilson(int(c), n) for c in counts])
    holds = (bounds[:, 0] <= p) & (p <= bounds[:, 1])
    assert 0.93 <= stats.binom.pmf(counts, n, p)[holds].sum() <= most


# --- several samples per problem ---------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_pass_at_k_agrees_with_enumerating_all_subsets(n: int) -> None:
    for c, k in product(range(n + 1), range(1, n + 1)):
        flags = [True] * c + [False] * (n - c)
        subsets = list(combinations(flags, k))
        expected = Fraction(sum(any(s) for s in subsets), len(subsets))
        assert pass_at_k([c], [n], k)[0] == pytest.approx(float(expected), abs=1e-15)


def test_pass_at_k_is_exact_at_its_ends_and_does_not_overflow() -> None:
    assert pass_at_k([0, 4096, 1], [4096] * 3, 2048).tolist() == [0.0, 1.0, 0.5]


def test_pass_at_one_is_the_mean_over_samples() -> None:
    assert pass_at_k([1, 2, 0], [4, 3, 2], 1) == pytest.approx([1 / 4, 2 / 3, 0])


@pytest.mark.parametrize(("trials", "k"), [([4, 3], 4), ([4], 0), ([1], 2)])
def test_pass_at_k_refuses_what_it_cannot_estimate(trials: list[int], k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k}"):
        pass_at_k([0] * len(trials), trials, k)


@pytest.mark.parametrize(
    "votes",
    [
        [("7", True), ("7", True), ("8", False)],
        [("7", True), ("8", False)],
        [("7", True), ("8", False), ("9", False)],
        [("7", True), ("8", False), (None, False), (None, False), (None, False)],
        [("7", True), ("7.0", True), ("8", False), ("8", False), ("9", False)],
        [("7", True), ("7", True), ("8", False), ("8", False), ("9", False)],
    ],
)
def test_majority_is_the_mean_over_all_orders_of_first_come_first_served(
    votes: list[tuple[str | None, bool]],
) -> None:
    outcomes = []
    for order in permutations(votes):
        cast = [answer for answer, _ in order if answer is not None]
        winner = Counter(cast).most_common(1)[0][0]
        outcomes.append(dict(order)[winner])
    expected = sum(outcomes) / len(outcomes)
    assert majority_correct([a for a, _ in votes], [ok for _, ok in votes]) == expected


def test_majority_without_a_vote_is_not_solved() -> None:
    assert majority_correct([None, None], [False, False]) == 0.0
    assert majority_correct([], []) == 0.0


def test_majority_of_an_answer_graded_both_ways_is_its_mean() -> None:
    assert majority_correct(["7", "7", "7", "8"], [True, True, False, False]) == 2 / 3


def test_tally_counts_by_problem() -> None:
    solved, samples = tally(["b", "a", "b", "a", "b"], [True, False, True, True, False])
    assert (solved.tolist(), samples.tolist()) == ([2, 1], [3, 2])


def test_correlation_agrees_with_the_f_statistic_of_scipy() -> None:
    solved, k = np.array([0, 1, 4, 3, 4, 0, 2, 4]), 4
    groups = [[1.0] * c + [0.0] * (k - c) for c in solved]
    f = stats.f_oneway(*groups).statistic
    expected = (f - 1) / (f + k - 1)
    assert within_problem_correlation(solved, [k] * len(solved)) == pytest.approx(expected)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.8])
def test_correlation_finds_the_one_that_was_put_in(rho: float) -> None:
    solved = (_simulate(0.6, rho, 1000, 4)[0] * 4).round().astype(int)
    assert within_problem_correlation(solved, [4] * 1000) == pytest.approx(rho, abs=0.05)


@pytest.mark.parametrize(
    ("solved", "samples"),
    [([], []), ([1], [4]), ([1, 0, 1], [1, 1, 1]), ([0, 0], [4, 4]), ([4, 4], [4, 4])],
)
def test_correlation_is_none_where_it_cannot_be_told(solved: list[int], samples: list[int]) -> None:
    assert within_problem_correlation(solved, samples) is None


def test_correlation_is_never_negative() -> None:
    assert within_problem_correlation([2, 2, 2], [4, 4, 4]) == 0.0


# --- standard errors ---------------------------------------------------------------------------


def _outcomes(chances: list[float], k: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every possible count of solved samples per problem, with its probability."""
    ways = list(product(range(k + 1), repeat=len(chances)))
    weights = [stats.binom.pmf(way, k, chances).prod() for way in ways]
    return list(zip(weights, ways, strict=True))


def test_fixed_benchmark_error_is_unbiased_by_enumeration() -> None:
    chances, k = [0.3, 0.8, 0.5], 2
    true = sum(p * (1 - p) / k for p in chances) / len(chances) ** 2
    expected = 0.0
    for weight, solved in _outcomes(chances, k):
        found = standard_errors(solved, [k] * 3).fixed_benchmark
        assert found is not None
        expected += weight * found**2
    assert expected == pytest.approx(true)


def test_subset_error_is_unbiased_by_enumeration_of_subsets_and_outcomes() -> None:
    """A random 2 of 4 fixed problems, 3 samples each, about the mean of all 4."""
    chances, k, n = [0.1, 0.4, 0.7, 0.9], 3, 2
    subsets = list(combinations(chances, n))
    mean = sum(chances) / 4
    true = expected = 0.0
    for subset in subsets:
        for weight, solved in _outcomes(list(subset), k):
            share = weight / len(subsets)
            true += share * (sum(solved) / (n * k) - mean) ** 2
            found = standard_errors(solved, [k] * n, benchmark_size=4).fixed_benchmark
            assert found is not None
            expected += share * found**2
    assert expected == pytest.approx(true)


def test_new_problem_error_is_the_standard_error_of_the_problem_means() -> None:
    found = standard_errors([0, 1, 4, 3], [4, 2, 4, 3])
    assert found.new_problems == pytest.approx(stats.sem([0, 0.5, 1, 1]))


def test_a_small_part_of_a_benchmark_is_like_new_problems() -> None:
    found = standard_errors([0, 1, 4, 3], [4] * 4, benchmark_size=10**9)
    assert found.fixed_benchmark == pytest.approx(found.new_problems)


def test_single_samples_cannot_tell_decoding_noise_from_difficulty() -> None:
    found = standard_errors([0, 1, 1], [1, 1, 1])
    assert found.fixed_benchmark is None
    assert found.new_problems == pytest.approx(stats.sem([0, 1, 1]))


def test_a_single_sample_borrows_the_decoding_noise_of_the_others() -> None:
    found = standard_errors([1, 1], [2, 1])
    assert found.fixed_benchmark == pytest.approx(((0.5 / 2 + 0.5 / 1) / 4) ** 0.5)


def test_standard_errors_of_too_few_problems_are_none() -> None:
    assert standard_errors([1], [4]) == (None, None)
    assert standard_errors([], []) == (None, None)


def test_a_subset_cannot_be_larger_than_its_benchmark() -> None:
    with pytest.raises(ValueError, match="benchmark_size 1 is smaller"):
        standard_errors([1, 1], [2, 2], benchmark_size=1)


@pytest.mark.parametrize(
    ("p", "n", "k", "fixed", "new"),
    [
        (0.928, 500, 1, 0.82, 1.16),
        (0.928, 500, 64, 0.10, 0.82),
        (0.839, 500, 4, 0.58, 1.30),
        (0.92, 164, 16, 0.37, 1.54),
    ],
)
def test_expected_errors_are_those_of_the_plan(
    p: float, n: int, k: int, fixed: float, new: float
) -> None:
    found = expected_standard_errors(p, n, k, rho=0.5)
    assert found.fixed_benchmark == pytest.approx(fixed / 100, abs=0.00006)
    assert found.new_problems == pytest.approx(new / 100, abs=0.00006)


def test_one_sample_of_the_whole_benchmark_gives_no_interval_for_it() -> None:
    found = fixed_benchmark_interval([1, 0, 1, 1], [1, 1, 1, 1])
    assert (found.value, found.low, found.high) == (0.75, None, None)
    assert "one sample" in (found.missing_end or "")


def test_one_sample_of_a_subset_is_at_most_as_uncertain_as_for_new_problems() -> None:
    found = fixed_benchmark_interval([1, 0, 1, 1], [1] * 4, 16)
    assert found[:3] == fraction_interval([1, 0, 1, 1])[:3]
    assert "at least 0.87 of it" in found.method  # sqrt(1 - 4/16)


def test_the_interval_for_this_benchmark_is_the_normal_one_for_many_samples() -> None:
    rng = np.random.default_rng(3)
    trials = np.full(2000, 8)
    solved = rng.binomial(8, rng.beta(2, 1, 2000))
    found = fixed_benchmark_interval(solved, trials)
    error = standard_errors(solved, trials).fixed_benchmark
    assert error is not None
    expected = stats.norm.interval(0.95, loc=(solved / 8).mean(), scale=error)
    assert (found.low, found.high) == pytest.approx(expected, abs=5e-5)
    new = fraction_interval(solved / 8)
    assert known(new.low) < known(found.low) < known(found.high) < known(new.high)


@pytest.mark.parametrize(("solved", "trials"), [(0, 80), (4, 80)])
def test_equal_problems_are_the_independent_trials_that_they_could_be(
    solved: int, trials: int
) -> None:
    found = fixed_benchmark_interval([solved] * 20, [4] * 20)
    expected = stats.binomtest(20 * solved, trials).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)


def test_this_benchmark_without_a_sample_says_why() -> None:
    found = fixed_benchmark_interval([], [])
    assert (found.value, found.n) == (None, 0)
    assert found.undefined is not None


# --- bootstrap and percentiles -----------------------------------------------------------------


def test_bootstrap_agrees_with_one_by_counts_of_how_often_each_problem_is_drawn() -> None:
    rng = np.random.default_rng(7)
    cost, solved = rng.gamma(2.0, 1.0, 40), rng.binomial(4, 0.6, 40)
    found = ratio_interval(cost, solved)
    counts = rng.multinomial(40, [1 / 40] * 40, 20_000)
    low, high = np.quantile((counts @ cost) / (counts @ solved), [0.025, 0.975])
    assert found.value == pytest.approx(cost.sum() / solved.sum())
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)


def test_ratio_intervals_cover_what_they_promise() -> None:
    """Cost per solved problem at 100 problems of which half are solved; 500 runs."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(500):
        difficulty = rng.random(100)
        found = ratio_interval(
            rng.gamma(4.0, 0.5 + difficulty), rng.binomial(4, 1 - difficulty), draws=1000
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 2.0 <= found.high  # 4 * (0.5 + 0.5) over 4 * 0.5
    assert 0.92 <= held / 500 <= 0.97


def test_ratio_has_no_upper_bound_when_too_little_is_solved() -> None:
    found = ratio_interval([1] * 30, [0] * 27 + [1] * 3)
    assert found.value == 10.0
    # None of the three solved problems is drawn in 4 % of the draws.
    assert 0 < known(found.low) < 10.0
    assert found.high is None
    assert found.missing_end is not None


def test_ratio_is_undefined_over_nothing() -> None:
    assert ratio_interval([1, 2], [0, 0])[:3] == (None, None, None)
    assert ratio_interval([], [])[:4] == (None, None, None, 0)


@pytest.mark.parametrize("count", [1, 29])
def test_few_problems_give_a_value_and_no_interval(count: int) -> None:
    found = ratio_interval([6, *[3] * (count - 1)], [3] * count)
    assert found.value is not None
    assert found[1:4] == (None, None, count)


@pytest.mark.parametrize("value", [50, 0.1])
def test_problems_of_one_ratio_give_no_interval_rather_than_one_without_width(value: float) -> None:
    found = ratio_interval([value] * 40, np.ones(40))
    assert [*found[:4]] == [pytest.approx(value), None, None, 40]


def test_a_sum_of_nothing_claims_no_interval() -> None:
    assert ratio_interval([0] * 40, [1] * 40)[:4] == (0.0, None, None, 40)


def test_bootstrap_names_its_seed_and_repeats() -> None:
    values = np.arange(1.0, 41.0)
    first = ratio_interval(values, np.ones_like(values), seed=11)
    assert first == ratio_interval(values, np.ones_like(values), seed=11)
    assert "10000 draws, seed 11" in first.method
    assert first.low is not None
    assert "seed 12" in ratio_interval(values, np.ones_like(values), seed=12).method


def test_chunks_bound_memory_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random(40)
    whole = ratio_interval(values, np.ones_like(values))
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 40 * 7)
    assert ratio_interval(values, np.ones_like(values)) == whole


def test_percentiles_agree_with_the_standard_library() -> None:
    values = np.random.default_rng(6).exponential(size=31).tolist()
    cuts = stdlib.quantiles(values, n=100, method="inclusive")
    assert percentiles(values, (50, 90, 99)) == pytest.approx([cuts[49], cuts[89], cuts[98]])
    assert percentiles([], (50, 99)) == [None, None]


# --- order does not matter ---------------------------------------------------------------------

_counts = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(rows=_counts, data=st.data())
def test_order_of_problems_changes_nothing(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    rows = [(min(c, k), k) for c, k in rows]
    shuffled = data.draw(st.permutations(rows))
    (c, k), (c2, k2) = zip(*rows, strict=True), zip(*shuffled, strict=True)
    assert fraction_interval(np.array(c) / k) == fraction_interval(np.array(c2) / k2)
    assert ratio_interval(k, c, draws=200) == ratio_interval(k2, c2, draws=200)
    fixed, fixed2 = (fixed_benchmark_interval(a, b, 20) for a, b in ((c, k), (c2, k2)))
    assert fixed[:3] == pytest.approx(fixed2[:3], nan_ok=False)
    assert standard_errors(c, k) == pytest.approx(standard_errors(c2, k2))
    assert within_problem_correlation(c, k) == pytest.approx(within_problem_correlation(c2, k2))


def test_the_bootstrap_of_a_ratio_is_scipys() -> None:
    rng = np.random.default_rng(5)
    for n in (7, 40, 301):
        top, bottom = np.sort(rng.random(n)), rng.random(n) * 100
        scale = float(top.sum() / bottom.sum())

        def angle(
            a: statistics.Floats, b: statistics.Floats, axis: int, scale: float = scale
        ) -> statistics.Floats:
            return np.asarray(np.arctan2(a.sum(axis=axis), scale * b.sum(axis=axis)))

        theirs = stats.bootstrap(
            (top, bottom), angle, paired=True, vectorized=True, n_resamples=2000,
            batch=statistics.CHUNK_ELEMENTS // n, method="percentile", rng=np.random.default_rng(0)
        ).confidence_interval  # fmt: skip
        drawn = statistics._drawn_angles(top, bottom, scale, draws=2000, seed=0)
        ours = [statistics._quantile(drawn, p) for p in (0.025, 0.975)]
        assert ours == pytest.approx(list(theirs), rel=1e-15)
