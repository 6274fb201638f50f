"""Forecasts against worked numbers, statsmodels and simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import normal_power_het

from harness.stats.paired import compare_paired, pair_up
from harness.stats.power import (
    Plan,
    detectable_against_published,
    detectable_against_run,
    equivalence_power,
    forecast,
    mcnemar_power,
    published_difference_error,
    samples_that_decide,
    tost_reach,
    z_power,
)
from tests.facts import known

R1_7B = Plan(p=0.928, rho=0.5, problems=500, benchmark_size=500, samples=4)
SIMULATIONS = 4000


@pytest.mark.parametrize(
    ("p", "problems", "samples", "fixed", "new"),
    [
        (0.928, 500, 1, 0.82, 1.16),
        (0.928, 500, 4, 0.41, 0.91),
        (0.928, 500, 64, 0.10, 0.82),
        (0.839, 500, 4, 0.58, 1.30),
        (0.92, 164, 1, 1.50, 2.12),
        (0.92, 164, 16, 0.37, 1.54),
    ],
)
def test_half_widths_are_those_of_the_planned_standard_errors(
    p: float, problems: int, samples: int, fixed: float, new: float
) -> None:
    """Standard errors in points; Wilson's interval is a little narrower than 1.96 of them."""
    found = forecast(Plan(p, 0.5, problems, problems, samples))
    assert 100 * found.fixed_benchmark / 1.96 == pytest.approx(fixed, abs=0.025)
    assert 100 * found.new_problems / 1.96 == pytest.approx(new, abs=0.045)


def test_a_published_score_is_met_within_two_points() -> None:
    """MATH-500 at 92.8 %, 4 samples on both sides: 0.58 points, so TOST(3) allows 2.05."""
    error = published_difference_error(R1_7B)
    assert 100 * error == pytest.approx(0.58, abs=0.005)
    assert 100 * tost_reach(error, 0.03) == pytest.approx(2.05, abs=0.005)


@pytest.mark.parametrize("margin", [0.01, 0.015, 0.03])
def test_power_of_equivalence_by_simulation(margin: float) -> None:
    error = published_difference_error(R1_7B)
    differences = stats.norm.rvs(scale=error, size=200_000, random_state=5)
    shown = abs(differences) <= tost_reach(error, margin)
    assert equivalence_power(R1_7B, margin) == pytest.approx(shown.mean(), abs=0.005)


def test_a_subset_cannot_decide_what_the_whole_can() -> None:
    subset = Plan(p=0.9, rho=0.5, problems=100, benchmark_size=500, samples=4)
    assert equivalence_power(subset, 0.03) < 0.3
    samples = samples_that_decide(subset, 0.03)
    assert samples == 2
    whole = subset._replace(problems=500, samples=samples)
    assert equivalence_power(whole, 0.03) >= 0.8
    assert equivalence_power(whole._replace(samples=1), 0.03) < 0.8
    assert samples_that_decide(subset, 0.001) is None


def _two_runs(plan: Plan, difference: float, draws: int) -> list[np.ndarray]:
    """Solved samples of two runs, one problem in ten as hard for the second as any other."""
    rng = np.random.default_rng([plan.problems, plan.samples, round(100 * plan.p)])
    ranks = rng.random((draws, plan.problems))
    others = np.where(rng.random(ranks.shape) < 0.1, rng.random(ranks.shape), ranks)
    fine = 10.0 ** -np.arange(3, 12, 0.05)
    grid = np.sort(np.concatenate([np.linspace(0, 1, 2001), fine, 1 - fine]))
    scores = ((ranks, plan.p), (others, plan.p - difference))
    return [
        rng.binomial(plan.samples, np.interp(each, grid, stats.beta.ppf(grid, mean, 1 - mean)))
        for each, mean in scores  # a + b = 1 gives rho = 1/2
    ]


@pytest.mark.parametrize("p", [0.5, 0.9])
@pytest.mark.parametrize(
    ("problems", "samples"), [(500, 4), (164, 8), (30, 64), (20, 8), (500, 1), (164, 1)]
)
def test_the_test_of_compare_finds_the_printed_difference_four_times_in_five(
    p: float, problems: int, samples: int
) -> None:
    plan = Plan(p, 0.5, problems, problems, samples)
    difference = detectable_against_run(plan)
    assert difference is not None
    sizes = np.full(problems, samples)
    before, after = _two_runs(plan, difference, 400)
    found = [
        known(compare_paired(pair_up(a, sizes, b, sizes), draws=499).p) < 0.05
        for a, b in zip(before, after, strict=True)
    ]
    assert 0.72 <= np.mean(found) <= 0.90  # 0.75 to 0.87, and one and a half standard errors


