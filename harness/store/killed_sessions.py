"""Reconstructs a session that was killed: it lived until its last heartbeat."""

from pathlib import Path

from harness.store.heartbeat import Heartbeat, last_beat
from harness.store.manifest import LostLoad, RunManifest, Session


def settled(folder: Path, manifest: RunManifest) -> RunManifest:
    """The manifest with the end of a killed session, as far as its last heartbeat shows.

    It can be called again: sessions already on record are unchanged.
    """
    beat = last_beat(folder)
    if beat is None or any(load.opened_s == beat.opened_s for load in manifest.lost_loads):
        return manifest
    if all(session.opened_s != beat.opened_s for session in manifest.sessions):
        lost = LostLoad(
            started_at=beat.started_at,
            opened_s=beat.opened_s,
            clock_end_s=beat.alive_s,
            is_end_known=False,
        )
        return manifest.model_copy(update={"lost_loads": (*manifest.lost_loads, lost)})
    sessions = tuple(_ended(session, beat) for session in manifest.sessions)
    return manifest.model_copy(update={"sessions": sessions})


def _ended(session: Session, beat: Heartbeat) -> Session:
    if session.opened_s != beat.opened_s or session.clock_end_s is not None:
        return session
    # The last beat may be from before it was ready.
    end_s = max(session.clock_start_s, beat.alive_s)
    return session.model_copy(update={"clock_end_s": end_s, "is_end_known": False})


def last_moment_s(manifest: RunManifest) -> float:
    """The last moment of the run's clock at which a session is known to have been alive."""
    ends = [session.clock_end_s or session.clock_start_s for session in manifest.sessions]
    ends += [load.clock_end_s for load in manifest.lost_loads]
    return max(ends, default=0.0)
