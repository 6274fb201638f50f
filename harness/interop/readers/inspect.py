"""Logs of Inspect: ``.eval``, a zip with ``header.json`` and a file for each sample and epoch.

Read from what inspect-ai 0.3.285 writes (``log/_log.py``, log version 2). Of several scorers the
first counts.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.interop.readers.exported import (
    BLOCK,
    exported_protocols,
    own_opened_think,
    own_status,
)
from harness.interop.readers.messages import (
    CUT_OFF,
    Message,
    Sampling,
    protocol_fields,
    said_last,
    text_of,
)
from harness.interop.readers.parts import Part, head, parse, shown
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)
from harness.interop.readers.zipped import Zipped
from harness.records import VerdictStatus

VERSION = 2
_HEADER, _SAMPLES = "header.json", "samples/"
_ATTACHED = "attachment://"
_VERDICTS: Mapping[Any, VerdictStatus] = {
    "C": "correct",
    "I": "incorrect",
    "N": "no_answer",
    1: "correct",
    0: "incorrect",
}
"""Verdicts by the value of a score; True equals 1 and False equals 0."""


class _Dataset(Part):
    name: str | None = None
    location: str | None = None


class _Scorer(Part):
    name: str


class _Spec(Part):
    task: str
    model: str
    dataset: _Dataset
    model_generate_config: Sampling = Sampling()
    packages: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    metadata: dict[str, JsonValue] | None = None
    scorers: list[_Scorer] | None = None


class _Plan(Part):
    config: Sampling = Sampling()


class _Results(Part):
    scores: list[_Scorer] = []  # noqa: RUF012 - pydantic copies it


class _Version(Part):
    version: int


class _Header(Part):
    status: str
    eval: _Spec
    plan: _Plan = _Plan()
    results: _Results | None = None
    invalidated: bool = False


class _Choice(Part):
    message: Message
    stop_reason: str = "unknown"


class _Usage(Part):
    output_tokens: int = 0


class _Output(Part):
    choices: list[_Choice] = []  # noqa: RUF012 - pydantic copies it
    usage: _Usage | None = None
    time: float | None = None


class _Score(Part):
    value: JsonValue
    answer: str | None = None


class _Sample(Part):
    id: int | str
    epoch: int
    input: str | list[Message]
    target: str | list[str]
    messages: list[Message] = []  # noqa: RUF012 - pydantic copies it
    output: _Output = _Output()
    scores: dict[str, _Score] | None = None
    error: JsonValue = None
    metadata: dict[str, JsonValue] | None = None
    attachments: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it


class Inspect(Reader):
    """Reads logs of Inspect."""

    name = "inspect"

    def recognises(self, file: Path) -> bool:
        """Whether it is a zip file of that name or with such a member, or such a log as JSON."""
        begins = head(file)
        if begins.startswith(b"PK\x03\x04"):
            return file.suffix == ".eval" or b"_journal/" in begins
        is_json = re.match(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"', begins) is not None
        return is_json or (file.suffix == ".eval" and file.is_file())

    def read(self, file: Path) -> ForeignFile:
        """Reads a log."""
        if head(file).lstrip().startswith(b"{"):
            raise DamagedError(
                file, "", "is a log as JSON; inspect log convert --to eval makes a .eval of it"
            )
        with Zipped(file) as log:
            names = log.names()
            if _HEADER not in names:
                raise DamagedError(file, "", f"has no {_HEADER}: it is not finished, or cut off")
            text = log.read(_HEADER)
        version = parse(_Version, text, file, _HEADER).version
        if version != VERSION:
            raise DamagedError(file, _HEADER, f"version: {version}: should be {VERSION}")
        header = parse(_Header, text, file, _HEADER)
        scorer = _checked(file, header)
        spec = header.eval
        return ForeignFile(
            entries=_entries(file, [each for each in names if each.startswith(_SAMPLES)], header),
            scorer=scorer,
            version=spec.packages.get("inspect_ai"),
            fields=_fields(header),
            subject={"model": spec.model, **_seed(header)},
            protocols=exported_protocols(_own_block(header), file),
        )


def _checked(file: Path, header: _Header) -> str:
    """The scorer that counts, after checking that the log is complete."""
    if header.status != "success":
        raise DamagedError(file, _HEADER, f"status: {shown(header.status)}: should be 'success'")
    if header.invalidated:
        raise DamagedError(file, _HEADER, "invalidated: True: its user says not to use it")
    if header.results is None or not header.results.scores:
        raise DamagedError(file, _HEADER, "results.scores: has none; inspect score adds one")
    return header.results.scores[0].name


def _own_block(header: _Header) -> JsonValue:
    """The block of our own export; None where the log was scored again since."""
    own = [each.name for each in header.eval.scorers or ()]
    scored = [each.name for each in header.results.scores] if header.results else []
    return (header.eval.metadata or {}).get(BLOCK) if own == scored else None


def _settings(header: _Header) -> dict[str, Any]:
    """The given settings; those of the plan override those of the model."""
    model, plan = header.eval.model_generate_config, header.plan.config
    return {**model.model_dump(exclude_none=True), **plan.model_dump(exclude_none=True)}


def _fields(header: _Header) -> dict[str, Any]:
    """The known protocol fields; a missing setting is the server's default, which is unknown."""
    return protocol_fields(_settings(header))