@pytest.mark.parametrize("samples", [1, 2, 64])
@pytest.mark.parametrize("problems", [2, 5])
def test_fewer_than_six_problems_never_decide(problems: int, samples: int) -> None:
    assert detectable_against_run(Plan(0.5, 0.5, problems, problems, samples)) is None
    sizes = np.full(problems, samples)
    most = compare_paired(pair_up(sizes, sizes, 0 * sizes, sizes))
    assert most.p is not None
    assert most.p > 0.05


@pytest.mark.parametrize(("problems", "samples"), [(500, 1), (100, 1), (100, 4)])
def test_a_difference_to_a_published_score_is_found_four_times_in_five(
    problems: int, samples: int
) -> None:
    plan = Plan(0.9, 0.5, problems, 500, samples)
    difference = detectable_against_published(plan)
    assert difference is not None
    rng = np.random.default_rng([problems, samples])
    mean = 0.9 - difference
    chances = rng.beta(mean, 1 - mean, (SIMULATIONS, 500))
    own = (rng.binomial(samples, chances[:, :problems]) / samples).mean(axis=1)
    # The published score lies above this benchmark's true one, by its own noise apart.
    published = chances.mean(axis=1) + difference
    published += rng.normal(0, np.sqrt(0.9 * 0.1 * 0.5 / (500 * 4)), SIMULATIONS)
    # With one sample a run has only the error for new problems to show.
    left_out = 1.0 if samples == 1 else 1 - problems / 500
    variance = mean * (1 - mean) / problems * (0.5 / samples + 0.5 * left_out)
    error = np.sqrt(variance + 0.9 * 0.1 * 0.5 / (500 * 4))
    assert (abs(own - published) / error > 1.96).mean() == pytest.approx(0.8, abs=0.02)


def test_without_a_difference_a_test_finds_its_error_rate() -> None:
    assert z_power(0.0, 0.01) == pytest.approx(0.05)
    assert z_power(0.0, 0.0) == 0.05
    assert z_power(0.0, 0.01, 0.02) == pytest.approx(2 * stats.norm.sf(2 * 1.96), rel=0.001)
    assert mcnemar_power(Plan(0.5, 0.5, 2000, 2000, 1), 0.0) == pytest.approx(0.05, abs=0.01)
    assert mcnemar_power(Plan(0.5, 0.5, 5, 5, 1), 0.0) < 0.001  # five problems never suffice


def test_too_few_problems_find_no_difference_at_all() -> None:
    assert forecast(Plan(0.5, 0.5, 3, 12, 1)).against_run is None


def test_a_low_score_is_a_high_one_mirrored() -> None:
    low, high = (Plan(p, 0.5, 164, 164, 1) for p in (0.1, 0.9))
    assert forecast(low) == pytest.approx(forecast(high))


def test_a_greedy_run_of_the_whole_benchmark_has_no_noise_of_its_own() -> None:
    plan = Plan(0.9, 0.5, 164, 164, 1, is_greedy=True)
    found = forecast(plan)
    sampled = forecast(plan._replace(is_greedy=False))
    assert found.fixed_benchmark == 0.0
    assert found.new_problems == pytest.approx(sampled.new_problems)
    assert found.against_run == sampled.against_run  # another model answers otherwise
    part = forecast(plan._replace(problems=41))
    assert 0 < part.fixed_benchmark < part.new_problems


@pytest.mark.parametrize("difference", [-0.05, 0.01, 0.3])
@pytest.mark.parametrize("critical", [None, 0.01, 0.05])
def test_the_power_of_a_z_test_is_statsmodels(difference: float, critical: float | None) -> None:
    null = 0.02 if critical is None else critical
    expected = normal_power_het(difference, 1, 0.05, std_null=null, std_alternative=0.02)
    assert z_power(difference, 0.02, critical) == pytest.approx(expected, rel=1e-9)
