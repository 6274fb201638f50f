"""A log of another harness with our names of tasks and problems."""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError, UserError
from harness.interop.readers.problems import OurProblems
from harness.interop.readers.records import DamagedError, ForeignEntry, ForeignFile, Reader
from harness.interop.readers.registry import reader_of, readers
from harness.records import Problem
from harness.tasks import parse_selection
from harness.tasks.names import tasks_called
from harness.tasks.subset import ids_sha256

_DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
    *(OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that a parser may raise on bytes of another format."""


class Found(NamedTuple):
    """An entry of a log and our problem that it is about."""

    task: str
    problem: Problem
    entry: ForeignEntry


@dataclass
class ForeignLog:
    """A log that is read while it is iterated over; facts about all of it are known at its end.

    Iterating raises UserError where the log is damaged, of another version, or about no task of
    ours, and UnavailableError where our own problems are needed and not available.
    """

    file: Path
    reader: Reader
    content: ForeignFile
    task: str | None
    """Our task that the log is about, if its user named it."""
    among: Sequence[str] = ()
    """Tasks that its user named; they decide where the log's names are ambiguous."""
    left_out: int = 0
    """Entries so far whose problem our task does not have."""
    _seen: set[tuple[str, int | None]] = field(default_factory=set)
    _problems: dict[str, dict[str, Problem]] = field(default_factory=dict)
    _samples: Counter[str] = field(default_factory=Counter)

    @property
    def harness(self) -> str:
        """The harness that wrote the log."""
        return self.reader.name

    @property
    def scorer(self) -> str:
        """The scorer of its verdicts, in the form of a protocol field."""
        return f"{self.harness} {self.content.scorer}"

    def __iter__(self) -> Iterator[Found]:
        """The entries whose problems our tasks have, in the order of the file."""
        ours: dict[str, OurProblems] = {}
        names: dict[tuple[str, ...], str] = {}
        for entry in _guarded(self.file, self.reader, self.content.entries):
            if entry.task_names not in names:
                names[entry.task_names] = self.task or _our_task(self.file, entry, self.among)
            task = names[entry.task_names]
            if task not in ours:
                ours[task] = OurProblems(task)
            problem = ours[task].find(entry)
            if problem is None:
                self.left_out += 1
                continue
            self._note(task, problem, entry)
            yield Found(task, problem, entry)
        if not ours:
            raise DamagedError(self.file, "", "has no answer")
        if not self._problems:
            raise UserError(
                f"{self.file}: none of its {self.left_out} problems is one of task "
                f"{' or '.join(ours)}; --task NAME says which of our tasks it is about"
            )

    def _note(self, task: str, problem: Problem, entry: ForeignEntry) -> None:
        name = problem.problem_id
        known = self._problems.setdefault(task, {})
        is_numbered = entry.sample is not None
        if (name, entry.sample) in self._seen or (name in known and not is_numbered):
            which = f" (sample {entry.sample})" if is_numbered else ""
            raise UserError(
                f"{self.file}: {entry.place}: {name}{which} occurs twice; give the log of "
                "one evaluation"
            )
        self._seen.add((name, entry.sample))
        # A problem is kept for the digest of its id alone.
        known[name] = problem
        self._samples[name] += entry.judged

    def fields(self, task: str) -> dict[str, Any]:
        """The known protocol fields of a task, once the log is read."""
        if (whole := self.content.protocols.get(task)) is not None:
            return dict(whole)
        problems = self._problems[task]
        return {
            "task": task,
            "subset_sha256": ids_sha256(problems.values()),
            "samples_per_problem": max(self._samples[name] for name in problems),
            "scorer": self.scorer,
            **self.content.fields,
        }


def open_log(file: Path, task: str | None = None, among: Sequence[str] = ()) -> ForeignLog:
    """Opens a log.

    Args:
        file: A file, or the folder that evalscope writes.
        task: Which of our tasks it is about; None: as its own names tell.
        among: Tasks that are asked for: one of them it is where its own names leave it open.

    Raises:
        UserError: Its format is unknown, it is damaged, or it is of another version.
        TaskError: There is no such task.
    """
    if task is not None:
        task = parse_selection(task).task
    reader = reader_of(file)
    if reader is None:
        known = ", ".join(each.name for each in readers())
        raise UserError(f"{file}: of no harness whose logs can be read: {known}")
    try:
        content = reader.read(file)
    except _DAMAGE as error:
        raise _damaged(file, reader, error) from error
    return ForeignLog(file, reader, content, task, among)


def _guarded(file: Path, reader: Reader, entries: Iterator[ForeignEntry]) -> Iterator[ForeignEntry]:
    """The entries; what reading the next one raises is about the file."""
    while True:
        try:
            entry = next(entries, None)
        except _DAMAGE as error:
            raise _damaged(file, reader, error) from error
        if entry is None:
            return
        yield entry


def _damaged(file: Path, reader: Reader, error: Exception) -> HarnessError:
    if isinstance(error, HarnessError):
        return error
    what = f"not as {reader.name} writes it: {type(error).__name__} {error}"
    return DamagedError(file, "", what)


def _our_task(file: Path, entry: ForeignEntry, among: Sequence[str]) -> str:
    found = tasks_called(entry.task_names)
    if len(found) != 1:
        found = [each for each in among if each in found or not found] or found
    if len(found) == 1:
        return found[0]
    named = ", ".join(entry.task_names) or "nothing"
    if found:
        raise UserError(
            f"{file}: {entry.place}: its task {named} may be {' or '.join(found)}; --task NAME "
            "says which"
        )
    raise UserError(
        f"{file}: {entry.place}: its task {named} is none that is known by that name; --task NAME "
        "says which of ours it is (harness tasks lists them)"
    )
