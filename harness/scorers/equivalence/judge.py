"""Decides whether formulas are equal: by arithmetic here, by algebra in ``algebra``."""

from fractions import Fraction
from typing import Protocol

from harness.scorers.equivalence import numbers
from harness.scorers.equivalence.tree import Node, is_infinite


class Judge(Protocol):
    """Decides about formulas."""

    def equal(self, gold: Node, answer: Node) -> bool | None:
        """Whether two formulas have the same value; None when this judge cannot decide."""
        ...

    def value(self, node: Node) -> Fraction | None:
        """The real value of a formula without variables; None when this judge cannot compute it."""
        ...


class Arithmetic:
    """The judge of the calling process: exact fractions, and floats to refute."""

    def equal(self, gold: Node, answer: Node) -> bool | None:
        """See ``Judge``."""
        numbers.check_size(gold)
        numbers.check_size(answer)
        if is_infinite(gold) or is_infinite(answer):
            return is_infinite(gold) == is_infinite(answer)
        first, second = numbers.exact(gold), numbers.exact(answer)
        if first is not None and second is not None:
            return first == second
        if gold == answer:
            return True
        # Arithmetic alone needs no mpmath.
        from harness.scorers.equivalence import values

        verdict = values.same_rational(gold, answer)
        if verdict is not None:
            return verdict
        return False if values.differ(gold, answer) else None

    def value(self, node: Node) -> Fraction | None:
        """See ``Judge``."""
        numbers.check_size(node)
        return numbers.exact(node)
