"""The records of a comparison; ``harness compare --json`` prints them.

Scores and their differences are fractions, margins are percentage points, as they were given.
Every difference and ratio is the candidate's against the baseline's.
"""

from typing import Any, Literal

from harness.records import Bound, Count, Estimate, Record, VerdictStatus


class FieldDifference(Record):
    """A field in which two sides differ."""

    field: str
    baseline: Any
    candidate: Any


class ProtocolDifference(FieldDifference):
    """A field of a task's protocol that was let through."""

    task: str


class RunName(Record):
    """The name of a compared run or log."""

    label: str
    """The run's id, or the name of another harness's file."""
    source: str
    """``gegenprobe``, or the harness that wrote the log."""
    file: str
    subject: dict[str, Any]
    """Model, weights, engine, device: what may differ. Empty when the file does not state it."""
    unknown_problems: Count = 0
    """Entries of another harness's log whose problem our task does not have."""

    @property
    def is_foreign(self) -> bool:
        """Whether another harness wrote it."""
        return self.source != "gegenprobe"


class Answers(Record):
    """One answer to a problem, and how many samples gave it."""

    status: VerdictStatus | None
    """The status; None: another harness gave one verdict for several samples."""
    answer: str | None
    """The answer as the scorer extracted it."""
    samples: Count


class Discordant(Record):
    """A problem that the two sides did not solve equally often."""

    problem_id: str
    difference: float
    baseline_solved: Count
    baseline_samples: Count
    candidate_solved: Count
    candidate_samples: Count
    baseline_answers: tuple[Answers, ...]
    candidate_answers: tuple[Answers, ...]


class TestOfDifference(Record):
    """Tests of the difference, and the same adjusted for all comparisons of this output."""

    __test__ = False  # the name is no test of pytest's

    method: str
    p: float | None
    """Two-sided, of no difference."""
    p_holm: float | None
    p_worse: float | None
    """One-sided, of a loss no larger than the margin."""
    p_worse_holm: float | None
    problems_better: Count
    problems_worse: Count


class Equivalence(Record):
    """TOST at 5 %, under both error models; None where the model has no interval."""

    margin_points: float
    new_problems: bool | None
    fixed_benchmark: bool | None
    new_problems_interval: Estimate
    """The 90 % interval."""
    fixed_benchmark_interval: Estimate
    """The 90 % interval."""


class ComparedFigure(Record):
    """A figure besides the score, on both sides."""

    metric: str
    unit: str
    paired: bool
    n: Count
    """Problems that have it on both sides; of an unpaired figure 1."""
    baseline: float | None
    candidate: float | None
    difference: float | None
    ratio: Estimate
    """Candidate over baseline."""
    prices: tuple[str, str] | None = None
    """For a cost: the price lists of both sides."""
    bounds: tuple[Bound | None, Bound | None] = (None, None)
    """``lower``: of a cost where the machine was in use for longer than the files show, of a rate
    where answers that were lost are not in it."""


class TaskComparison(Record):
    """One task of one candidate."""

    task: str
    problems: Count
    """Paired, each with a verdict on both sides."""
    only_in_baseline: Count
    """Problems that the candidate does not have."""
    only_in_candidate: Count
    left_out: Count
    """Problems on both sides, of which one side has only errors."""
    baseline_errors: Count
    """Samples that ended in errors and are in no denominator, of the problems in common."""
    candidate_errors: Count
    baseline_score: Estimate
    candidate_score: Estimate
    difference_new_problems: Estimate
    difference_fixed_benchmark: Estimate
    test: TestOfDifference
    is_regression: bool
    """``p_worse_holm`` < 0.05."""
    equivalence: Equivalence | None
    figures: tuple[ComparedFigure, ...]
    discordant: tuple[Discordant, ...]


class CandidateComparison(Record):
    """One candidate against the baseline."""

    candidate: RunName
    is_same_run: bool
    """The baseline itself, with the same verdicts: left out of Holm's adjustment."""
    subject_differences: tuple[FieldDifference, ...]
    protocol_mismatch: tuple[ProtocolDifference, ...]
    """Differences that were let through: the scores are not of one protocol."""
    protocol_unknown: dict[str, tuple[str, ...]]
    """By task: fields that one side does not state, so that the protocol is not shown to be the
    same."""
    tasks_only_in_baseline: tuple[str, ...]
    tasks_only_in_candidate: tuple[str, ...]
    tasks: tuple[TaskComparison, ...]
    figures: tuple[ComparedFigure, ...]
    """Figures of the whole run, over all its tasks."""


class Comparison(Record):
    """The complete comparison."""

    schema_version: Literal[1] = 1
    baseline: RunName
    candidates: tuple[CandidateComparison, ...]
    margin_points: float
    comparisons: Count
    """How many tests Holm's adjustment counts."""
    exit_status: Literal[0, 5, 6]
    """5: a task regressed. 6: none did, but one has no problem with a verdict on both sides."""
