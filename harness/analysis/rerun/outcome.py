"""The outcome of a repetition: which texts and verdicts differ, and the noise in points."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.analysis.rerun.draw import Selection, StratumKey
from harness.metrics.figures import unknown
from harness.metrics.samples import known_sum
from harness.records import (
    ERROR_STATUSES,
    Completion,
    Count,
    Estimate,
    FinishReason,
    Record,
    RequestId,
    Verdict,
    VerdictStatus,
)
from harness.stats.intervals import wilson

Z_95 = 1.959964
_NOTHING = "nothing was repeated"
"""Standard deviations to either side that hold 95 % of a normal distribution."""


class Pair(Record):
    """One request, as it came out in the run and in the repetition."""

    request_id: RequestId
    task: str
    recorded: VerdictStatus
    """The recorded verdict, which is the stratum."""
    before: VerdictStatus
    """The run's text, graded again together with the repetition's."""
    after: VerdictStatus
    extracted_before: str | None
    extracted_after: str | None
    first_difference: Count | None
    """Characters that both texts begin with. None when the texts are the same."""
    finish_before: FinishReason
    finish_after: FinishReason
    tokens_before: Count | None
    tokens_after: Count | None

    @property
    def stratum(self) -> StratumKey:
        """The stratum that it was drawn from."""
        return StratumKey(self.task, self.recorded)

    @property
    def is_answered(self) -> bool:
        """Whether the repetition has a text."""
        return self.finish_after != "error"

    @property
    def differs(self) -> bool:
        """Whether the repetition's text differs."""
        return self.is_answered and self.first_difference is not None

    @property
    def is_graded(self) -> bool:
        """Both texts have a verdict."""
        return not {self.before, self.after} & ERROR_STATUSES

    @property
    def change(self) -> int:
        """+1 for wrong to correct, -1 for correct to wrong, 0 for no flip."""
        return (self.after == "correct") - (self.before == "correct")


class Stratum(Record):
    """The sizes and flips of a stratum."""

    task: str
    status: VerdictStatus
    requests: Count
    """The number of its requests in the run."""
    repeated: Count
    texts_different: Count
    flips: Count


class Figures(Record):
    """The figures of a repetition, for one task or for all."""

    task: str | None
    """The task; None for all."""
    requests: Count
    """Requests of the run with a verdict, on which a difference in accuracy would rest."""
    repeated: Count
    errors: Count
    """Repeated requests that ended in an error; they are in no count of verdicts."""
    texts_same: Count
    texts_different: Count
    first_difference_median: float | None
    """Characters that both texts begin with, over those that differ."""
    finish_reason_changed: Count
    tokens_changed: Count
    tokens_before: Count | None
    """Sum over the repeated, in the run; None where one of them is unknown."""
    tokens_after: Count | None
    extracted_changed: Count
    status_changed: Count
    """Verdicts that changed, flips among them."""
    correct_to_wrong: Count
    wrong_to_correct: Count
    direction_p: float | None
    """Exact two-sided McNemar test of the two counts before; None without a flip."""
    texts: Estimate
    """Fraction of requests whose text differs."""
    flips: Estimate
    """Fraction of requests whose verdict flips between correct and not."""
    noise: Estimate
    """The difference in accuracy, in points, that two such runs exceed in 5 of 100 cases."""


class Answer(NamedTuple):
    """A completion with its verdict."""

    completion: Completion
    verdict: Verdict


def pair(recorded: VerdictStatus, before: Answer, after: Answer) -> Pair:
    """Sets one request's two answers against each other."""
    return Pair(
        request_id=before.completion.request_id,
        task=before.completion.request_id.task,
        recorded=recorded,
        before=before.verdict.status,
        after=after.verdict.status,
        extracted_before=before.verdict.extracted,
        extracted_after=after.verdict.extracted,
        first_difference=_first_difference(before.completion.text, after.completion.text),
        finish_before=before.completion.finish_reason,
        finish_after=after.completion.finish_reason,
        tokens_before=before.completion.completion_tokens,
        tokens_after=after.completion.completion_tokens,
    )


def _first_difference(one: str, other: str) -> int | None:
    if one == other:
        return None
    shorter = min(len(one), len(other))
    return next((i for i in range(shorter) if one[i] != other[i]), shorter)


def figures_of(pairs: Sequence[Pair], selection: Selection) -> tuple[Figures, ...]:
    """The figures of all tasks together, where there are several, and of each."""
    tasks: list[str | None] = list(dict.fromkeys(key.task for key in selection.sizes))
    groups = [None, *tasks] if len(tasks) > 1 else tasks
    return tuple(_figures(pairs, selection, task) for task in groups)


