"""The finding about one part of the machine."""

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
    """What was found, or why it is missing."""
    remedy: str | None = None
    """How to fix it: a command where there is one."""

    @property
    def usable(self) -> bool:
        """Whether it is there."""
        return self.status in {"ok", "warn"}
