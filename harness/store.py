"""A run's folder: what is in it, how it survives a crash, and who may write it.

::

    results/runs/<run_id>/
        manifest.json      what the run is and how far it got; rewritten atomically
        problems.jsonl     the problems that were asked, with their references
        prompts.jsonl      what the model was shown, as text and as token ids
        completions.jsonl  one line per request, appended the moment it ends
        verdicts.jsonl     one line per completion, appended the moment it is graded
        result.json        manifest, outcomes and estimates, when the run is complete

The files alone are enough to score a run again. Schema history: 1, the first.
"""

import fcntl
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import ValidationError

from harness.config import RunConfig
from harness.errors import StoreError
from harness.models import ResolvedModel
from harness.pricing import Pricing
from harness.provenance import Provenance
from harness.records import (
    Completion,
    Count,
    EngineInfo,
    Estimate,
    FinishReason,
    Problem,
    Prompt,
    Record,
    Seconds,
    Verdict,
    VerdictStatus,
)

SCHEMA_VERSION: Literal[1] = 1

RunStatus = Literal["running", "complete", "interrupted", "failed"]
R = TypeVar("R", bound=Record)


class TaskInfo(Record):
    """A task as this run asked it."""

    name: str
    selection: str
    version: int
    scorer: str
    """With its version: ``math_answer@1``."""
    problems: Count
    full_size: Count
    """How many the whole task has."""
    definition_sha256: str
    problems_sha256: str
    subset_sha256: str
    origin: str


class Session(Record):
    """One process lifetime of a run; a resumed run has several."""

    started_at: datetime
    clock_start_s: Seconds
    """Where the run's clock stood: completions that started later belong to this session."""
    engine: EngineInfo


class RunManifest(Record):
    """What a run is. Everything that a number of it can depend on is in here."""

    schema_version: Literal[1]
    run_id: str
    status: RunStatus
    config: RunConfig
    model: ResolvedModel
    template_sha256: str | None
    tasks: tuple[TaskInfo, ...]
    protocol_fingerprints: dict[str, str]
    """By task: two scores are comparable when these agree."""
    protocol_fields: dict[str, dict[str, Any]]
    """By task: what the fingerprint is made of."""
    scorer_context: dict[str, dict[str, str]]
    """By scorer: versions, limits and the sandbox level."""
    sessions: tuple[Session, ...]
    provenance: Provenance
    started_at: datetime
    finished_at: datetime | None
    error: str | None

    @property
    def engine(self) -> EngineInfo | None:
        """The last session's engine."""
        return self.sessions[-1].engine if self.sessions else None


class Outcome(Record):
    """What became of one request, in one line: enough to compare runs."""

    request_id: str
    status: VerdictStatus
    extracted: str | None
    finish_reason: FinishReason
    completion_tokens: Count
    reasoning_tokens: Count | None


class RunResult(Record):
    """``result.json``: a run in one file."""

    schema_version: Literal[1]
    manifest: RunManifest
    pricing: Pricing
    """The price list that cost was computed with."""
    estimates: tuple[Estimate, ...]
    outcomes: tuple[Outcome, ...]


class JsonlWriter:
    """Appends records, each line in one write, flushed at once. Safe to use from threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._stream: IO[bytes] | None = None

    def append(self, record: Record) -> None:
        """Writes one line.

        Raises:
            StoreError: The disk is full or the folder cannot be written; what was there stays.
        """
        line = record.model_dump_json().encode() + b"\n"
        with self._lock:
            try:
                if self._stream is None:
                    self._stream = self.file.open("ab", buffering=0)
                place = self._stream.tell()
                if self._stream.write(line) != len(line):
                    self._stream.truncate(place)
                    raise OSError(28, "no space left on device")
            except OSError as error:
                raise StoreError(f"{self.file}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Brings everything to the disk itself."""
        with self._lock:
            if self._stream is not None:
                with suppress(OSError):  # a device or pipe has no disk to bring things to
                    os.fsync(self._stream.fileno())
                self._stream.close()
                self._stream = None


