"""All results of a folder as rows, indexed, and ranked within one protocol at a time."""

from harness.leaderboard.index import Contents, LeftOut, read_rows
from harness.leaderboard.ranking import RankedList, Standing, rank
from harness.leaderboard.row import Row
from harness.leaderboard.selection import Selection

__all__ = [
    "Contents",
    "LeftOut",
    "RankedList",
    "Row",
    "Selection",
    "Standing",
    "rank",
    "read_rows",
]
