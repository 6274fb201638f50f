"""Machine time: what all sessions of a run used, those that were killed included.

A session's time runs from the moment its engine was ready until it stopped generating, answers that
came to nothing included. Loading is apart. Time in which no session was alive is in neither.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.machine.energy import NOT_MEASURED, Energy
from harness.records import Bound, Estimate, Sample
from harness.store.manifest import PART_OF_RECORDING, RunManifest, Session
from harness.store.shard_deal import dealt


class Span(NamedTuple):
    """Seconds, and whether there were more."""

    seconds: float | None
    is_lower_bound: bool
    sessions: int
    method: str
    undefined: str | None = None
    """Why the seconds are unknown."""

    def as_estimate(self, metric: str) -> Estimate:
        """These seconds as a figure of the whole run."""
        bound: Bound | None = "lower" if self.is_lower_bound and self.seconds is not None else None
        return Estimate(
            metric=metric,
            value=self.seconds,
            unit="s",
            n=self.sessions,
            method=self.method,
            undefined=self.undefined,
            bound=bound,
        )


class MachineUse(NamedTuple):
    """The machine time and energy of a run."""

    generating: Span
    loading: Span
    energy: Energy = NOT_MEASURED
    """While generating."""
    whole_sessions: frozenset[int] | None = None
    """The sessions that lost no answer; None: all."""
    failed_attempts: Sequence[Sample] = ()
    """Failed attempts that were followed by another."""


def machine_use(
    manifest: RunManifest, samples: Sequence[Sample], failed_attempts: Sequence[Sample] = ()
) -> MachineUse:
    """The use of the machine by recorded sessions; unrecorded ends are taken from the answers."""
    spans: dict[int, tuple[float, float]] = {}
    for sample in (*samples, *failed_attempts):
        start, finish = sample.completion.started_s, sample.completion.finished_s
        if start is not None and finish is not None:
            first, last = spans.get(sample.session, (start, finish))
            spans[sample.session] = (min(first, start), max(last, finish))
    if manifest.is_part_of_recording:
        unknown = Span(None, False, 0, "", PART_OF_RECORDING)
        return MachineUse(unknown, _loading(manifest), manifest.energy, frozenset())
    generating = _generating(manifest.sessions, spans)
    # The workers that replay a recording share its sessions.
    is_replay = manifest.config.engine.recording is not None
    undisturbed = _last_sessions(samples, 1 if is_replay else len(manifest.merged_from) or 1)
    return MachineUse(
        generating=generating,
        loading=_loading(manifest),
        energy=manifest.energy,
        whole_sessions=undisturbed | {count - 1 for count in manifest.complete_after},
        failed_attempts=failed_attempts,
    )


def use_seen(generation_s: float | None, load_s: float | None) -> MachineUse:
    """The use without recorded sessions: from the first start to the last finish."""
    seen = Span(generation_s, True, 0, "first start to last finish: no session is on record")
    return MachineUse(seen, Span(load_s, False, 0, "loading and warm-up, as the engine says"))


def _last_sessions(samples: Sequence[Sample], workers: int) -> frozenset[int]:
    """Each worker's last session.

    Those before were killed or interrupted, or their engine died, unless the run was complete after
    them. What they had under way is lost and was made again later.
    """
    sessions = {sample.completion.request_id: sample.session for sample in samples}
    parts = [part for part in dealt(sessions, workers) if part]
    return frozenset(max(sessions[name] for name in part) for part in parts)


def _generating(sessions: Sequence[Session], spans: Mapping[int, tuple[float, float]]) -> Span:
    seconds, killed, unrecorded = 0.0, 0, 0
    for number, session in enumerate(sessions):
        first, last = spans.get(number, (session.clock_start_s, session.clock_start_s))
        end = last if session.clock_end_s is None else max(last, session.clock_end_s)
        seconds += end - min(first, session.clock_start_s)
        killed += session.clock_end_s is not None and not session.is_end_known
        unrecorded += session.clock_end_s is None
    method = f"from ready to the end of generating, {len(sessions)} sessions"
    method += f"; {killed} killed: to the last sign of life" if killed else ""
    method += f"; {unrecorded} without an end on record: to the last answer" if unrecorded else ""
    return Span(seconds, bool(killed or unrecorded), len(sessions), method)


def _loading(manifest: RunManifest) -> Span:
    loads = [_load_s(session) for session in manifest.sessions]
    lost = [load.clock_end_s - load.opened_s for load in manifest.lost_loads]
    known = [each for each in loads if each is not None] + lost
    is_cut = not all(load.is_end_known for load in manifest.lost_loads)
    method = f"loading, warm-up and known problems, {len(loads)} sessions, {len(lost)} lost loads"
    return Span(sum(known) if known else None, is_cut, len(known), method)


def _load_s(session: Session) -> float | None:
    """Seconds of loading; None for an engine that loads nothing."""
    if session.engine.load_s is None or session.opened_s is None:
        return session.engine.load_s
    return session.clock_start_s - session.opened_s
