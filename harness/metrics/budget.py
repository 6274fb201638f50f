"""What smaller token budgets would have given, from one run and without generating again.

A completion that ended is the same under any budget that it fits in. One that would not have fitted
is not solved and has used up the budget.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from harness.config.pricing import ApiPrice, Basis, Pricing
from harness.metrics.cost import request_weight
from harness.metrics.figures import from_interval, run_and_tasks
from harness.records import ERROR_STATUSES, Estimate, Sample
from harness.stats.intervals import fraction_interval
from harness.store.manifest import BudgetCost, BudgetPoint

SMALLEST = 128
"""Tokens of the first budget; the others double up to the run's own limit."""
_MILLION = 1_000_000


def budgets(max_new_tokens: int) -> list[int]:
    """Powers of two below the run's limit, and the limit."""
    powers = (1 << e for e in range(SMALLEST.bit_length() - 1, max_new_tokens.bit_length()))
    return [*(power for power in powers if power < max_new_tokens), max_new_tokens]


def budget_curve(
    samples: Sequence[Sample],
    pricing: Pricing,
    totals_usd: Mapping[Basis, float | None],
    max_new_tokens: int,
) -> list[BudgetPoint]:
    """The points of each task and of the whole run, by budget; none where tokens are unknown.

    Args:
        samples: All attempts of all tasks, in any order.
        pricing: The price list.
        totals_usd: What the run cost on each basis.
        max_new_tokens: The budget that the run had.
    """
    if any(sample.completion.completion_tokens is None for sample in samples):
        return []
    ordered = sorted(samples, key=lambda s: (s.task, s.problem_id, s.index))
    bill = _Bill(ordered, pricing, totals_usd)
    points = []
    for task, places in run_and_tasks(ordered):
        mine = [ordered[place] for place in places]
        line = [_point(mine, task, budget, bill) for budget in budgets(max_new_tokens)]
        points += [line[0], *(_with_marginal(before, point) for before, point in pairwise(line))]
    return points


class _Bill:
    """What some samples would have cost under a budget."""

    def __init__(
        self,
        samples: Sequence[Sample],
        pricing: Pricing,
        totals_usd: Mapping[Basis, float | None],
    ) -> None:
        self._tokens = sum(_tokens(sample) for sample in samples)
        self._api = pricing.api
        self._totals = totals_usd

    def costs(self, samples: Sequence[Sample], budget: int, solved: int) -> list[BudgetCost]:
        return [
            self._cost(basis, total, samples, budget, solved)
            for basis, total in self._totals.items()
            if total is not None and (basis == "api" or self._tokens)
        ]

    def _cost(
        self, basis: Basis, total: float, samples: Sequence[Sample], budget: int, solved: int
    ) -> BudgetCost:
        if basis == "api" and self._api is not None:
            usd = _api_usd(self._api, samples, budget)
            method = "by the price list: all prompts, and the tokens within the budget"
        else:
            usd = total * _tokens_within(samples, budget) / self._tokens
            method = "the run's cost in proportion to the tokens within the budget"
        return BudgetCost(
            basis=basis,
            usd=usd,
            usd_per_solved=usd / solved if solved else None,
            usd_per_further_solved=None,
            method=method,
        )


def _tokens_within(samples: Sequence[Sample], budget: int) -> int:
    return sum(min(_tokens(sample), budget) for sample in samples)


def _tokens(sample: Sample) -> int:
    return sample.completion.completion_tokens or 0  # known, or there is no curve


def _api_usd(price: ApiPrice, samples: Sequence[Sample], budget: int) -> float:
    weights = (
        request_weight(price, s.completion.prompt_tokens or 0, min(_tokens(s), budget))
        for s in samples
    )
    return sum(weights) / _MILLION


def _point(samples: Sequence[Sample], task: str | None, budget: int, bill: _Bill) -> BudgetPoint:
    graded = [sample for sample in samples if sample.verdict.status not in ERROR_STATUSES]
    within = [sample for sample in graded if _tokens(sample) <= budget]
    solved = sum(sample.verdict.status == "correct" for sample in within)
    return BudgetPoint(
        task=task,
        budget_tokens=budget,
        samples=len(graded),
        ended=sum(sample.completion.finish_reason == "stop" for sample in within),
        solved=solved,
        completion_tokens=_tokens_within(samples, budget),
        accuracy=None if task is None else _accuracy(graded, task, budget),
        costs=tuple(bill.costs(samples, budget, solved)),
    )


def _accuracy(graded: Sequence[Sample], task: str, budget: int) -> Estimate:
    scores: dict[str, list[bool]] = defaultdict(list)
    for sample in graded:
        is_within = _tokens(sample) <= budget
        scores[sample.problem_id].append(is_within and sample.verdict.status == "correct")
    interval = fraction_interval([sum(flags) / len(flags) for flags in scores.values()])
    what = f"solved within {budget} tokens, thinking and answer"
    return from_interval("accuracy", interval, "fraction", what, task)


def _with_marginal(before: BudgetPoint, point: BudgetPoint) -> BudgetPoint:
    """The point, with what a further solved sample costs since the budget before."""
    further = point.solved - before.solved
    if further == 0:
        return point
    costs = tuple(
        cost.model_copy(update={"usd_per_further_solved": (cost.usd - was.usd) / further})
        for was, cost in zip(before.costs, point.costs, strict=True)
    )
    return point.model_copy(update={"costs": costs})
