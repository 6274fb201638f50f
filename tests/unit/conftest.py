"""What several files of unit tests need."""

from collections.abc import Iterator

import pytest

from harness.scorers.equivalence.checker import Equivalence
from harness.scorers.math_answer import MathAnswerScorer

PAIR_LIMIT_S = 600
"""However slow the machine is, no pair is given up for its time."""


@pytest.fixture(scope="module")
def equivalence() -> Iterator[Equivalence]:
    """Two answers compared, as the maths scorer compares them."""
    with Equivalence(workers=2, pair_limit_s=PAIR_LIMIT_S) as equivalence:
        yield equivalence


@pytest.fixture(scope="module")
def scorer() -> Iterator[MathAnswerScorer]:
    """The scorer of maths answers."""
    with MathAnswerScorer(workers=2, pair_limit_s=PAIR_LIMIT_S) as scorer:
        yield scorer
