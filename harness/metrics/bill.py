"""The bill of a run: what it cost on each basis that has a price, and per solved task."""

from collections.abc import Sequence

from harness.config.pricing import Basis, Pricing
from harness.metrics.cost import (
    SECONDS_PER_HOUR,
    Cost,
    Usage,
    apportion,
    break_even_tokens_per_s,
    hourly_rent,
    load_cost,
    total_cost,
    usd_per_million,
)
from harness.metrics.cost import cost_per_solved as usd_per_solved
from harness.metrics.figures import by_problem, figure, from_interval, run_and_tasks
from harness.metrics.samples import NO_COUNTS
from harness.metrics.shares import unit_of_shares, weights
from harness.records import Estimate, Sample
from harness.stats.intervals import SEED, ratio_interval


def estimate_costs(
    samples: Sequence[Sample], usage: Usage, pricing: Pricing, seed: int
) -> list[Estimate]:
    """Costs of the whole run, and cost per solved task of each task and of all together.

    Args:
        samples: All attempts.
        usage: What they used.
        pricing: The price list; each basis in it gives figures of its own, never added together.
        seed: Of the bootstraps.
    """
    estimates = [_solved_per_hour(samples, usage, seed)]
    if not pricing.bases():
        reason = f"undefined: the price list {pricing.name!r} holds no price"
        return [*estimates, figure("cost_per_solved", None, "USD", 0, reason)]
    for basis in pricing.bases():
        cost = total_cost(pricing, basis, usage)
        estimates += _totals(basis, cost, usage, len(samples))
        estimates += _per_solved(samples, pricing, basis, cost, seed)
    if pricing.rented is not None:
        load = load_cost(pricing, usage)
        estimates.append(
            _bounded(figure("load_cost.rented", load.usd, "USD", 1, load.method), load)
        )
    if pricing.rented is not None and pricing.api is not None:
        estimates.append(_break_even(pricing, usage))
    return estimates


def _totals(basis: Basis, cost: Cost, usage: Usage, n: int) -> list[Estimate]:
    per_million, method = None, cost.method
    if cost.usd is not None and usage.completion_tokens:
        per_million = usd_per_million(cost.usd, usage.completion_tokens)
        method = f"total cost / {usage.completion_tokens} output tokens; {cost.method}"
    elif cost.usd is not None:
        is_unknown = usage.completion_tokens is None
        method = f"{NO_COUNTS if is_unknown else 'undefined: no output tokens'}; {cost.method}"
    name = f"usd_per_million_output_tokens.{basis}"
    return [
        _bounded(figure(f"cost.{basis}", cost.usd, "USD", n, cost.method), cost),
        _bounded(figure(name, per_million, "USD/Mtoken", n, method), cost),
    ]


def _bounded(estimate: Estimate, cost: Cost) -> Estimate:
    """Says of a figure that follows from a cost what is said of the cost."""
    bound = None if estimate.value is None else cost.bound
    return estimate.model_copy(update={"bound": bound})


def _per_solved(
    samples: Sequence[Sample], pricing: Pricing, basis: Basis, cost: Cost, seed: int
) -> list[Estimate]:
    """Cost per solved task, of the run and of each task."""
    name = f"cost_per_solved.{basis}"
    if cost.usd is None:
        return [
            figure(name, None, "USD", 0, cost.method, task) for task, _ in run_and_tasks(samples)
        ]
    price = pricing.api if basis == "api" else None
    shares, unit = list(apportion(cost.usd, weights(samples, price))), unit_of_shares(samples)
    estimates = []
    for task, places in run_and_tasks(samples):
        found = usd_per_solved(*by_problem(samples, shares, places), seed=seed)
        method = f"{found.method}; all attempts, shared out by {unit}; {cost.method}"
        estimate = from_interval(name, found._replace(method=method), "USD", task=task)
        estimates.append(_bounded(estimate, cost))
    return estimates


def cost_per_solved(
    samples: Sequence[Sample], costs_usd: Sequence[float], seed: int = SEED
) -> list[Estimate]:
    """Cost of all attempts divided by the number of solved samples.

    Args:
        samples: All attempts; the interval resamples their problems.
        costs_usd: What each attempt cost, the failed ones too.
        seed: Of the bootstrap.

    Returns:
        ``cost_per_solved``; its value is None when nothing was solved, its high is None when the
        bootstrap finds no upper bound.
    """
    spent, solved = by_problem(samples, costs_usd, range(len(samples)))
    return [from_interval("cost_per_solved", usd_per_solved(spent, solved, seed=seed), "USD")]


def _solved_per_hour(samples: Sequence[Sample], usage: Usage, seed: int) -> Estimate:
    name, unit = "solved_per_hour", "solved/h"
    if not usage.generation_s:
        return figure(name, None, unit, 0, "undefined: the machine time is unknown")
    hours = apportion(usage.generation_s / SECONDS_PER_HOUR, weights(samples, None))
    spent, solved = by_problem(samples, list(hours), range(len(samples)))
    rate = ratio_interval(solved, spent, seed=seed)
    estimate = from_interval(name, rate, unit, "solved samples / hours of machine time")
    is_most = usage.is_generation_lower_bound and estimate.value is not None
    return estimate.model_copy(update={"bound": "upper" if is_most else None})


def _break_even(pricing: Pricing, usage: Usage) -> Estimate:
    name = "break_even_output_tokens_per_s"
    rent, api = hourly_rent(pricing.rented, usage), pricing.api
    assert pricing.rented is not None
    assert api is not None
    if rent is None or api.output_usd_per_million_tokens == 0:
        return figure(name, None, "tokens/s", 0, "undefined: one of the prices does not apply")
    rate = break_even_tokens_per_s(rent, api.output_usd_per_million_tokens)
    method = (
        f"{rent:g} USD/h ({pricing.rented.citation()}) against "
        f"{api.output_usd_per_million_tokens:g} USD per million output tokens ({api.citation()})"
    )
    return figure(name, rate, "tokens/s", 1, method)
