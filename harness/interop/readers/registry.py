"""The readers there are: the built-in ones and those of other packages."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.interop.readers.eee import EveryEvalEver
from harness.interop.readers.evalplus import Evalplus
from harness.interop.readers.evalscope import Evalscope
from harness.interop.readers.inspect import Inspect
from harness.interop.readers.lm_eval import LmEval
from harness.interop.readers.records import Reader
from harness.io.extensions import READERS, added, load

BUILT_IN: tuple[Reader, ...] = (LmEval(), Evalplus(), Inspect(), Evalscope(), EveryEvalEver())


@cache
def readers() -> Sequence[Reader]:
    """All of them, the built-in ones first.

    Raises:
        ConfigError: One of another package cannot be imported, or is no reader.
    """
    return (
        *BUILT_IN,
        *(_of_package(name) for name in added(READERS, [each.name for each in BUILT_IN])),
    )


def _of_package(name: str) -> Reader:
    found = load(READERS, name, Reader)  # type: ignore[type-abstract]
    assert found is not None, "it was declared a moment ago"
    return found()


def reader_of(file: Path) -> Reader | None:
    """Which of them reads a file or folder; None when none does.

    A pipe is none of theirs: what is read to find out would be gone.
    """
    if not (file.is_file() or file.is_dir()):
        return None
    return next((each for each in readers() if each.recognises(file)), None)


def harness_of(file: Path) -> str | None:
    """Which harness wrote a file or folder; None when none of those that are known did."""
    reader = reader_of(file)
    return None if reader is None else reader.name
