"""A run's folder: what is in it, how it survives a crash, and who may write it.

::

    results/runs/<run_id>/
        manifest.json      what the run is and how far it got; rewritten atomically
        problems.jsonl     the problems that were asked, with their references
        prompts.jsonl      what the model was shown, as text and as token ids
        completions.jsonl  one line per request, appended the moment it ends
        verdicts.jsonl     one line per completion, appended the moment it is graded
                           (a request that failed and was asked again has a line for each try in
                           both files; the last one counts)
        result.json        manifest, outcomes and estimates, when the run is complete

The files alone are enough to score a run again.
"""

import difflib
import fcntl
import os
import re
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, TypeVar

from harness.errors import StoreError
from harness.io.jsonl import (
    JsonlWriter,
    end_of_last_line,
    open_own,
    read_json,
    read_jsonl,
    unwritable,
    write_atomically,
)
from harness.io.paths import default_results_dir
from harness.io.redaction import redact
from harness.records import Completion, Problem, Prompt, RequestId, Verdict
from harness.store.manifest import RunManifest

R = TypeVar("R", Completion, Verdict)
_PROC_LOCKS = Path("/proc/locks")


_OF_AN_EMPTY_RUN = frozenset(
    {
        ".lock",
        "completions.jsonl",
        "heartbeat.json",
        "manifest.json",
        "problems.jsonl",
        "prompts.jsonl",
        "verdicts.jsonl",
    }
)


