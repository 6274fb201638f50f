"""A run's samples, each with the problem and the prompt that it answers, for exports with texts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from harness.errors import StoreError
from harness.records import (
    CodeReference,
    MathReference,
    OtherReference,
    Problem,
    Prompt,
    Reference,
    Sample,
)
from harness.store.manifest import Session
from harness.store.result import RunResult


class Answered(NamedTuple):
    """One sample with its request."""

    problem: Problem
    prompt: Prompt
    sample: Sample

    @property
    def user_text(self) -> str:
        """The last user message; without a chat template the whole prompt."""
        return self.prompt.text if self.prompt.user_text is None else self.prompt.user_text


def answered(result: RunResult) -> Iterator[Answered]:
    """Every sample, one at a time: only the problems, prompts and verdicts are in memory.

    Raises:
        StoreError: The result lies alone, a file is damaged, or a problem of a sample is missing.
    """
    problems, prompts = result.run.read_problems(), result.run.read_prompts()
    for sample in result.samples():
        name = sample.problem_id
        if name not in problems or name not in prompts:
            kind = "prompts" if name in problems else "problems"
            file = result.run.folder / f"{kind}.jsonl"
            raise StoreError(f"{file}: {name} was answered and is not in it")
        yield Answered(problems[name], prompts[name], sample)


def reference_texts(reference: Reference) -> list[str]:
    """The reference of the grading: the right answer, or the source of the tests."""
    match reference:
        case MathReference():
            return [reference.answer]
        case CodeReference():
            return [reference.test]
        case OtherReference():
            return list(reference.values.values())


def wall_time(session: Session, clock_s: float | None) -> datetime | None:
    """A moment by the wall clock; None where an older run does not record it."""
    if clock_s is None or session.opened_s is None:
        return None
    return session.started_at + timedelta(seconds=clock_s - session.opened_s)
