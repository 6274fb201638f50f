"""Which level of confinement this machine offers: found by trying, not by looking at versions."""

from dataclasses import dataclass

from harness.errors import UnavailableError
from harness.scorers.sandbox import escape_probes as canaries
from harness.scorers.sandbox.client import WardenClient, WardenFailedError
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.protocol import LEVELS, Level, Limits

_HOLDS = {
    "namespaces": "no network, files, processes or memory but their own",
    "landlock": "no network, other files, signals or processes; names of files can be asked for",
    "seccomp": "no network, signals or processes, but they READ AND WRITE THE USER'S FILES",
    "none": "only time and memory are bounded: programs can do ALL THAT THE USER CAN",
}
_REMEDY = (
    "allow unprivileged user namespaces or Landlock (Linux 5.13 and a container profile that "
    "permits it)"
)


@dataclass(frozen=True, slots=True)
class LevelReport:
    """The level that will be used, and why none better."""

    level: Level
    reasons: tuple[tuple[Level, str], ...] = ()
    """Each better level that was tried, and what it failed."""

    @property
    def one_line(self) -> str:
        """One line: the level, its meaning, and why no better one is available."""
        better = "".join(f"; not {level}: {reason}" for level, reason in self.reasons)
        return f"sandbox level {self.level} ({_HOLDS[self.level]}){better}"


def find_level(limits: Limits, *, weakest: Level = "none") -> LevelReport | None:
    """The strongest level that passes the self-test; None if none down to ``weakest`` does."""
    report, _ = _search(limits, weakest)
    return report


def require_level(config: SandboxConfig) -> LevelReport:
    """The strongest level that passes the self-test.

    Raises:
        UnavailableError: It is weaker than ``sandbox.min_level``.
    """
    report, reasons = _search(config.limits(), config.min_level)
    if report is not None:
        return report
    tried = "; ".join(f"{level}: {reason}" for level, reason in reasons)
    weaker = LEVELS[LEVELS.index(config.min_level) + 1 :]
    below = next((level for level in weaker if self_test(level, config.limits()) is None), None)
    raise UnavailableError(
        f"sandbox.min_level={config.min_level}: this machine offers only {below or 'nothing'} "
        f"({tried}); {_REMEDY}"
        + (f", or accept sandbox.min_level={below}: {_HOLDS[below]}" if below else "")
    )


def self_test(level: Level, limits: Limits) -> str | None:
    """What fails at a level on this machine; None when it works."""
    try:
        client = WardenClient(level, limits)
    except WardenFailedError as error:
        return str(error)
    try:
        return "; ".join(canaries.failures(client, level)) or None
    except WardenFailedError as error:
        return str(error)
    finally:
        client.close()


def _search(
    limits: Limits, weakest: Level
) -> tuple[LevelReport | None, tuple[tuple[Level, str], ...]]:
    reasons: list[tuple[Level, str]] = []
    for level in LEVELS[: LEVELS.index(weakest) + 1]:
        failure = self_test(level, limits)
        if failure is None:
            return LevelReport(level, tuple(reasons)), tuple(reasons)
        reasons.append((level, failure))
    return None, tuple(reasons)
