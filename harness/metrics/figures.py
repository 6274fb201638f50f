"""Estimates from numbers and intervals, and the sums over problems that intervals resample."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.records import Estimate, Sample
from harness.stats.intervals import Interval


def figure(
    metric: str, value: float | None, unit: str, n: int, method: str, task: str | None = None
) -> Estimate:
    """An Estimate without an interval."""
    return Estimate(metric=metric, value=value, unit=unit, n=n, method=method, task=task)


def unknown(
    metric: str, unit: str, why: str, task: str | None = None, *, n: int = 0, method: str = ""
) -> Estimate:
    """An Estimate without a value."""
    return Estimate(
        metric=metric, value=None, unit=unit, n=n, method=method, undefined=why, task=task
    )


def in_words(*parts: str) -> str:
    """Joins the non-empty parts of a method's description."""
    return "; ".join(part for part in parts if part)


def from_interval(
    metric: str, interval: Interval, unit: str, what: str = "", task: str | None = None
) -> Estimate:
    """An Estimate with an interval; ``what`` describes the value where the metric does not."""
    is_told = interval.value is not None
    return Estimate(
        metric=metric,
        value=interval.value,
        unit=unit,
        n=interval.n,
        low=interval.low,
        high=interval.high,
        method=in_words(what, interval.method) if is_told else interval.method,
        undefined=interval.undefined,
        missing_end=interval.missing_end,
        task=task,
    )


def run_and_tasks(samples: Sequence[Sample]) -> Iterator[tuple[str | None, list[int]]]:
    """Yields None with the indices of all samples, then each task with the indices of its own."""
    tasks: dict[str, list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        tasks[sample.task].append(place)
    yield None, list(range(len(samples)))
    yield from tasks.items()


def by_problem(
    samples: Sequence[Sample], shares: Sequence[float], places: Sequence[int]
) -> tuple[list[float], list[int]]:
    """Resources used by each problem's attempts, and how many of them solved it."""
    spent: dict[tuple[str, str], float] = defaultdict(float)
    solved: dict[tuple[str, str], int] = defaultdict(int)
    for place in places:
        sample = samples[place]
        key = (sample.task, sample.problem_id)
        spent[key] += float(shares[place])
        solved[key] += sample.verdict.status == "correct"
    return list(spent.values()), list(solved.values())