class Run:
    """A run's folder, locked for writing while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.completions = JsonlWriter(folder / "completions.jsonl")
        self.verdicts = JsonlWriter(folder / "verdicts.jsonl")
        self._new_verdicts = folder / "verdicts.new.jsonl"
        self._lock: IO[str] | None = None

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            StoreError: Another process writes this run.
        """
        self._lock = (self.folder / ".lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "another process"
            self._lock.close()
            raise StoreError(f"run {self.run_id} is being written by {owner}") from error
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files and gives the lock back."""
        self.completions.close()
        self.verdicts.close()
        if self._lock is not None:
            self._lock.close()

    def write_manifest(self, manifest: RunManifest) -> None:
        """Replaces ``manifest.json``."""
        write_atomically(self.folder / "manifest.json", manifest.model_dump_json(indent=1))

    def write_result(self, result: RunResult) -> None:
        """Replaces ``result.json``."""
        write_atomically(self.folder / "result.json", result.model_dump_json(indent=1))

    def write_problems(self, problems: list[Problem]) -> None:
        """Writes ``problems.jsonl``."""
        text = "".join(f"{problem.model_dump_json()}\n" for problem in problems)
        write_atomically(self.folder / "problems.jsonl", text)

    def write_prompts(self, prompts: list[Prompt]) -> None:
        """Writes ``prompts.jsonl``."""
        text = "".join(f"{prompt.model_dump_json()}\n" for prompt in prompts)
        write_atomically(self.folder / "prompts.jsonl", text)

    def read_manifest(self) -> RunManifest:
        """Reads ``manifest.json``.

        Raises:
            StoreError: It is missing or not one.
        """
        return _read_json(self.folder / "manifest.json", RunManifest)

    def read_problems(self) -> dict[str, Problem]:
        """The problems by id."""
        problems = read_jsonl(self.folder / "problems.jsonl", Problem)
        return {problem.problem_id: problem for problem in problems}

    def read_prompts(self) -> dict[str, Prompt]:
        """The prompts by problem id."""
        prompts = read_jsonl(self.folder / "prompts.jsonl", Prompt)
        return {prompt.problem_id: prompt for prompt in prompts}

    def read_completions(self) -> Iterator[Completion]:
        """One at a time: a large run does not fit into memory."""
        yield from _unique(read_jsonl(self.folder / "completions.jsonl", Completion), self.folder)

    def read_verdicts(self) -> dict[str, Verdict]:
        """The verdicts by request id; while a run is scored anew, the new ones."""
        verdicts = _unique(read_jsonl(self.verdicts.file, Verdict), self.folder)
        return {verdict.request_id: verdict for verdict in verdicts}

    def cut_torn_lines(self) -> list[str]:
        """Takes a half-written last line off both files, keeping its bytes beside them.

        A process that is killed can leave one. The request is simply made again.

        Returns:
            What was done, one line for each file.
        """
        notes = []
        for name in ("completions", "verdicts"):
            file = self.folder / f"{name}.jsonl"
            if not file.is_file():
                continue
            data_end = _end_of_last_line(file)
            torn = file.stat().st_size - data_end
            if torn:
                with file.open("r+b") as stream:
                    stream.seek(data_end)
                    rest = stream.read()
                    with (self.folder / f"{name}.torn").open("ab") as kept:
                        kept.write(rest + b"\n")
                    stream.truncate(data_end)
                notes.append(f"{file.name}: a half-written last line ({torn} bytes) was set aside")
        return notes

    def start_new_verdicts(self) -> None:
        """Sends verdicts to a file beside the old ones, which stay until the new are whole."""
        self._new_verdicts.unlink(missing_ok=True)
        self.verdicts.close()
        self.verdicts = JsonlWriter(self._new_verdicts)

    def keep_new_verdicts(self) -> None:
        """Puts the new verdicts in the place of the old ones."""
        self.verdicts.close()
        self._new_verdicts.replace(self.folder / "verdicts.jsonl")
        self.verdicts = JsonlWriter(self.folder / "verdicts.jsonl")


def create_run(results_dir: Path, model_name: str, engine_name: str) -> Run:
    """Makes the folder of a new run.

    Raises:
        StoreError: It cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    safe = re.sub(r"[^A-Za-z0-9.-]+", "-", model_name).strip("-.") or "model"
    folder = runs_dir(results_dir) / f"{stamp}_{safe}_{engine_name}_{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"results_dir={results_dir}: cannot be written ({error.strerror})"
        ) from error
    return Run(folder)


def runs_dir(results_dir: Path) -> Path:
    """Where runs lie under ``results_dir``."""
    return results_dir / "runs"


def find_run(name: str, results_dir: Path) -> Run:
    """Finds a run by id or by folder.

    Raises:
        StoreError: There is none.
    """
    as_path = Path(name).expanduser()
    if as_path.name == "result.json":
        as_path = as_path.parent
    for folder in (as_path, runs_dir(results_dir) / Path(name).name):
        if (folder / "manifest.json").is_file():
            return Run(folder.resolve())
    raise StoreError(f"{name}: no run there (looked for manifest.json in it and in {results_dir})")


class Unfinished(NamedTuple):
    """A run that can be continued."""

    run: Run
    manifest: RunManifest


def unfinished_runs(results_dir: Path) -> list[Unfinished]:
    """Those that are not complete, the newest first."""
    found = []
    for file in sorted(runs_dir(results_dir).glob("*/manifest.json"), reverse=True):
        run = Run(file.parent)
        try:
            manifest = run.read_manifest()
        except StoreError:
            continue  # another version's, or damaged: not ours to continue
        if manifest.status != "complete":
            found.append(Unfinished(run, manifest))
    return found


def read_result(folder: Path) -> RunResult:
    """Reads a run's ``result.json``."""
    return _read_json(folder / "result.json", RunResult)


def write_atomically(file: Path, text: str) -> None:
    """Replaces a file as a whole: a reader sees the old or the new one, never half.

    Raises:
        StoreError: The disk is full or the folder cannot be written; the old file stays.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with scratch.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(file)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from error


def read_jsonl(file: Path, kind: type[R]) -> Iterator[R]:
    """Reads records one at a time. A missing file has none.

    Raises:
        StoreError: A line is not such a record; names file and line.
    """
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                reason = first["msg"]
                if not line.endswith(b"\n"):
                    reason = "the line is cut off; harness run resume=… sets it aside"
                raise StoreError(
                    f"{file}:{number}: not a {kind.__name__}: "
                    f"{'.'.join(map(str, first['loc']))}{': ' if first['loc'] else ''}{reason}"
                ) from error


def _unique(records: Iterator[R], folder: Path) -> Iterator[R]:
    seen: set[str] = set()
    for record in records:
        request_id: str = record.request_id  # type: ignore[attr-defined]
        if request_id in seen:
            raise StoreError(f"{folder}: request {request_id} is recorded twice")
        seen.add(request_id)
        yield record


def _end_of_last_line(file: Path) -> int:
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def _read_json(file: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raw = error.errors()[0]
        where = ".".join(str(part) for part in raw["loc"])
        raise StoreError(f"{file}: not a {kind.__name__}: {where}: {raw['msg']}") from error


def result_schema() -> dict[str, Any]:
    """JSON Schema of ``result.json``."""
    schema = RunResult.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def dump_json(value: Any) -> str:
    """One line of JSON, without NaN."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
