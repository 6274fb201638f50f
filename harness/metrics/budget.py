"""Accuracy, tokens and cost under smaller token budgets, from one run without generating again.

A completion that ended is the same under any budget that it fits in. One that would not have fitted
is not solved and has used up the budget.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from harness.config.pricing import ApiPrice, Basis, Pricing
from harness.metrics.cost import api_usd, request_weight
from harness.metrics.figures import from_interval, run_and_tasks
from harness.records import ERROR_STATUSES, Estimate, Sample
from harness.stats.intervals import fraction_interval
from harness.store.manifest import BudgetCost, BudgetPoint

SMALLEST = 128
"""Tokens of the first budget; the others double up to the run's own limit."""


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
    answers = [_Answer.of(sample) for sample in ordered]
    bill = _Bill(sum(answer.tokens for answer in answers), pricing.api, totals_usd)
    points = []
    for task, places in run_and_tasks(ordered):
        mine = [answers[place] for place in places]
        line = [_point(mine, task, budget, bill) for budget in budgets(max_new_tokens)]
        points += [line[0], *(_with_marginal(before, point) for before, point in pairwise(line))]
    return points


class _Answer(NamedTuple):
    """The fields of a sample that matter here, computed once for all budgets."""

    problem_id: str
    prompt_tokens: int
    tokens: int
    is_graded: bool
    is_solved: bool
    has_ended: bool

    @classmethod
    def of(cls, sample: Sample) -> Self:
        completion, status = sample.completion, sample.verdict.status
        return cls(
            problem_id=sample.problem_id,
            prompt_tokens=completion.prompt_tokens or 0,
            tokens=completion.completion_tokens or 0,  # known, or there is no curve
            is_graded=status not in ERROR_STATUSES,
            is_solved=status == "correct",
            has_ended=completion.finish_reason == "stop",
        )


class _Bill(NamedTuple):
    """The cost of answers under a budget."""

    tokens: int
    """Tokens of the whole run."""
    api: ApiPrice | None
    totals_usd: Mapping[Basis, float | None]

    def costs(self, answers: Sequence[_Answer], budget: int, solved: int) -> Iterator[BudgetCost]:
        for basis, total in self.totals_usd.items():
            if total is None or (basis != "api" and not self.tokens):
                continue
            if basis == "api" and self.api is not None:
                usd = _api_usd(self.api, answers, budget)
                method = "by the price list: all prompts, and the tokens within the budget"
            else:
                usd = total * _tokens_within(answers, budget) / self.tokens
                method = "the run's cost in proportion to the tokens within the budget"
            yield BudgetCost(
                basis=basis,
                usd=usd,
                usd_per_solved=usd / solved if solved else None,
                usd_per_further_solved=None,
                method=method,
            )


def _tokens_within(answers: Iterable[_Answer], budget: int) -> int:
    return sum(min(answer.tokens, budget) for answer in answers)


def _api_usd(price: ApiPrice, answers: Iterable[_Answer], budget: int) -> float:
    return api_usd(
        request_weight(price, answer.prompt_tokens, min(answer.tokens, budget))
        for answer in answers
    )


def _point(answers: Sequence[_Answer], task: str | None, budget: int, bill: _Bill) -> BudgetPoint:
    graded = [answer for answer in answers if answer.is_graded]
    within = [answer for answer in graded if answer.tokens <= budget]
    solved = sum(answer.is_solved for answer in within)
    return BudgetPoint(
        task=task,
        budget_tokens=budget,
        samples=len(graded),
        ended=sum(answer.has_ended for answer in within),
        solved=solved,
        completion_tokens=_tokens_within(answers, budget),
        accuracy=None if task is None else _accuracy(graded, task, budget),
        costs=tuple(bill.costs(answers, budget, solved)),
    )


def _accuracy(graded: Iterable[_Answer], task: str, budget: int) -> Estimate:
    scores: dict[str, list[bool]] = defaultdict(list)
    for answer in graded:
        scores[answer.problem_id].append(answer.is_solved and answer.tokens <= budget)
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