class Run:
    """A run's folder, locked for writing while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.completions = JsonlWriter(folder / "completions.jsonl")
        self.verdicts = JsonlWriter(folder / "verdicts.jsonl")
        self._new_verdicts = folder / "verdicts.new.jsonl"
        self._lock: IO[bytes] | None = None

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def shown(self) -> str:
        """The run's name in a shell: its id where that is unique, else its folder."""
        is_default = self.folder.parent == runs_dir(default_results_dir()).resolve()
        return shlex.quote(self.run_id if is_default else str(self.folder))

    def is_being_written(self) -> bool:
        """Whether some process holds the lock at this moment."""
        try:
            with self:
                return False
        except StoreError:
            return True

    def __enter__(self) -> Self:
        """Locks the run's folder.

        Raises:
            StoreError: Another process writes this run.
        """
        self._lock = self._open_lock()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = self._lock.readline().decode("ascii", "replace").strip() or "another process"
            self._lock.close()
            raise StoreError(
                f"run {self.run_id} is being written by {owner}; wait for it, or stop it first"
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}\n{socket.gethostname()}\n".encode())
        return self

    def _open_lock(self) -> IO[bytes]:
        file = self.folder / ".lock"
        try:
            return open_own(file, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise unwritable(file, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files and releases the lock."""
        self.completions.close()
        self.verdicts.close()
        if self._lock is not None:
            self._lock.close()

    def write_manifest(self, manifest: RunManifest) -> None:
        """Replaces ``manifest.json``."""
        manifest = _without_secrets(manifest)
        write_atomically(self.folder / "manifest.json", manifest.model_dump_json(indent=1))

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
        return read_json(self.folder / "manifest.json", RunManifest)

    def refuse_shard(self) -> None:
        """Refuses a part of a run, which has no result.

        Raises:
            StoreError: It is one; names the command that joins them.
        """
        shard = self.read_manifest().config.shard_name
        if shard is not None:
            raise StoreError(
                f"run {self.run_id} is shard {shard}, and a single shard has no "
                "result; harness merge RUN… joins all shards into a run"
            )

    def read_problems(self) -> dict[str, Problem]:
        """The problems by id."""
        problems = read_jsonl(self.folder / "problems.jsonl", Problem)
        return {problem.problem_id: problem for problem in problems}

    def read_prompts(self) -> dict[str, Prompt]:
        """The prompts by problem id."""
        prompts = read_jsonl(self.folder / "prompts.jsonl", Prompt)
        return {prompt.problem_id: prompt for prompt in prompts}

    def read_completions(
        self, *, with_text: bool = True, superseded: list[Completion] | None = None
    ) -> Iterator[Completion]:
        """The last one of each request, one at a time: a large run does not fit into memory.

        Args:
            with_text: False leaves every ``text`` empty, unread and unchecked: a pass over
                gigabytes then takes a fifth of the time.
            superseded: Takes those of requests that failed and were asked again.

        Raises:
            StoreError: A request that was answered is recorded twice.
        """
        yield from _last_of_each(self.read_attempts(with_text=with_text), self.folder, superseded)

    def read_attempts(self, *, with_text: bool = True) -> Iterator[Completion]:
        """All completions, failed attempts that were followed by another included."""
        shorten = None if with_text else without_text
        yield from read_jsonl(self.folder / "completions.jsonl", Completion, shorten)

    def read_verdicts(self) -> dict[RequestId, Verdict]:
        """The verdicts by request id; while a run is graded again, the new ones."""
        verdicts = _last_of_each(read_jsonl(self.verdicts.file, Verdict), self.folder)
        return {verdict.request_id: verdict for verdict in verdicts}

    def cut_torn_lines(self) -> list[str]:
        """Removes a half-written last line from both files, and keeps its bytes beside them.

        A process that is killed can leave one. The request is simply made again.

        Returns:
            What was done, one line for each file.
        """
        notes = []
        for name in ("completions", "verdicts"):
            file = self.folder / f"{name}.jsonl"
            if not file.is_file():
                continue
            data_end = end_of_last_line(file)
            torn = file.stat().st_size - data_end
            if torn:
                _set_aside(file, data_end, self.folder / f"{name}.torn")
                notes.append(f"{file.name}: a half-written last line ({torn} bytes) was set aside")
        return notes

    def remove_if_empty(self) -> bool:
        """Removes the folder of a run without any answer; False where there is something in it.

        A file that is none of a run's own, such as a server's log, is something too.
        """
        completions = self.folder / "completions.jsonl"
        if completions.is_file() and completions.stat().st_size:
            return False
        if {each.name for each in self.folder.iterdir()} - _OF_AN_EMPTY_RUN:
            return False
        shutil.rmtree(self.folder, ignore_errors=True)
        return not self.folder.exists()

    def start_new_verdicts(self) -> None:
        """Writes verdicts to a second file; the old ones stay until the new ones are complete."""
        self.verdicts.close()
        try:
            self._new_verdicts.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._new_verdicts, error) from error
        self.verdicts = JsonlWriter(self._new_verdicts)

    def keep_new_verdicts(self) -> None:
        """Puts the new verdicts in the place of the old ones."""
        self.verdicts.close()
        self._new_verdicts.replace(self.folder / "verdicts.jsonl")
        self.verdicts = JsonlWriter(self.folder / "verdicts.jsonl")


class Writer(NamedTuple):
    """The process that holds, or last held, a run's lock."""

    process: int | None
    is_at_work: bool | None
    """None: unknown, for example because the run is on another machine."""


def writer_of(folder: Path) -> Writer:
    """The writer of a run, found without taking the lock, which would block it for a moment.

    The kernel lists the locks of this machine in ``/proc/locks``.
    """
    file = folder / ".lock"
    try:
        inode = file.stat().st_ino
        process, host = file.read_text(encoding="ascii", errors="replace").split("\n")[:2]
        locks = [line.split() for line in _PROC_LOCKS.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return Writer(None, None)
    number = process.removeprefix("process ")
    is_held = any("FLOCK" in lock and lock[5].endswith(f":{inode}") for lock in locks)
    is_at_work = is_held if is_held or host == socket.gethostname() else None
    return Writer(int(number) if number.isdigit() else None, is_at_work)


def _without_secrets(manifest: RunManifest) -> RunManifest:
    """A completion without secrets in its error, where libraries and servers may quote a key."""
    update: dict[str, Any] = {}
    if manifest.error is not None:
        update["error"] = redact(manifest.error)
    if (canary := manifest.canary) is not None:
        words = {"faults": canary.faults, "warnings": canary.warnings}
        clean = {name: tuple(map(redact, each)) for name, each in words.items()}
        update["canary"] = canary.model_copy(update=clean)
    return manifest.model_copy(update=update)


def without_text(line: bytes) -> bytes:
    """A completion's line with an empty text; a line in another format is unchanged.

    A quote inside of a string has a backslash before it, so in a line of JSON neither pattern can
    be found within a string; a second text is of another line, glued to one that was cut off.
    """
    start = line.find(b'"text":"')
    end = line.rfind(b'","finish_reason":"')
    if start < 0 or end < start or line.rfind(b'"text":"') != start:
        return line
    return line[: start + len(b'"text":"')] + line[end:]


def _set_aside(file: Path, data_end: int, torn: Path) -> None:
    """Moves everything after the last complete line into another file."""
    try:
        with open_own(file, os.O_RDWR) as stream:
            stream.seek(data_end)
            with open_own(torn, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as kept:
                kept.write(stream.read() + b"\n")
            stream.truncate(data_end)
    except OSError as error:
        raise unwritable(file, error) from error


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
    """The folder of all runs under ``results_dir``."""
    return results_dir / "runs"


def find_run(name: str, results_dir: Path) -> Run:
    """Finds a run by id or by folder.

    Raises:
        StoreError: There is none.
    """
    as_path = Path(name).expanduser()
    if as_path.name == "result.json":
        as_path = as_path.parent
    # A path means that folder and no other; a bare name may be an id.
    folders = [as_path] if os.sep in name else [as_path, runs_dir(results_dir) / name]
    for folder in folders:
        if (folder / "manifest.json").is_file():
            return Run(folder.resolve())
    where = runs_dir(results_dir)
    known = sorted(file.parent.name for file in where.glob("*/manifest.json"))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f"did you mean {near[0]}?" if near else "harness status lists the runs"
    raise StoreError(
        f"{name}: no run there (looked for manifest.json in it and in {where}); {hint}"
    )


def find_result(given: str, results_dir: Path) -> Path:
    """Finds a ``result.json`` by a run's id, its folder, or the file itself under any name.

    Raises:
        StoreError: There is no such run, it is a shard, or it was never finished.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    folders = [path] if os.sep in given else [path, runs_dir(results_dir) / given]
    for folder in folders:
        if (file := folder / "result.json").is_file():
            return file
    run = find_run(given, results_dir)
    run.refuse_shard()
    status = run.read_manifest().status
    if status == "running" and run.is_being_written():
        raise StoreError(
            f"run {run.run_id} is not finished: a process is at work on it; "
            f"harness status {run.run_id} shows how far it is"
        )
    if status != "complete":
        raise StoreError(
            f"run {run.run_id} has no result.json, because it was never finished; "
            f"harness run resume={run.shown} continues it"
        )
    raise StoreError(f"run {run.run_id} has no result.json; harness score {run.shown} makes it")


class Found(NamedTuple):
    """A run and what it is."""

    run: Run
    manifest: RunManifest


def unfinished_runs(results_dir: Path) -> list[Found]:
    """Runs that are not complete, newest first; some may be running at this moment."""
    return [found for found in _all_runs(results_dir) if found.manifest.status != "complete"]


def complete_runs(results_dir: Path) -> list[Found]:
    """Complete runs, newest first."""
    return [found for found in _all_runs(results_dir) if found.manifest.status == "complete"]


def _all_runs(results_dir: Path) -> Iterator[Found]:
    for file in sorted(runs_dir(results_dir).glob("*/manifest.json"), reverse=True):
        run = Run(file.parent)
        try:
            yield Found(run, run.read_manifest())
        except StoreError:
            continue  # another version's, or damaged: not ours to continue


def _last_of_each(
    records: Iterator[R], folder: Path, superseded: list[R] | None = None
) -> Iterator[R]:
    """The record that counts of each request; failures come last.

    Only after a failure may another record of the same request follow.
    """
    final: set[str] = set()
    failed: dict[str, R] = {}
    for record in records:
        if record.request_id in final:
            raise StoreError(
                f"{folder}: request {record.request_id} is recorded twice; remove one of the lines"
            )
        before = failed.pop(record.request_id, None)
        if before is not None and superseded is not None:
            superseded.append(before)
        if record.is_failure:
            failed[record.request_id] = record
        else:
            final.add(record.request_id)
            yield record
    yield from failed.values()
