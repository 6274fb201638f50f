"""What a log of another harness says, in one shape whoever wrote it.

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
    """One answer of a log. What the log does not say is None."""

    status: VerdictStatus | None
    """Their verdict; None where they have one figure for several answers, or none for this one."""
    output: str | None = None
    """What the model wrote, thoughts in ``<think>`` included, or as much of it as the log keeps."""
    graded: str | None = None
    """What their grader took: the extracted answer, or the whole program."""
    completion_tokens: int | None = None
    latency_s: float | None = None
    """From the request's start to its end."""
    is_truncated: bool | None = None
    """Whether the token limit cut the model off."""
    opened_think: bool = False
    """Whether the prompt ended inside a thought, so that ``output`` begins in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEntry:
    """One entry of a log: one answer to a problem, or several."""

    place: str
    """Where it is in the file, for messages: ``line 7``, ``samples/1_epoch_1.json``."""
    task_names: tuple[str, ...]
    """What the log calls its task and data set: ``gsm8k``, ``openai/gsm8k``."""
    problem_names: tuple[str, ...] = ()
    """What the log calls the problem: ``HumanEval/0``, ``test/algebra/24.json``, ``12``."""
    texts: tuple[str, ...] = ()
    """Texts one of which is the question, or a prompt that ends with it."""
    reference: str | None = None
    """The right answer, where the log has it."""
    sample: int | None = None
    """Which sample of its problem, from 0; None where the log does not number them."""
    answers: tuple[ForeignAnswer, ...]
    """Those that they judged come first."""
    judged: int
    """How many of the answers their grader saw; errors are not among them."""
    solved: int
    """How many of these it accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFile:
    """What a reader makes of a file."""

    entries: Iterator[ForeignEntry]
    """Read as they are asked for; a log may be larger than the memory."""
    scorer: str
    """What judged the answers: ``exact_match``, ``pass@1``."""
    version: str | None = None
    """Of the harness that wrote it."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What it says of its protocol, by our fields' names (``temperature``, ``max_new_tokens``).
    What is not here is unknown; None is an option that is known to be off."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    """What it says of model and engine, by our names (``model``, ``engine.name``)."""
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By our task's name, the whole protocol of a run of this harness that was exported."""


class Reader(ABC):
    """Reads the logs of one harness; made without arguments."""

    name: ClassVar[str]
    """Of the harness: ``lm-evaluation-harness``."""

    @abstractmethod
    def recognises(self, file: Path) -> bool:
        """Whether this harness wrote a file or folder, whatever its version; never raises."""

    @abstractmethod
    def read(self, file: Path) -> ForeignFile:
        """Reads it.

        Raises:
            UserError: It is damaged or of another version; one line that names the file.
        """


class DamagedError(UserError):
    """A log is not as its harness writes it."""

    def __init__(self, file: Path, place: str, what: str) -> None:
        where = f"{file}: {place}" if place else str(file)
        super().__init__(f"{where}: {' '.join(what.split())}")