def strata_of(pairs: Sequence[Pair], selection: Selection) -> tuple[Stratum, ...]:
    """The sizes and flips of each stratum."""
    different = Counter(
        p.stratum for p in pairs if p.is_answered and p.first_difference is not None
    )
    flips = Counter(p.stratum for p in pairs if p.is_graded and p.change)
    return tuple(
        Stratum(
            task=key.task,
            status=key.status,
            requests=size,
            repeated=selection.drawn[key],
            texts_different=different[key],
            flips=flips[key],
        )
        for key, size in selection.sizes.items()
    )


def _figures(pairs: Sequence[Pair], selection: Selection, task: str | None) -> Figures:
    drawn = [p for p in pairs if task in (None, p.task)]
    answered = [p for p in drawn if p.is_answered]
    graded = [p for p in answered if p.is_graded]
    places = [p.first_difference for p in answered if p.first_difference is not None]
    lost = sum(p.change < 0 for p in graded)
    won = sum(p.change > 0 for p in graded)
    requests = sum(size for key, size in selection.sizes.items() if task in (None, key.task))
    # A stratum that was drawn from more than in proportion counts for no more than its share.
    weight = {key: size / max(selection.drawn[key], 1) for key, size in selection.sizes.items()}
    flips = _share(
        "rerun.flips", [p.change != 0 for p in graded], [weight[p.stratum] for p in graded], task
    )
    return Figures(
        task=task,
        requests=requests,
        repeated=len(drawn),
        errors=len(drawn) - len(graded),
        texts_same=len(answered) - len(places),
        texts_different=len(places),
        first_difference_median=float(np.median(places)) if places else None,
        finish_reason_changed=sum(p.finish_before != p.finish_after for p in answered),
        tokens_changed=sum(p.tokens_before != p.tokens_after for p in answered),
        tokens_before=known_sum(p.tokens_before for p in answered),
        tokens_after=known_sum(p.tokens_after for p in answered),
        extracted_changed=sum(p.extracted_before != p.extracted_after for p in graded),
        status_changed=sum(p.before != p.after for p in graded),
        correct_to_wrong=lost,
        wrong_to_correct=won,
        direction_p=_direction(lost, won),
        texts=_share(
            "rerun.texts_different",
            [p.differs for p in answered],
            [weight[p.stratum] for p in answered],
            task,
        ),
        flips=flips,
        noise=_noise(flips, requests),
    )


def _share(
    metric: str, flags: Sequence[bool], weights: Sequence[float], task: str | None
) -> Estimate:
    """Weighted fraction of True, with a Wilson interval at Kish's effective sample size."""
    if not flags:
        return unknown(metric, "fraction", _NOTHING, task)
    w, hit = np.asarray(weights), np.asarray(flags)
    value = float(w[hit].sum() / w.sum())
    trials = float(w.sum() ** 2 / (w**2).sum())
    low, high = wilson(value * trials, trials)
    return Estimate(
        metric=metric,
        value=value,
        unit="fraction",
        n=len(flags),
        # rounding must not leave the point outside
        low=min(low, value),
        high=max(high, value),
        method=f"weighted by stratum; Wilson 95 interval at the effective size {trials:.1f}",
        task=task,
    )


def _noise(flips: Estimate, requests: int) -> Estimate:
    """The noise in accuracy of two runs of ``requests`` requests, for a flip rate ``f``.

    Each request adds +1, -1 or 0 to the difference. For runs of which neither is the better by
    design both signs have probability f/2, so the variance is f for one request and f/N for the
    mean of N, however unevenly f is spread over them.
    """

    def points(fraction: float | None) -> float | None:
        return None if fraction is None else float(100 * Z_95 * (fraction / requests) ** 0.5)

    name = "rerun.accuracy_noise"
    if flips.value is None:
        return unknown(name, "points", _NOTHING, flips.task, n=requests)
    return Estimate(
        metric=name,
        value=points(flips.value),
        unit="points",
        n=requests,
        low=points(flips.low),
        high=points(flips.high),
        method="1.96 sqrt(flips / requests), at the flip fraction and at the ends of its interval",
        task=flips.task,
    )


def _direction(lost: int, won: int) -> float | None:
    from scipy import stats

    return float(stats.binomtest(won, lost + won).pvalue) if lost + won else None
