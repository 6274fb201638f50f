"""The file of all nights: one line for each night and model, appended whole, never rewritten."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from harness.analysis.nightly.record import Change, Night, changes, setting_changes
from harness.errors import StoreError
from harness.io.jsonl import JsonlWriter, end_of_last_line, open_own, unwritable
from harness.io.mistakes import first_mistake


class History:
    """``nightly/history.jsonl``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[Night]:
        """All nights in the order in which they were written; a line that is cut off is no night.

        Raises:
            StoreError: A whole line is no night; names file and line.
        """
        return list(self._lines())

    def append(self, night: Night) -> None:
        """Adds a line, in one write, and brings it to the disk.

        Raises:
            StoreError: The disk is full or the folder cannot be written.
        """
        self._cut_torn_line()
        writer = JsonlWriter(self.file)
        try:
            writer.append(night)
        finally:
            writer.close()

    def _lines(self) -> Iterator[Night]:
        if not self.file.is_file():
            return
        try:
            whole = self.file.read_bytes()[: end_of_last_line(self.file)]
        except OSError as error:
            raise StoreError(f"{self.file}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                yield Night.model_validate_json(line)
            except ValidationError as error:
                raise StoreError(
                    f"{self.file}:{number}: not a night: {first_mistake(error)}; "
                    "correct or remove the line"
                ) from error

    def _cut_torn_line(self) -> None:
        """A line that a power cut left half-written would swallow the next one."""
        if not self.file.is_file():
            return
        end = end_of_last_line(self.file)
        if self.file.stat().st_size == end:
            return
        try:
            with open_own(self.file, os.O_RDWR) as stream:
                stream.truncate(end)
        except OSError as error:
            raise unwritable(self.file, error) from error


def by_label(nights: Sequence[Night]) -> dict[str, list[Night]]:
    """The nights of each job, in the order of their dates, as they were written within one."""
    sorted_nights = sorted(nights, key=lambda night: night.night)
    labels = dict.fromkeys(night.label for night in sorted_nights)
    return {label: [n for n in sorted_nights if n.label == label] for label in labels}


def earlier(nights: Sequence[Night], tonight: Night) -> list[Night]:
    """Nights of the same job that ended with a result, up to tonight's date."""
    return [
        night
        for night in by_label(nights).get(tonight.label, [])
        if night.status == "done" and night.night <= tonight.night
    ]


def series(nights: Sequence[Night], tonight: Night, count: int) -> list[Night]:
    """The last ``count`` earlier nights that tonight may be compared with."""
    comparable = [
        n for n in earlier(nights, tonight) if not setting_changes(n.setting, tonight.setting)
    ]
    return comparable[-count:]


class Step(NamedTuple):
    """What changed since the previous night with a result."""

    setting: list[Change]
    """Any of these begins a new series."""
    versions: list[Change]


def steps(nights: Sequence[Night]) -> list[Step]:
    """The step of each night of one job, in order; empty for the first and without a result."""
    found, last = [], None
    for night in nights:
        if night.status != "done":
            found.append(Step([], []))
            continue
        before = night if last is None else last
        setting = setting_changes(before.setting, night.setting)
        found.append(Step(setting, changes(before.versions, night.versions)))
        last = night
    return found
