"""The progress of runs, from their files alone: running, dead and finished ones.

Nothing is written and no lock is taken, so a look never disturbs a run, on this machine or on a
disk that several share. What is still in an engine's memory is not on disk and not counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from harness.config.pricing import Usd
from harness.errors import StoreError
from harness.metrics.samples import known_sum
from harness.records import ERROR_STATUSES, Completion, Count, Record, RequestId, Seconds, Verdict
from harness.runner.build_result import choose_pricing, usd_per_s
from harness.runner.shards import asked_ids
from harness.stats.intervals import Interval, fraction_interval
from harness.store.heartbeat import BEAT_S, FILE, Heartbeat, last_beat
from harness.store.killed_sessions import settled
from harness.store.manifest import RunManifest, Session
from harness.store.run_files import Run, Writer, without_text, writer_of

R = TypeVar("R", Completion, Verdict)

State = Literal["loading", "generating", "grading", "dead", "complete", "interrupted", "failed"]
UNDER_WAY: frozenset[State] = frozenset({"loading", "generating", "grading"})
LATE_BEAT_S = 6 * BEAT_S
"""Seconds without a sign of life after which a run on another machine counts as dead."""


class RunState(Record):
    """The progress of one run. A figure that the files do not contain is None."""

    run_id: str
    folder: str
    state: State
    model: str
    engine: str | None
    """The engine with its device; None before the first session."""
    tasks: tuple[str, ...]
    shard: str | None
    requests: Count
    done: Count
    graded: Count
    solved: Count
    truncated: Count
    errors: Count
    solved_fraction: float | None
    """Mean over problems of the mean over their graded samples, errors left out. While a run is
    under way this is no score: short answers end first."""
    solved_low: float | None
    """This and the next: its 95 % interval for new problems."""
    solved_high: float | None
    output_tokens: Count | None
    """None where the server did not report those of every answer; so is the rate."""
    output_tokens_per_s: float | None
    """Rate of the newest session, over finished answers only."""
    machine_s: Seconds | None
    """Machine time of all sessions, loading included; of killed ones, up to their last sign of
    life. None for a replay of a part of a recording, whose sessions served other requests too."""
    usd: Usd | None
    """Rent for ``machine_s``; None without a price."""
    time_left_s: Seconds | None
    """Forecast at the newest session's rate of requests; None where no session generates."""
    started_at: datetime
    last_sign_at: datetime
    """When a file of the run last changed."""
    finished_at: datetime | None
    process: int | None
    """Which process of this machine writes it."""
    error: str | None


class _Counted(NamedTuple):
    """The parts of a completion that a status needs, so that long runs need little memory."""

    finished_s: float | None
    tokens: int | None


class Watch:
    """One run, looked at again and again; each look reads only what came since the one before."""

    def __init__(self, folder: Path) -> None:
        self._run = Run(folder)
        self._asked: frozenset[RequestId] | None = None
        self._completions = _Tail(folder / "completions.jsonl", Completion)
        self._verdicts = _Tail(folder / "verdicts.jsonl", Verdict)
        self._counted: dict[RequestId, _Counted] = {}
        self._verdict_of: dict[RequestId, str] = {}

    def look(self) -> RunState:
        """The run's state now.

        Raises:
            StoreError: Its files cannot be read.
        """
        folder = self._run.folder
        manifest, beat = self._run.read_manifest(), last_beat(folder)
        self._read_on()
        writer = writer_of(folder)
        asked = self._requests(manifest)
        state = _state(manifest, beat, folder, writer, len(self._counted) >= len(asked))
        known = settled(folder, manifest)
        tallies = Counter(self._verdict_of.values())
        solved = self._solved()
        rate, left_s = self._rates(known, state, len(asked) - len(self._counted))
        machine_s = _machine_s(known, self._last_finish_s())
        engine = manifest.engine
        return RunState(
            run_id=self._run.run_id,
            folder=str(folder),
            state=state,
            model=manifest.model.name,
            engine=None if engine is None else f"{engine.name} on {engine.device_name}",
            tasks=tuple(task.name for task in manifest.tasks),
            shard=manifest.config.shard_name,
            requests=len(asked),
            done=len(self._counted),
            graded=len(self._verdict_of),
            solved=tallies["correct"],
            truncated=tallies["truncated"],
            errors=sum(tallies[status] for status in ERROR_STATUSES),
            solved_fraction=solved.value,
            solved_low=solved.low,
            solved_high=solved.high,
            output_tokens=known_sum(each.tokens for each in self._counted.values()),
            output_tokens_per_s=rate,
            machine_s=machine_s,
            usd=_usd(manifest, machine_s),
            time_left_s=left_s,
            started_at=manifest.started_at,
            last_sign_at=_last_change(folder),
            finished_at=manifest.finished_at,
            process=writer.process if writer.is_at_work else None,
            error=manifest.error,
        )

    def _requests(self, manifest: RunManifest) -> frozenset[RequestId]:
        if self._asked is None:  # they never change
            self._asked = asked_ids(self._run.read_problems(), manifest.config)
        return self._asked

    def _read_on(self) -> None:
        for completion in self._completions.new():
            self._counted[completion.request_id] = _Counted(
                completion.finished_s, completion.completion_tokens
            )
        if self._verdicts.was_replaced():  # scored anew
            self._verdict_of.clear()
        for verdict in self._verdicts.new():
            self._verdict_of[verdict.request_id] = verdict.status

    def _solved(self) -> Interval:
        by_problem: dict[str, list[bool]] = defaultdict(list)
        for request_id, status in self._verdict_of.items():
            if status not in ERROR_STATUSES:
                by_problem[request_id.problem_id].append(status == "correct")
        return fraction_interval([sum(each) / len(each) for each in by_problem.values()])

    def _last_finish_s(self) -> float:
        return max((each.finished_s or 0.0 for each in self._counted.values()), default=0.0)

    def _rates(
        self, manifest: RunManifest, state: State, missing: int
    ) -> tuple[float | None, float | None]:
        """Tokens/s of the newest session, and the time left."""
        if not manifest.sessions:
            return None, None
        session = manifest.sessions[-1]
        end_s = max(session.clock_end_s or 0.0, self._last_finish_s())
        elapsed_s = end_s - session.clock_start_s
        fresh = [each for each in self._counted.values() if _is_of(session, each)]
        if not fresh or elapsed_s <= 0:
            return None, None
        tokens = known_sum(each.tokens for each in fresh)
        rate = None if tokens is None else tokens / elapsed_s
        if state != "generating" or session.is_end_known:  # a recording has ended long ago
            return rate, None
        return rate, missing * elapsed_s / len(fresh)


