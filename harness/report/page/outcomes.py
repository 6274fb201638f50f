"""What became of the answers: by task, subject and level."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.records import ERROR_STATUSES
from harness.report.page.runs import ReportRun
from harness.runner.summary import OUTCOMES
from harness.stats.intervals import Interval, fraction_interval
from harness.store.manifest import Outcome

Kind = Literal["task", "subject", "level"]
SIGNS = {"correct": "✓", "incorrect": "✗", "no answer": "∅", "truncated": "…", "errors": "⚠"}
"""What each outcome is known by, besides its colour."""


@dataclass(frozen=True)
class Group:
    """Some problems of one task in one run."""

    run: ReportRun
    task: str
    kind: Kind
    name: str
    problems: int
    counts: dict[str, int]
    """Samples by the words of ``OUTCOMES``."""
    accuracy: Interval

    @property
    def samples(self) -> int:
        """All of them, errors too."""
        return sum(self.counts.values())


def outcome_groups(runs: Sequence[ReportRun], task: str) -> list[Group]:
    """All groups of a task, the whole task first, the runs of a group beside each other."""
    asked = [run for run in runs if run.result.manifest.task(task)]
    groups = [group for run in asked for group in _groups(run, task)]
    order = {"task": 0, "subject": 1, "level": 2}
    return sorted(groups, key=lambda g: (order[g.kind], g.name, g.run.letter))


def _groups(run: ReportRun, task: str) -> Iterator[Group]:
    members: dict[tuple[Kind, str], list[Outcome]] = defaultdict(list)
    for outcome in run.result.outcomes_of(task):
        members["task", "all"].append(outcome)
        problem = run.problems.get(outcome.problem_id)
        if problem is not None and problem.subject is not None:
            members["subject", problem.subject].append(outcome)
        if problem is not None and problem.level is not None:
            members["level", f"level {problem.level}"].append(outcome)
    for (kind, name), outcomes in members.items():
        yield _group(run, task, (kind, name), outcomes)


def _group(run: ReportRun, task: str, key: tuple[Kind, str], outcomes: Sequence[Outcome]) -> Group:
    statuses = Counter(outcome.status for outcome in outcomes)
    solved: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status not in ERROR_STATUSES:
            solved[outcome.problem_id].append(outcome.status == "correct")
    return Group(
        run=run,
        task=task,
        kind=key[0],
        name=key[1],
        problems=len({outcome.problem_id for outcome in outcomes}),
        counts={word: sum(statuses[s] for s in members) for word, members in OUTCOMES.items()},
        accuracy=fraction_interval([sum(flags) / len(flags) for flags in solved.values()]),
    )