def _seed(header: _Header) -> dict[str, Any]:
    return {name: value for name, value in _settings(header).items() if name == "seed"}


def _entries(file: Path, names: list[str], header: _Header) -> Iterator[ForeignEntry]:
    with Zipped(file) as log:
        for name in names:
            sample = parse(_Sample, log.read(name), file, name)
            yield _entry(file, name, sample, header)


def _entry(file: Path, place: str, sample: _Sample, header: _Header) -> ForeignEntry:
    assert header.results is not None
    spec = header.eval
    scorer, is_ours = header.results.scores[0].name, _own_block(header) is not None
    status, graded = _verdict(file, place, sample, scorer, is_ours=is_ours)
    is_error = status in {"generation_error", "scorer_error"}
    choice = sample.output.choices[0] if sample.output.choices else None
    tokens = sample.output.usage.output_tokens if sample.output.usage else 0
    seconds = sample.output.time
    answer = ForeignAnswer(
        status=status,
        output=None if choice is None else text_of(choice.message, partial(_attached, sample)),
        graded=graded,
        # Inspect writes 0 where the server reported nothing.
        completion_tokens=tokens or None,
        latency_s=seconds if seconds and math.isfinite(seconds) else None,
        is_truncated=None if choice is None else choice.stop_reason in CUT_OFF,
        opened_think=BLOCK in (spec.metadata or {}) and own_opened_think(sample.metadata),
    )
    return ForeignEntry(
        place=place,
        task_names=tuple(filter(None, (spec.task, spec.dataset.name, spec.dataset.location))),
        problem_names=(str(sample.id),),
        texts=tuple(_questions(sample)),
        reference=sample.target if isinstance(sample.target, str) else None,
        sample=sample.epoch - 1,
        answers=(answer,),
        judged=0 if is_error else 1,
        solved=int(status == "correct"),
    )


def _verdict(
    file: Path, place: str, sample: _Sample, scorer: str, *, is_ours: bool
) -> tuple[VerdictStatus, str | None]:
    score = (sample.scores or {}).get(scorer)
    if is_ours and (ours := own_status(sample.metadata)) is not None:
        return ours, None if score is None else score.answer
    if score is None:
        return ("generation_error" if sample.error else "scorer_error"), None
    value = score.value
    known = _VERDICTS.get(value) if isinstance(value, str | int | float) else None
    if known is None:
        raise DamagedError(
            file, place, f"scores.{scorer}.value: {shown(value)}: should be C, I, N, 1 or 0"
        )
    return known, score.answer


def _questions(sample: _Sample) -> Iterator[str]:
    """The input as in the data set, and the last user message: earlier ones are examples."""
    whole = partial(_attached, sample)
    if isinstance(sample.input, str):
        yield whole(sample.input)
    else:
        yield from said_last(sample.input, whole)
    yield from said_last(sample.messages, whole)


def _attached(sample: _Sample, text: str) -> str:
    """Long texts of older logs are kept once for all places."""
    if not text.startswith(_ATTACHED):
        return text
    return sample.attachments.get(text.removeprefix(_ATTACHED), text)
