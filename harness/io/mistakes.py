"""pydantic's validation errors in words for the author of a file or configuration."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Mistake(NamedTuple):
    """One validation error."""

    keys: tuple[int | str, ...]
    """The path to the wrong value; empty for the whole document."""
    given: Any
    text: str
    """What would be right."""
    details: "ErrorDetails"
    """The error as pydantic reports it."""

    @property
    def key(self) -> str:
        """The path as a dotted key."""
        return ".".join(map(str, self.keys))

    def __str__(self) -> str:
        """``KEY: what would be right``."""
        return f"{self.key}: {self.text}" if self.keys else self.text


def mistakes(
    error: ValidationError, branch_at: Mapping[str, int] = MappingProxyType({})
) -> list[Mistake]:
    """All mistakes, without those that only follow from others.

    Args:
        error: What pydantic raised.
        branch_at: By first key, where pydantic names the branch of a union, which is no key.
    """
    problems = error.errors(include_url=False)
    places = [problem["loc"] for problem in problems]
    return [
        Mistake(
            _keys(problem, branch_at),
            problem["input"],
            problem["msg"].removeprefix("Value error, "),
            problem,
        )
        for problem in problems
        # A list whose only entry is wrong is also too short; reporting that adds nothing.
        if problem["type"] != "too_short"
        or not any(
            place != problem["loc"] and place[: len(problem["loc"])] == problem["loc"]
            for place in places
        )
    ]


def first_mistake(error: ValidationError) -> Mistake:
    """The first one, for a file that a program wrote: one shows that it is damaged."""
    return mistakes(error)[0]


def _keys(problem: "ErrorDetails", branch_at: Mapping[str, int]) -> tuple[int | str, ...]:
    place = problem["loc"]
    branch = branch_at.get(str(place[0])) if place else None
    # An unknown branch is itself the mistake; then the place has none.
    if branch is None or "discriminator" in problem.get("ctx", {}):
        return place
    return place[:branch] + place[branch + 1 :]
