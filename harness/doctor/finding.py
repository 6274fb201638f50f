"""What was found of one thing."""

from typing import Literal

from harness.records import Record

Status = Literal["ok", "warn", "missing", "failed", "timed out"]
"""``warn``: it is there, but limits something. ``failed``: the look at it broke, so nothing is
known, as when it ``timed out``."""


class Finding(Record):
    """One thing that was looked at."""

    group: str
    name: str
    status: Status
    value: str
    """What there is, or why it is not there."""
    remedy: str | None = None
    """What would mend it: a command where there is one."""

    @property
    def usable(self) -> bool:
        """Whether it is there."""
        return self.status in {"ok", "warn"}
