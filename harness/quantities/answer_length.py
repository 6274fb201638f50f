"""How long answers are expected to be: what a plan's duration rests on most."""

from typing import Annotated

from pydantic import Field

from harness.io.sourced import Sourced
from harness.models.shape import Name

Tokens = Annotated[float, Field(gt=0)]


class AnswerLengths(Sourced):
    """One file of ``conf/answer_length``: mean tokens of an answer, before any budget cuts it."""

    name: Name
    """The kind of model."""
    tasks: dict[Name, Tokens]
    """Lengths by task, for any model of this kind."""
    models: dict[Name, dict[Name, Tokens]]
    """Lengths by model and task, where more is known."""
    log_sd: Annotated[float, Field(ge=0)]
    """Standard deviation of the logarithm of a length."""

    def of(self, model: str, task: str) -> float | None:
        """Mean tokens; None for a task of which nothing is known."""
        return self.models.get(model, {}).get(task) or self.tasks.get(task)
