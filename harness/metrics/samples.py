"""What the metrics are computed from: one generated and judged sample."""

from typing import Self

from pydantic import model_validator

from harness.records import Completion, Count, Record, Verdict


class Sample(Record):
    """One sample of one problem, with what the engine and the scorer recorded of it."""

    task: str
    problem_id: str
    index: Count
    """Which sample of its problem, from 0."""
    session: Count = 0
    """Which process lifetime of a resumed run made it: idle time between two does not count."""
    completion: Completion
    verdict: Verdict

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        if self.completion.request_id != self.verdict.request_id:
            raise ValueError(
                f"the completion is of {self.completion.request_id!r}, "
                f"the verdict of {self.verdict.request_id!r}"
            )
        return self
