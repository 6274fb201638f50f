"""A sign of life on disk: what is known of an engine's session that was killed.

``heartbeat.json`` in the run's folder is replaced every ``BEAT_S`` seconds while an engine loads or
generates. A session that ends in order writes its end into the manifest. Of one that was killed the
last beat is left: up to then the machine was certainly in use, and for up to ``BEAT_S`` longer it
may have been, so a time that ends with it is a lower bound.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from harness.errors import StoreError
from harness.io.jsonl import read_json, write_atomically
from harness.records import Record, Seconds

log = logging.getLogger(__name__)

FILE = "heartbeat.json"
BEAT_S = 5.0


class Heartbeat(Record):
    """The sign of life of a running session."""

    started_at: datetime
    """When the engine began to load, UTC."""
    opened_s: Seconds
    """The same on the run's clock, which never goes back; it identifies the session."""
    alive_s: Seconds
    """When this was written, on the run's clock."""


@contextmanager
def beating(folder: Path, now: Callable[[], float], started_at: datetime) -> Iterator[Heartbeat]:
    """Keeps the file new until the context ends; yields the first beat.

    Args:
        folder: The run's.
        now: Seconds on the run's clock.
        started_at: When the engine began to load, UTC.
    """
    opened_s = now()
    first = Heartbeat(started_at=started_at, opened_s=opened_s, alive_s=opened_s)
    over = threading.Event()

    def keep_beating() -> None:
        while not over.wait(BEAT_S):
            _write(folder, first.model_copy(update={"alive_s": now()}))

    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    _write(folder, first)
    thread.start()
    try:
        yield first
    finally:
        over.set()
        thread.join()


def last_beat(folder: Path) -> Heartbeat | None:
    """The newest beat of the newest session; None where there is none to read."""
    if not (folder / FILE).is_file():
        return None
    try:
        return read_json(folder / FILE, Heartbeat)
    except StoreError as error:
        log.warning("%s; of a session that was killed only its answers are known", error)
        return None


def forget(folder: Path) -> None:
    """Removes the file, and what a process that was killed while writing it left."""
    for file in (folder / FILE, *folder.glob(f".{FILE}.*.new")):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _write(folder: Path, beat: Heartbeat) -> None:
    with suppress(StoreError):  # a full disk costs the bound, not the run
        write_atomically(folder / FILE, beat.model_dump_json())
