"""One task of two sides: the pairs, the difference of their scores, where they disagree."""

from collections import Counter
from typing import NamedTuple

from harness.analysis.comparison.records import Answers, Discordant, Equivalence
from harness.analysis.comparison.side import SideProblem, SideTask
from harness.metrics.figures import from_interval
from harness.records import Estimate, VerdictStatus
from harness.stats.intervals import fraction_interval
from harness.stats.paired import Pairs, difference, difference_on_benchmark, is_equivalent, pair_up


class Matched(NamedTuple):
    """The problems of a task, sorted out."""

    ids: tuple[str, ...]
    """Problems with a verdict on both sides, sorted."""
    left_out: int
    """Problems on both sides, without a verdict on one."""
    only_in_baseline: int
    only_in_candidate: int
    errors: tuple[int, int]
    """Samples that ended in errors, on either side, of the problems in common."""


def match(baseline: SideTask, candidate: SideTask) -> Matched:
    """Finds the problems that can be paired."""
    ours, theirs = baseline.problems, candidate.problems
    common = sorted(ours.keys() & theirs.keys())
    paired = tuple(
        name for name in common if ours[name].tally.samples and theirs[name].tally.samples
    )
    return Matched(
        ids=paired,
        left_out=len(common) - len(paired),
        only_in_baseline=len(ours) - len(common),
        only_in_candidate=len(theirs) - len(common),
        errors=(
            sum(ours[name].tally.errors for name in common),
            sum(theirs[name].tally.errors for name in common),
        ),
    )


def pairs_of(baseline: SideTask, candidate: SideTask, ids: tuple[str, ...]) -> Pairs:
    """The counts of the problems that are paired."""
    ours = [baseline.problems[name].tally for name in ids]
    theirs = [candidate.problems[name].tally for name in ids]
    return pair_up(
        [each.solved for each in ours],
        [each.samples for each in ours],
        [each.solved for each in theirs],
        [each.samples for each in theirs],
    )


def score(task: str, values: Pairs, *, is_candidate: bool) -> Estimate:
    """One side's score over the paired problems."""
    side = values.after if is_candidate else values.before
    return from_interval("accuracy", fraction_interval(side), "fraction", task=task)


def benchmark_size(baseline: SideTask, candidate: SideTask, paired: int) -> int:
    """Problems of the whole benchmark, of which the paired ones are a subset."""
    sizes = [size for size in (baseline.full_size, candidate.full_size) if size is not None]
    return max([*sizes, paired])


def test_equivalence(task: str, pairs: Pairs, size: int, points: float) -> Equivalence:
    """TOST under both error models."""
    new = difference(pairs, 0.90)
    fixed = difference_on_benchmark(pairs, 0.90, size)
    name = "accuracy_difference"
    return Equivalence(
        margin_points=points,
        new_problems=is_equivalent(new, points / 100),
        fixed_benchmark=is_equivalent(fixed, points / 100),
        new_problems_interval=from_interval(f"{name}.new_problems", new, "fraction", task=task),
        fixed_benchmark_interval=from_interval(
            f"{name}.fixed_benchmark", fixed, "fraction", task=task
        ),
    )


# --- where they disagree ----------------------------------------------------------------------


def discordant(
    baseline: SideTask, candidate: SideTask, ids: tuple[str, ...]
) -> tuple[Discordant, ...]:
    """Problems whose scores differ, the greatest losses first."""
    found = []
    for name in ids:
        ours, theirs = baseline.problems[name], candidate.problems[name]
        gap = theirs.tally.solved / theirs.tally.samples - ours.tally.solved / ours.tally.samples
        if gap:
            found.append(_discordant(name, gap, ours, theirs))
    return tuple(sorted(found, key=lambda each: (each.difference, each.problem_id)))


def _discordant(name: str, gap: float, ours: SideProblem, theirs: SideProblem) -> Discordant:
    return Discordant(
        problem_id=name,
        difference=gap,
        baseline_solved=ours.tally.solved,
        baseline_samples=ours.tally.samples,
        candidate_solved=theirs.tally.solved,
        candidate_samples=theirs.tally.samples,
        baseline_answers=_tallied(ours),
        candidate_answers=_tallied(theirs),
    )


def _tallied(problem: SideProblem) -> tuple[Answers, ...]:
    """The distinct answers, the most frequent first."""
    counts: Counter[tuple[VerdictStatus | None, str | None]] = Counter(problem.answers)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return tuple(
        Answers(status=status, answer=answer, samples=count) for (status, answer), count in ordered
    )