class _Tail(Generic[R]):
    """The records of a file that is being appended to, each once, as soon as its line is whole."""

    _kind: type[R]

    def __init__(self, file: Path, kind: type[R]) -> None:
        self._file = file
        self._kind = kind
        self._offset = 0
        self._inode: int | None = None

    def was_replaced(self) -> bool:
        """Whether the file was replaced; it is then read from its start."""
        try:
            inode = self._file.stat().st_ino
        except OSError:
            return False
        replaced = self._inode is not None and inode != self._inode
        if replaced:
            self._offset = 0
        self._inode = inode
        return replaced

    def new(self) -> Iterator[R]:
        """The lines that were appended since the last call.

        Raises:
            StoreError: It cannot be read, or a whole line is no record.
        """
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._offset)
                for line in stream:
                    if not line.endswith(b"\n"):
                        return  # half-written: next time
                    yield self._kind.model_validate_json(without_text(line))
                    self._offset += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._file}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise StoreError(
                f"{self._file}: at byte {self._offset}: not a {self._kind.__name__}"
            ) from error


def _state(
    manifest: RunManifest,
    beat: Heartbeat | None,
    folder: Path,
    writer: Writer,
    is_generated: bool,
) -> State:
    if manifest.status != "running":
        return manifest.status
    silent_s = (datetime.now(UTC) - _last_change(folder)).total_seconds()
    if not (silent_s <= LATE_BEAT_S if writer.is_at_work is None else writer.is_at_work):
        return "dead"
    if is_generated:
        return "grading"
    if beat is None:  # a recording has none
        return "generating" if manifest.sessions else "loading"
    opened = {session.opened_s for session in manifest.sessions}
    return "generating" if beat.opened_s in opened else "loading"


def _last_change(folder: Path) -> datetime:
    """When the newest of its files was written: its last sign of life."""
    names = ("manifest.json", FILE, "completions.jsonl", "verdicts.jsonl")
    files = [folder / name for name in names]
    newest = max(file.stat().st_mtime for file in files if file.exists())
    return datetime.fromtimestamp(newest, UTC)


def _is_of(session: Session, completion: _Counted) -> bool:
    return completion.finished_s is not None and completion.finished_s >= session.clock_start_s


def _machine_s(manifest: RunManifest, last_finish_s: float) -> float | None:
    """Machine time of all sessions; of one without an end on record, to the last answer."""
    if manifest.is_part_of_recording:
        return None
    total = sum(load.clock_end_s - load.opened_s for load in manifest.lost_loads)
    for session in manifest.sessions:
        begin_s = session.clock_start_s if session.opened_s is None else session.opened_s
        end_s = last_finish_s if session.clock_end_s is None else session.clock_end_s
        total += max(0.0, end_s - begin_s)
    return total


def _usd(manifest: RunManifest, machine_s: float | None) -> float | None:
    engine = manifest.engine
    if engine is None or machine_s is None:
        return None
    rent = usd_per_s(choose_pricing(manifest.config.pricing, engine), engine)
    return None if rent is None else rent * machine_s
