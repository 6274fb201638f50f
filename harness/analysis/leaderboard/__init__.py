"""All results of a folder as rows, indexed, and ranked within one protocol at a time."""

from harness.analysis.leaderboard.foreign import ForeignRow, foreign_rows
from harness.analysis.leaderboard.index import Contents, LeftOut, read_rows
from harness.analysis.leaderboard.ranking import RankedList, Standing, rank
from harness.analysis.leaderboard.row import LeaderboardRow
from harness.analysis.leaderboard.selection import Selection

__all__ = [
    "Contents",
    "ForeignRow",
    "LeaderboardRow",
    "LeftOut",
    "RankedList",
    "Selection",
    "Standing",
    "foreign_rows",
    "rank",
    "read_rows",
]
