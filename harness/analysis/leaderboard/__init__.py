"""All results of a folder as rows, indexed, and ranked within one protocol at a time.

Logs of other harnesses are in ``foreign``: importing it takes long, and only they need it.
"""

from harness.analysis.leaderboard.index import Contents, LeftOut, read_rows
from harness.analysis.leaderboard.ranking import RankedList, Standing, rank
from harness.analysis.leaderboard.row import LeaderboardRow
from harness.analysis.leaderboard.selection import Selection

__all__ = [
    "Contents",
    "LeaderboardRow",
    "LeftOut",
    "RankedList",
    "Selection",
    "Standing",
    "rank",
    "read_rows",
]
