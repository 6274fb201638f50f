"""Entry point of ``harness compare``: compares candidates with a baseline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from harness.analysis.comparison.figures import run_figures, task_figures
from harness.analysis.comparison.protocol import check_allowed, check_protocols
from harness.analysis.comparison.records import (
    CandidateComparison,
    Comparison,
    FieldDifference,
    TaskComparison,
    TestOfDifference,
)
from harness.analysis.comparison.scores import (
    benchmark_size,
    discordant,
    match,
    pairs_of,
    score,
    test_equivalence,
)
from harness.analysis.comparison.side import Side
from harness.engines.identity import is_told
from harness.errors import UserError
from harness.metrics.figures import from_interval
from harness.stats.paired import Pairs, compare_paired, difference, difference_on_benchmark, holm

ALPHA = 0.05
REGRESSION: Final = 5
NOTHING_PAIRED: Final = 6


@dataclass(frozen=True)
class Options:
    """The options of a comparison; margins in percentage points."""

    margin_points: float = 0.0
    equivalence_points: float | None = None
    allowed: tuple[str, ...] = ()
    """Fields of the protocol that may differ."""

    def __post_init__(self) -> None:
        """Refuses what is no margin.

        Raises:
            UserError: Names the argument.
        """
        margin, points = self.margin_points, self.equivalence_points
        if not 0 <= margin <= 100:  # noqa: PLR2004 - points; false for NaN too
            raise UserError(f"--margin {margin:g}: should be percentage points from 0 to 100")
        if points is not None and not (math.isfinite(points) and 0 < points <= 100):  # noqa: PLR2004
            raise UserError(
                f"--equivalence {points:g}: should be percentage points above 0 and up to 100"
            )


def compare_sides(baseline: Side, candidates: Sequence[Side], options: Options) -> Comparison:
    """Compares each candidate with the baseline, on every task that both have.

    Raises:
        UserError: ``options.allowed`` names no field, or a candidate is given twice.
        NotComparableError: A candidate was not made under the baseline's protocol.
    """
    check_allowed(options.allowed, (baseline, *candidates))
    for place, candidate in enumerate(candidates):
        if any(_is_same(candidate, other) for other in candidates[:place]):
            raise UserError(f"{candidate.name.label}: this candidate is given twice; once is right")
    found = [_compare_one(baseline, candidate, options) for candidate in candidates]
    # What is compared with itself was no chance to find a difference, and counts for none.
    tests = [None if each.is_same_run else task.test for each in found for task in each.tasks]
    both = holm([None if test is None else test.p for test in tests])
    worse = holm([None if test is None else test.p_worse for test in tests])
    adjusted = iter(zip(both, worse, strict=True))
    settled = [
        each.model_copy(
            update={"tasks": tuple(_adjust(task, *next(adjusted)) for task in each.tasks)}
        )
        for each in found
    ]
    tasks = [task for each in settled for task in each.tasks]
    exit_status: Literal[0, 5, 6] = 0 if all(task.problems for task in tasks) else NOTHING_PAIRED
    if any(task.is_regression for task in tasks):
        exit_status = REGRESSION
    return Comparison(
        baseline=baseline.name,
        candidates=tuple(settled),
        margin_points=options.margin_points,
        comparisons=sum(p is not None for p in both),
        exit_status=exit_status,
    )


def _is_same(one: Side, other: Side) -> bool:
    """Whether both are one run, graded once: grading again changes verdicts or the scorer."""
    return (one.name.label, one.tasks) == (other.name.label, other.tasks)


def _adjust(task: TaskComparison, p: float | None, p_worse: float | None) -> TaskComparison:
    test = task.test.model_copy(update={"p_holm": p, "p_worse_holm": p_worse})
    is_regression = p_worse is not None and p_worse < ALPHA
    return task.model_copy(update={"test": test, "is_regression": is_regression})


def _compare_one(baseline: Side, candidate: Side, options: Options) -> CandidateComparison:
    checked = check_protocols(baseline, candidate, options.allowed)
    shared = [task for task in baseline.tasks if task in candidate.tasks]
    return CandidateComparison(
        candidate=candidate.name,
        is_same_run=_is_same(baseline, candidate),
        subject_differences=_subject_differences(baseline, candidate),
        protocol_mismatch=checked.mismatch,
        protocol_unknown=checked.unknown,
        tasks_only_in_baseline=tuple(t for t in baseline.tasks if t not in candidate.tasks),
        tasks_only_in_candidate=tuple(t for t in candidate.tasks if t not in baseline.tasks),
        tasks=tuple(_compare_task(task, baseline, candidate, options) for task in shared),
        figures=tuple(run_figures(baseline, candidate)),
    )


def _subject_differences(baseline: Side, candidate: Side) -> tuple[FieldDifference, ...]:
    ours, theirs = baseline.name.subject, candidate.name.subject
    is_foreign = baseline.is_foreign or candidate.is_foreign
    # Another harness's log says little: what it does not say is no difference.
    names = ours.keys() & theirs.keys() if is_foreign else ours.keys() | theirs.keys()
    return tuple(
        FieldDifference(field=name, baseline=ours.get(name), candidate=theirs.get(name))
        for name in sorted(names)
        if ours.get(name) != theirs.get(name) and is_told(name, ours, theirs, "engine.")
    )


def _compare_task(task: str, baseline: Side, candidate: Side, options: Options) -> TaskComparison:
    ours, theirs = baseline.tasks[task], candidate.tasks[task]
    matched = match(ours, theirs)
    pairs = pairs_of(ours, theirs, matched.ids)
    size = benchmark_size(ours, theirs, pairs.n)
    points = options.equivalence_points
    name = "accuracy_difference"
    fixed = difference_on_benchmark(pairs, benchmark_size=size)
    return TaskComparison(
        task=task,
        problems=pairs.n,
        only_in_baseline=matched.only_in_baseline,
        only_in_candidate=matched.only_in_candidate,
        left_out=matched.left_out,
        baseline_errors=matched.errors[0],
        candidate_errors=matched.errors[1],
        baseline_score=score(task, pairs, is_candidate=False),
        candidate_score=score(task, pairs, is_candidate=True),
        difference_new_problems=from_interval(
            f"{name}.new_problems", difference(pairs), "fraction", task=task
        ),
        difference_fixed_benchmark=from_interval(
            f"{name}.fixed_benchmark", fixed, "fraction", task=task
        ),
        test=_test(pairs, options.margin_points),
        is_regression=False,
        equivalence=None if points is None else test_equivalence(task, pairs, size, points),
        figures=tuple(task_figures(task, baseline, candidate, matched.ids)),
        discordant=discordant(ours, theirs, matched.ids),
    )


def _test(pairs: Pairs, margin_points: float) -> TestOfDifference:
    found = compare_paired(pairs, margin_points / 100)
    return TestOfDifference(
        method=found.method,
        p=found.p,
        p_holm=None,
        p_worse=found.p_worse,
        p_worse_holm=None,
        problems_better=found.better,
        problems_worse=found.worse,
    )
