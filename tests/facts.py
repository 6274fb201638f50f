"""A message is asserted by the facts in it, not by its wording (golden/words.txt has that)."""

import re

NOT_INSIDE_A_WORD = r"(?!(?<=\w)\w)"


def mentions(text: str, *facts: str) -> bool:
    """Whether a text has all facts, whole and in this order; " … " parts facts, as in "k=0 … 1"."""
    each = " … ".join(facts).split(" … ")
    whole = (f"{NOT_INSIDE_A_WORD}{re.escape(fact)}{NOT_INSIDE_A_WORD}" for fact in each)
    return re.search(r"[\s\S]*?".join(whole), text) is not None
