"""The content of another harness's log in one form for all harnesses.

A reader of another package needs this module alone: it is a subclass of ``Reader``, declared as an
entry point of ``gegenprobe.readers``. It says what is in the file; which of our tasks and problems
that is, is found for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import UserError
from harness.records import VerdictStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAnswer:
    """One answer of a log. Unknown is None."""

    status: VerdictStatus | None
    """The harness's verdict; None where it has one figure for several answers, or none for this
    one."""
    output: str | None = None
    """The model's output with its thoughts in ``<think>``, as far as the log keeps it."""
    graded: str | None = None
    """The text that was graded: the extracted answer, or the whole program."""
    completion_tokens: int | None = None
    latency_s: float | None = None
    """Seconds from the request's start to its end."""
    is_truncated: bool | None = None
    """Whether the token limit cut the model off."""
    opened_think: bool = False
    """Whether the prompt ended inside a thought, so that ``output`` begins in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEntry:
    """One entry of a log: one answer to a problem, or several."""

    place: str
    """The place in the file, for messages: ``line 7``, ``samples/1_epoch_1.json``."""
    task_names: tuple[str, ...]
    """The log's names of its task and data set: ``gsm8k``, ``openai/gsm8k``."""
    problem_names: tuple[str, ...] = ()
    """The log's names of the problem: ``HumanEval/0``, ``test/algebra/24.json``, ``12``."""
    texts: tuple[str, ...] = ()
    """Texts one of which is the question, or a prompt that ends with it."""
    reference: str | None = None
    """The right answer, where the log has it."""
    sample: int | None = None
    """Which sample of its problem, from 0; None where the log does not number them."""
    answers: tuple[ForeignAnswer, ...]
    """The answers; judged ones come first."""
    judged: int
    """How many of the answers their grader saw; errors are not among them."""
    solved: int
    """How many of these it accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFile:
    """A file as its reader sees it."""

    entries: Iterator[ForeignEntry]
    """The entries, read lazily; a log may be larger than the memory."""
    scorer: str
    """The scorer of the answers: ``exact_match``, ``pass@1``."""
    version: str | None = None
    """The version of the harness that wrote it."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Its protocol settings by our names (``temperature``, ``max_new_tokens``). A missing key is
    unknown; None is an option that is known to be off."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    """Its model and engine by our names (``model``, ``engine.name``)."""
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By our task name: the whole protocol of an exported run of this harness."""


class Reader(ABC):
    """Reads the logs of one harness; made without arguments."""

    name: ClassVar[str]
    """The harness's name: ``lm-evaluation-harness``."""

    @abstractmethod
    def recognises(self, file: Path) -> bool:
        """Whether this harness wrote a file or folder, whatever its version; never raises."""

    @abstractmethod
    def read(self, file: Path) -> ForeignFile:
        """Reads a file or folder.

        Raises:
            UserError: It is damaged or of another version; one line that names the file.
        """


class DamagedError(UserError):
    """A log is not as its harness writes it."""

    def __init__(self, file: Path, place: str, what: str) -> None:
        where = f"{file}: {place}" if place else str(file)
        super().__init__(f"{where}: {' '.join(what.split())}")
