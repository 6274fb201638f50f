"""What the doubles of engines and scorers have in common; each test writes what its own answers."""

from typing import Self

from harness.records import EngineInfo
from tests.engines import made_up_engine


class _Entered:
    """Needs nothing of what entering makes and leaving ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


class EngineDouble(_Entered):
    """All of an engine but ``generate``."""

    def info(self) -> EngineInfo:
        return made_up_engine()

    def restart_counters(self) -> None:
        pass


class ScorerDouble(_Entered):
    """All of a scorer but ``grade``."""

    name = "exact@1"

    def context(self) -> dict[str, str]:
        return {}
