"""Accuracy against thinking: are the answers with long thoughts right less often?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.records import ERROR_STATUSES
from harness.report.page.runs import ReportRun
from harness.stats.intervals import Interval, fraction_interval
from harness.store.manifest import Outcome

MOST_BINS, FEWEST_IN_BIN = 8, 10
"""Bins of a plot, and samples of a bin: with fewer an interval covers nearly everything."""


@dataclass(frozen=True)
class Bin:
    """Samples of one run whose thoughts are about as long."""

    low_tokens: int
    high_tokens: int
    """The shortest and the longest thought in it."""
    median_tokens: float
    samples: int
    problems: int
    correct: int
    truncated: int
    accuracy: Interval
    """Mean over the problems, each by its share of correct samples, as everywhere."""


def thinking_bins(run: ReportRun, task: str, edges: Sequence[float]) -> Iterator[Bin]:
    """A run's scored samples whose thinking tokens are known, by the length of the thought.

    Args:
        run: Errors are left out, as in accuracy.
        task: Its name.
        edges: Tokens at which a next bin begins, rising; n edges make n + 1 bins.
    """
    bins: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in scored(run, task):
        if outcome.reasoning_tokens is not None:
            place = int(np.searchsorted(edges, outcome.reasoning_tokens, side="right"))
            bins[place].append(outcome)
    for _, members in sorted(bins.items()):
        yield _bin(members)


def _bin(members: Sequence[Outcome]) -> Bin:
    solved: dict[str, list[bool]] = defaultdict(list)
    for each in members:
        solved[each.problem_id].append(each.status == "correct")
    tokens = [each.reasoning_tokens or 0 for each in members]
    return Bin(
        low_tokens=min(tokens),
        high_tokens=max(tokens),
        median_tokens=float(np.median(tokens)),
        samples=len(members),
        problems=len(solved),
        correct=sum(each.status == "correct" for each in members),
        truncated=sum(each.status == "truncated" for each in members),
        accuracy=fraction_interval([sum(flags) / len(flags) for flags in solved.values()]),
    )


def bin_edges(runs: Sequence[ReportRun], task: str) -> list[float]:
    """Edges by which the thoughts of all runs fall into bins of about the same size.

    They are common to the runs, so that points of one bin can be compared. Empty where there are
    too few thoughts, or all are as long.
    """
    tokens = [
        each.reasoning_tokens
        for run in runs
        for each in scored(run, task)
        if each.reasoning_tokens is not None
    ]
    count = min(MOST_BINS, len(tokens) // (FEWEST_IN_BIN * len(runs)))
    if count < 2:  # noqa: PLR2004 - one bin is no picture
        return []
    quantiles = np.quantile(tokens, np.arange(1, count) / count)
    return [float(edge) for edge in np.unique(quantiles) if edge > min(tokens)]


def scored(run: ReportRun, task: str) -> list[Outcome]:
    """The samples of a task that accuracy counts."""
    return [o for o in run.result.outcomes_of(task) if o.status not in ERROR_STATUSES]
