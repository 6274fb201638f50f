"""What the metrics are computed from: one generated and judged sample."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.records import Completion, Verdict

NO_COUNTS = "undefined: the server did not tell the number of tokens of every answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample of one problem, with what the engine and the scorer recorded of it.

    Raises:
        ValueError: The completion and the verdict are of different requests.
    """

    task: str
    problem_id: str
    index: int
    """Which sample of its problem, from 0."""
    session: int = 0
    """Which process lifetime of a resumed run made it: idle time between two does not count."""
    completion: Completion
    verdict: Verdict

    def __post_init__(self) -> None:
        if self.completion.request_id != self.verdict.request_id:
            raise ValueError(
                f"the completion is of {self.completion.request_id!r}, "
                f"the verdict of {self.verdict.request_id!r}"
            )


def known_sum(counts: Iterable[int | None]) -> int | None:
    """The sum, None where one of them is unknown."""
    listed = list(counts)
    known = [count for count in listed if count is not None]
    return sum(known) if len(known) == len(listed) else None
