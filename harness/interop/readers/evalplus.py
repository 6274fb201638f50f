"""Result files of evalplus: ``*_eval_results.json``.

Read from what evalplus 0.3.1 writes (``evaluate.py``): ``eval`` holds for each problem a list of
``solution``, ``base_status`` and ``plus_status``. Model, sampling, tokens and times are not in it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from harness.interop.readers.parts import Part, head, read_whole
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)


class _Sample(Part):
    solution: str
    base_status: Literal["pass", "fail", "timeout"]


class _Results(Part):
    eval: dict[str, list[_Sample]]


class Evalplus(Reader):
    """Reads them. The verdict is that of the base tests."""

    name = "evalplus"

    def recognises(self, file: Path) -> bool:
        """Whether it begins as theirs do."""
        begins = head(file)
        return re.match(rb'\s*\{\s*"(date|hash|eval)"', begins) is not None and b'"eval"' in begins

    def read(self, file: Path) -> ForeignFile:
        """Reads a file."""
        results = read_whole(_Results, file).eval
        if not results:
            raise DamagedError(file, "eval", "has no problem")
        return ForeignFile(entries=_entries(results), scorer="base tests")


def _entries(results: Mapping[str, list[_Sample]]) -> Iterator[ForeignEntry]:
    for name, samples in results.items():
        passed = [each.base_status == "pass" for each in samples]
        yield ForeignEntry(
            place=f"eval.{name}",
            task_names=(name.partition("/")[0],),
            problem_names=(name,),
            judged=len(samples),
            solved=sum(passed),
            answers=tuple(
                ForeignAnswer(
                    output=each.solution,
                    graded=each.solution,
                    status="correct" if is_right else "incorrect",
                )
                for each, is_right in zip(samples, passed, strict=True)
            ),
        )
