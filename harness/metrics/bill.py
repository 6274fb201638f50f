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
from harness.metrics.figures import (
    by_problem,
    figure,
    from_interval,
    in_words,
    run_and_tasks,
    unknown,
)
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
        usage: Tokens, machine time and energy of the samples.
        pricing: The price list; each basis in it gives separate figures, which are never added up.
        seed: The seed of the bootstraps.
    """
    estimates = [_solved_per_hour(samples, usage, seed)]
    if not pricing.bases():
        why = f"the price list {pricing.name!r} holds no price"
        return [*estimates, unknown("cost_per_solved", "USD", why)]
    for basis in pricing.bases():
        cost = total_cost(pricing, basis, usage)
        estimates += _totals(basis, cost, usage, len(samples))
        estimates += _per_solved(samples, pricing, basis, cost, seed)
    if pricing.rented is not None:
        load = load_cost(pricing, usage)
        estimates.append(_figure("load_cost.rented", load.usd, "USD", 1, load))
    if pricing.rented is not None and pricing.api is not None:
        estimates.append(_break_even(pricing, usage))
    return estimates


def _totals(basis: Basis, cost: Cost, usage: Usage, n: int) -> list[Estimate]:
    per_million, each = None, cost
    if cost.usd is not None and usage.completion_tokens:
        per_million = usd_per_million(cost.usd, usage.completion_tokens)
        how = f"total cost / {usage.completion_tokens} output tokens"
        each = cost._replace(method=in_words(how, cost.method))
    elif cost.usd is not None:
        why = NO_COUNTS if usage.completion_tokens is None else "no output tokens"
        each = cost._replace(undefined=why)
    name = f"usd_per_million_output_tokens.{basis}"
    return [
        _figure(f"cost.{basis}", cost.usd, "USD", n, cost),
        _figure(name, per_million, "USD/Mtoken", n, each),
    ]


def _figure(metric: str, value: float | None, unit: str, n: int, cost: Cost) -> Estimate:
    """A figure that follows from a cost, with the cost's method, reason and bound."""
    return Estimate(
        metric=metric,
        value=value,
        unit=unit,
        n=n,
        method=cost.method,
        undefined=cost.undefined,
        bound=None if value is None else cost.bound,
    )


def _per_solved(
    samples: Sequence[Sample], pricing: Pricing, basis: Basis, cost: Cost, seed: int
) -> list[Estimate]:
    """Cost per solved task, of the run and of each task."""
    name = f"cost_per_solved.{basis}"
    if cost.usd is None:
        why = cost.undefined or "the cost is unknown"
        return [
            unknown(name, "USD", why, task, method=cost.method)
            for task, _ in run_and_tasks(samples)
        ]
    price = pricing.api if basis == "api" else None
    shares, unit = list(apportion(cost.usd, weights(samples, price))), unit_of_shares(samples)
    estimates = []
    for task, places in run_and_tasks(samples):
        found = usd_per_solved(*by_problem(samples, shares, places), seed=seed)
        method = in_words(found.method, f"all attempts, shared out by {unit}", cost.method)
        estimate = from_interval(name, found._replace(method=method), "USD", task=task)
        bound = None if estimate.value is None else cost.bound
        estimates.append(estimate.model_copy(update={"bound": bound}))
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
        return unknown(name, unit, "the machine time is unknown")
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
        return unknown(name, "tokens/s", "one of the prices does not apply")
    rate = break_even_tokens_per_s(rent, api.output_usd_per_million_tokens)
    method = (
        f"{rent:g} USD/h ({pricing.rented.citation()}) against "
        f"{api.output_usd_per_million_tokens:g} USD per million output tokens ({api.citation()})"
    )
    return figure(name, rate, "tokens/s", 1, method)
