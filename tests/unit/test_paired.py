"""Differences between two runs, against statsmodels and SciPy, by simulation, and by symmetry."""

from collections.abc import Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from harness.stats.intervals import Floats, Interval, Ints, score_ends
from harness.stats.paired import (
    Pairs,
    compare_paired,
    difference,
    difference_on_benchmark,
    holm,
    is_equivalent,
    pair_up,
    ratio_of_ratios,
)
from tests.facts import known, mentions

Row = tuple[tuple[int, int], tuple[int, int]]


def singles(both: int, worse: int, better: int, neither: int) -> Pairs:
    """Pairs of one sample: solved by both, by the first alone, by the second alone, by none."""
    before = [1] * (both + worse) + [0] * (better + neither)
    after = [1] * both + [0] * worse + [1] * better + [0] * neither
    return pair_up(before, np.ones(len(before)), after, np.ones(len(after)))


# --- against independent references -----------------------------------------------------------


@pytest.mark.parametrize(("worse", "better"), [(12, 3), (3, 12), (1, 0), (7, 7), (40, 22), (0, 0)])
def test_single_samples_are_tested_as_statsmodels_mcnemar_tests_them(
    worse: int, better: int
) -> None:
    found = compare_paired(singles(60, worse, better, 30))
    expected = mcnemar([[60, worse], [better, 30]], exact=True).pvalue
    assert found.p == pytest.approx(expected)
    assert found.p_worse == pytest.approx(stats.binom.sf(worse - 1, worse + better, 0.5))
    assert (found.better, found.worse) == (better, worse)
    assert "McNemar" in found.method


