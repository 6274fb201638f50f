"""The file that a repetition leaves in the run's folder, and the circumstances it records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from harness.analysis.rerun.outcome import Figures, Pair, Stratum
from harness.machine.provenance import Provenance
from harness.records import Completion, Count, EngineInfo, Record, Verdict
from harness.store.manifest import Session

SCHEMA_VERSION: Literal[1] = 1


class Fact(Record):
    """A fact about the run and about the repetition."""

    name: str
    run: str
    repetition: str

    @property
    def differs(self) -> bool:
        """Whether the fact can have contributed to the differences."""
        return self.run != self.repetition


class RerunReport(Record):
    """``reruns/<id>.json``: everything about one repetition."""

    schema_version: Literal[1]
    rerun_id: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    asked: Count
    """The value of ``--n``."""
    seed: Count
    """The seed of the draw, which is the run's."""
    batch_size_before: Count | None
    """The batch size of the run. None: left to the engine."""
    batch_size_after: Count
    at_once_before: Count | None
    """The most that were served at once, by the recorded times."""
    at_once_after: Count | None
    engine: EngineInfo
    provenance: Provenance
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    left_out_errors: Count
    regraded_otherwise: Count
    """Texts of the run whose verdict here is not the recorded one: the graders' own noise."""
    figures: tuple[Figures, ...]
    """All tasks together first, where there are several."""
    strata: tuple[Stratum, ...]
    pairs: tuple[Pair, ...]
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]
    """The verdicts of the repetition."""


def facts_of(
    sessions: Sequence[Session], engine: EngineInfo, machine: Provenance
) -> tuple[Fact, ...]:
    """The circumstances of the run (over all its sessions) and of the repetition."""
    before = [_described(session.engine, session.provenance) for session in sessions]
    after = _described(engine, machine)
    names = dict.fromkeys(name for each in (*before, after) for name in each)
    return tuple(
        Fact(
            name=name,
            run=", then ".join(dict.fromkeys(each.get(name, "none") for each in before)),
            repetition=after.get(name, "none"),
        )
        for name in names
    )


def _described(engine: EngineInfo, machine: Provenance) -> dict[str, str]:
    return {
        "engine": f"{engine.name} {engine.version}",
        "device": f"{engine.device_count} x {engine.device_name}",
        "dtype": engine.precision,
        "host": machine.host,
        "harness": machine.harness_version,
        "git commit": f"{(machine.git_commit or 'none')[:12]}{' +' if machine.git_dirty else ''}",
        "cpu": machine.cpu,
        "platform": machine.platform,
        "python": machine.python,
        "GPU driver": ", ".join(sorted({gpu.driver for gpu in machine.gpus})) or "none",
        **machine.packages,
    }


def most_at_once(spans: Sequence[tuple[float | None, float | None]]) -> int | None:
    """The largest number of requests that were served at the same time.

    Args:
        spans: When each began and ended, in seconds; None where unknown.

    Returns:
        None when a time is unknown, or there is nothing.
    """
    events = []
    for begun, ended in spans:
        if begun is None or ended is None:
            return None
        events += [(begun, 1), (ended, -1)]
    now = most = 0
    for _, change in sorted(events):  # at one instant the ends come first
        now += change
        most = max(most, now)
    return most or None
