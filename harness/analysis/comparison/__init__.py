"""Compares runs with each other: the same problems under the same protocol.

``side`` makes one shape of our results and other harnesses' files, ``protocol`` says whether two
of them may be compared, ``scores`` and ``figures`` compare, ``compare`` puts it together.
"""

from harness.analysis.comparison.compare import Options, compare_sides
from harness.analysis.comparison.records import Comparison
from harness.analysis.comparison.side import Side, read_side, side_of

__all__ = ["Comparison", "Options", "Side", "compare_sides", "read_side", "side_of"]