def test_few_differing_problems_are_tested_over_all_flips_as_scipy_does() -> None:
    pairs = pair_up([4, 3, 4, 2, 1, 0, 4], [4] * 7, [2, 3, 1, 3, 0, 0, 3], [4] * 7)
    reference = stats.permutation_test(
        (pairs.differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    found = compare_paired(pairs)
    assert found.p == pytest.approx(reference.pvalue)
    lesser = stats.permutation_test(
        (pairs.differences,),
        np.mean,
        permutation_type="samples",
        alternative="less",
        n_resamples=np.inf,
    )
    assert found.p_worse == pytest.approx(lesser.pvalue)


def test_drawn_flips_give_nearly_what_the_exact_test_gives() -> None:
    # With one sample the sign-flip test is McNemar's, which is known exactly; a problem with two
    # equal samples makes the same differences go the other way.
    before, after = [1] * 25 + [0] * 60, [0] * 14 + [1] * 11 + [1] * 20 + [0] * 40
    pairs = pair_up(2 * np.array(before), [2] * 85, 2 * np.array(after), [2] * 85)
    assert compare_paired(pairs).p == pytest.approx(stats.binomtest(14, 34).pvalue, abs=0.02)


@pytest.mark.parametrize(
    "p_values",
    [[0.01, 0.04, 0.03], [0.2, 0.2, 0.01, 0.01], [0.9, 0.6], [1e-9, 1.0, 0.0, 0.5], [0.04]],
)
def test_holm_is_statsmodels_and_leaves_the_unknown_alone(p_values: list[float]) -> None:
    first, *others = multipletests(p_values, method="holm")[1]
    found = holm([p_values[0], None, *p_values[1:]])
    assert found == [pytest.approx(first), None, *map(pytest.approx, others)]
    assert holm([None]) == [None]


def test_without_any_difference_the_interval_is_tangos_closed_form() -> None:
    z = stats.norm.ppf(0.975)
    found = difference(singles(60, 0, 0, 40))
    assert [found.value, found.high] == [0.0, pytest.approx(z**2 / (100 + z**2))]
    assert found.low == pytest.approx(-known(found.high))


def test_with_many_differences_the_interval_is_the_usual_one() -> None:
    pairs = singles(3000, 1000, 1200, 3000)
    usual = stats.norm.interval(0.95, 200 / 8200, pairs.differences.std() / np.sqrt(8200))
    found = difference(pairs)
    assert [found.low, found.high] == pytest.approx(usual, abs=2e-5)


def test_interval_ends_are_where_the_test_at_the_margin_turns() -> None:
    pairs = singles(100, 20, 4, 40)
    low = difference(pairs, 0.95).low
    assert compare_paired(pairs, -known(low)).p_worse == pytest.approx(0.975)
    high = difference(pairs, 0.95).high
    assert compare_paired(pairs, -known(high)).p_worse == pytest.approx(0.025)


def test_everything_lost_and_everything_won_stay_within_bounds() -> None:
    for pairs, value in ((singles(0, 30, 0, 0), -1.0), (singles(0, 0, 30, 0), 1.0)):
        found = difference(pairs)
        assert found.value == value
        assert -1 <= known(found.low) < known(found.high) <= 1


# --- decoding noise ---------------------------------------------------------------------------


def test_one_sample_says_nothing_of_decoding_noise_and_says_so() -> None:
    found = difference_on_benchmark(singles(50, 5, 5, 40))
    assert (found.low, found.high) == (None, None)
    assert mentions(found.missing_end or "", "one sample")


def test_samples_that_all_agree_leave_a_width() -> None:
    pairs = pair_up([4] * 20, [4] * 20, [4] * 20, [4] * 20)
    found = difference_on_benchmark(pairs)
    assert known(found.low) < 0 < known(found.high)


def test_a_subset_is_less_certain_than_the_whole_of_what_the_benchmark_says() -> None:
    rng = np.random.default_rng(5)
    solved = rng.binomial(8, 0.5, (2, 60))
    pairs = pair_up(solved[0], [8] * 60, solved[1], [8] * 60)
    whole = difference_on_benchmark(pairs)
    subset = difference_on_benchmark(pairs, benchmark_size=500)
    assert known(subset.high) - known(subset.low) > known(whole.high) - known(whole.low)


# --- simulations ------------------------------------------------------------------------------

DRAWS = 2000
PROBLEMS = 164


def simulated(
    p_before: float, p_after: float, samples: int, *, fixed: bool = False
) -> tuple[float, list[Pairs]]:
    """Runs of one benchmark whose samples correlate by 0.5; the true difference comes with each.

    Args:
        p_before: Mean probability that a sample is right.
        p_after: Of the other side; a problem is as difficult for it, by rank.
        samples: Of each problem on each side.
        fixed: One benchmark for all draws; otherwise new problems for each.
    """
    rng = np.random.default_rng(int(1000 * p_before) + samples)
    ranks = rng.random((1 if fixed else DRAWS, PROBLEMS))
    chances = [stats.beta.ppf(ranks, p, 1 - p) for p in (p_before, p_after)]
    truth = float((chances[1] - chances[0]).mean()) if fixed else p_after - p_before
    shape = (DRAWS, PROBLEMS)
    before, after = (rng.binomial(samples, np.broadcast_to(c, shape)) for c in chances)
    sizes = np.full(PROBLEMS, samples)
    return truth, [pair_up(a, sizes, b, sizes) for a, b in zip(before, after, strict=True)]


def coverage(truth: float, intervals: Iterable[Interval]) -> float:
    return float(np.mean([known(each.low) <= truth <= known(each.high) for each in intervals]))


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize(
    ("before", "after"), [(0.05, 0.05), (0.5, 0.5), (0.93, 0.93), (0.93, 0.97)]
)
def test_intervals_on_new_problems_cover_what_they_promise(
    before: float, after: float, samples: int
) -> None:
    truth, drawn = simulated(before, after, samples)
    found = coverage(truth, [difference(pairs) for pairs in drawn])
    # Several samples leave room for problems that were not drawn, which these runs do not have.
    assert 0.93 <= found <= (0.97 if samples == 1 else 1.0)


def broken(share: float, p: float, problems: int, samples: int) -> tuple[Ints, Ints]:
    """Solved samples of equal runs, but for a share of problems that the second never solves."""
    rng = np.random.default_rng([problems, samples, round(1000 * share)])
    shape = (DRAWS, problems)
    after = np.where(rng.random(shape) < share, 0.0, p)
    return rng.binomial(samples, p, shape), rng.binomial(samples, after)


@pytest.mark.parametrize(
    ("share", "p", "problems", "samples", "margin"),
    [
        (0.05, 1.0, 30, 64, 0.02),  # 22 % by the variance that was seen
        (0.05, 0.9, 30, 64, 0.04),
        (0.0102, 0.985, 500, 4, 0.01),
        (0.0102, 0.985, 164, 8, 0.01),
        (0.05, 0.9, 164, 8, 0.045),
    ],
)
def test_broken_problems_that_were_not_drawn_do_not_make_runs_equivalent(
    share: float, p: float, problems: int, samples: int, margin: float
) -> None:
    before, after = broken(share, p, problems, samples)
    rows = (1 + (after - before) / samples) / 2
    low, high = (2 * end - 1 for end in score_ends(rows, stats.norm.ppf(0.95)))
    assert np.mean((-margin < low) & (high < margin)) <= 0.065
    low, high = (2 * end - 1 for end in score_ends(rows, stats.norm.ppf(0.975)))
    assert np.mean((low <= -share * p) & (-share * p <= high)) >= 0.93
    sizes = np.full(problems, samples)
    one = difference(pair_up(before[0], sizes, after[0], sizes))
    assert (one.low, one.high) == pytest.approx((low[0], high[0]))


def test_one_sample_that_differs_is_no_proof_of_equality() -> None:
    sizes = np.full(30, 64)
    alike = difference(pair_up(sizes, sizes, sizes, sizes), 0.90)
    one_off = difference(pair_up(sizes, sizes, [63, *sizes[1:]], sizes), 0.90)
    assert (one_off.low, one_off.high) == pytest.approx((alike.low, alike.high), abs=0.002)
    assert is_equivalent(one_off, 0.05) is False


@pytest.mark.parametrize("p", [0.5, 0.985])
@pytest.mark.parametrize(("before", "after"), [(1, 64), (64, 1), (1, 8), (2, 64)])
def test_unequal_numbers_of_samples_flag_no_more_equal_models(
    p: float, before: int, after: int
) -> None:
    rng = np.random.default_rng([before, after])
    sizes = np.full(30, before), np.full(30, after)
    one, other = (rng.binomial(size[0], p, (1000, 30)) for size in sizes)
    tests = [
        compare_paired(pair_up(a, sizes[0], b, sizes[1]), draws=199)
        for a, b in zip(one, other, strict=True)
    ]
    assert np.mean([known(each.p_worse) < 0.05 for each in tests]) <= 0.06
    assert "score test" in tests[0].method


@pytest.mark.parametrize("p", [0.05, 0.5, 0.93])
def test_intervals_on_the_same_problems_cover_what_they_promise(p: float) -> None:
    truth, drawn = simulated(p, p, 4, fixed=True)
    found = coverage(truth, [difference_on_benchmark(pairs) for pairs in drawn])
    assert 0.93 <= found <= 0.97


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("p", [0.05, 0.93])
def test_equal_models_are_flagged_in_at_most_one_of_twenty_comparisons(
    p: float, samples: int
) -> None:
    _, drawn = simulated(p, p, samples)
    tests = [compare_paired(pairs, draws=999) for pairs in drawn[:1000]]
    # 0.05 and three standard errors of 1,000 draws
    assert np.mean([known(each.p) < 0.05 for each in tests]) <= 0.071
    assert np.mean([known(each.p_worse) < 0.05 for each in tests]) <= 0.071


def test_a_loss_of_just_the_margin_is_flagged_no_more_often() -> None:
    _, drawn = simulated(0.93, 0.90, 4)
    flagged = [
        known(compare_paired(pairs, 0.03, draws=999).p_worse) < 0.05 for pairs in drawn[:1000]
    ]
    assert np.mean(flagged) <= 0.071
    clear = [known(compare_paired(pairs, draws=999).p_worse) < 0.05 for pairs in drawn[:1000]]
    assert np.mean(clear) > 0.4


@pytest.mark.parametrize(("solved", "samples"), [([1, 0, 1], 1), ([3, 1, 2], 4)])
def test_no_loss_is_larger_than_a_margin_of_all_points(solved: list[int], samples: int) -> None:
    pairs = pair_up(solved, [samples] * 3, [0] * 3, [samples] * 3)
    assert compare_paired(pairs, 1.0).p_worse == 1.0


# --- symmetry ---------------------------------------------------------------------------------

counts = st.integers(1, 5).flatmap(lambda k: st.tuples(st.integers(0, k), st.just(k)))
rows = st.lists(st.tuples(counts, counts), min_size=1, max_size=30)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_problems_changes_nothing(given_rows: list[Row], random: Random) -> None:
    shuffled = list(given_rows)
    random.shuffle(shuffled)
    assert everything(given_rows) == everything(shuffled)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows)
def test_swapping_the_sides_turns_everything_round(given_rows: list[Row]) -> None:
    one, other = paired(given_rows), paired([(b, a) for a, b in given_rows])
    there, back = difference(one), difference(other)
    assert there.low == pytest.approx(-known(back.high))
    assert there.high == pytest.approx(-known(back.low))
    assert compare_paired(one, draws=200).p == pytest.approx(compare_paired(other, draws=200).p)


def paired(given_rows: list[Row]) -> Pairs:
    return pair_up(
        [a[0] for a, _ in given_rows],
        [a[1] for a, _ in given_rows],
        [b[0] for _, b in given_rows],
        [b[1] for _, b in given_rows],
    )


def everything(given_rows: list[Row]) -> tuple[object, ...]:
    pairs = paired(given_rows)
    return (
        difference(pairs),
        difference_on_benchmark(pairs, benchmark_size=50),
        compare_paired(pairs, 0.02, draws=200),
        ratio_of_ratios(
            ([a[1] for a, _ in given_rows], [a[0] for a, _ in given_rows]),
            ([b[1] for _, b in given_rows], [b[0] for _, b in given_rows]),
            draws=200,
        ),
    )


# --- equivalence ------------------------------------------------------------------------------


def test_equivalence_needs_the_whole_90_percent_interval_inside_the_margin() -> None:
    ninety = difference(singles(250, 10, 10, 230), 0.90)
    assert is_equivalent(ninety, known(ninety.high) + 1e-9) is True
    assert is_equivalent(ninety, known(ninety.high)) is False
    assert is_equivalent(difference_on_benchmark(singles(5, 1, 1, 3)), 0.03) is None


# --- ratios of ratios -------------------------------------------------------------------------


def test_a_ratio_of_ratios_is_that_of_sums_and_its_interval_scipys_bootstrap() -> None:
    rng = np.random.default_rng(3)
    before = rng.gamma(2, 1, 80), rng.binomial(4, 0.6, 80).astype(float)
    after = 0.5 * rng.gamma(2, 1, 80), rng.binomial(4, 0.6, 80).astype(float)

    def statistic(a: Floats, b: Floats, c: Floats, d: Floats, axis: int) -> Floats:
        found: Floats = (c.sum(axis) / d.sum(axis)) / (a.sum(axis) / b.sum(axis))
        return found

    reference = stats.bootstrap(
        (*before, *after), statistic, paired=True, method="percentile", n_resamples=10_000, rng=1
    ).confidence_interval
    found = ratio_of_ratios(before, after)
    assert found.value == pytest.approx(statistic(*before, *after, axis=0))
    assert found.low == pytest.approx(reference.low, rel=0.02)
    assert found.high == pytest.approx(reference.high, rel=0.02)


def test_a_ratio_that_no_draw_changes_has_no_interval() -> None:
    rng = np.random.default_rng(5)
    usd, solved = rng.gamma(2, 1, 40), rng.binomial(4, 0.6, 40).astype(float)
    for before, after in (
        ((usd, solved), (3 * usd, solved)),
        ((solved, solved), (2 * solved, 5 * solved)),
        ((usd, solved), (0 * usd, solved)),
    ):
        found = ratio_of_ratios(before, after)
        assert found.value is not None
        assert (found.low, found.high) == (None, None)


def test_a_ratio_without_solved_problems_is_undefined_and_with_few_unbounded() -> None:
    ones = np.ones(30)
    assert ratio_of_ratios((ones, 0 * ones), (ones, ones)).value is None
    few = np.array([1.0] + [0.0] * 29)
    found = ratio_of_ratios((ones, ones), (ones, few))
    assert found.value == pytest.approx(30)
    assert found.low is not None
    assert found.high is None
    assert found.missing_end is not None


@pytest.mark.parametrize(
    "counts_", [([2], [1], [0], [1]), ([0], [0], [0], [1]), ([0], [1], [2], [1])]
)
def test_impossible_counts_are_refused(counts_: tuple[list[int], ...]) -> None:
    with pytest.raises(ValueError, match="solved"):
        pair_up(*counts_)


def test_no_problems_are_no_difference_but_an_unknown_one() -> None:
    nothing = pair_up([], [], [], [])
    assert difference(nothing).value is None
    assert compare_paired(nothing).p is None
