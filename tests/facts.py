"""A message is asserted by the facts in it, not by its wording (golden/words.txt has that)."""

import re
from typing import TypeVar

T = TypeVar("T")

NOT_INSIDE_A_WORD = r"(?!(?<=\w)\w)"


def mentions(text: str, *facts: str) -> bool:
    """Whether a text has all facts, whole and in this order; " … " parts facts, as in "k=0 … 1"."""
    each = " … ".join(facts).split(" … ")
    whole = (f"{NOT_INSIDE_A_WORD}{re.escape(fact)}{NOT_INSIDE_A_WORD}" for fact in each)
    return re.search(r"[\s\S]*?".join(whole), text) is not None


def known(value: T | None) -> T:
    """A value that the test demands to be known."""
    assert value is not None
    return value


def narrowed(kind: type[T], value: object) -> T:
    """A value that the test demands to be of a kind."""
    assert isinstance(value, kind), value
    return value
