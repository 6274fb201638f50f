"""Every Eval Ever: an aggregate ``X.json`` and the rows of all samples, ``X_samples.jsonl``.

Read as schema 0.3.0 has them (``eval.schema.json`` and ``instance_level_eval.schema.json`` in the
wheel of every-eval-ever 0.3.0). Either file may be given; the rows may lie alone, and then say
nothing of the protocol. Of several metrics the first that a task's rows name counts.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.interop.eee_settings import protocol_settings
from harness.interop.readers.exported import (
    BLOCK,
    exported_protocols,
    own_opened_think,
    own_status,
)
from harness.interop.readers.parts import (
    Part,
    as_verdict,
    head,
    read_lines,
    read_whole,
    shown,
    unreadable,
)
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)
from harness.records import VerdictStatus

VERSION = "0.3.0"
_ROWS = "_samples.jsonl"
_OF_A_ROW = (b'"evaluation_id"', b'"interaction_type"')
_OF_THE_WHOLE = (b'"evaluation_id"', b'"retrieved_timestamp"')


class _Version(Part):
    schema_version: str


class _GenerationArgs(Part):
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    max_tokens: int | None = None


class _Generation(Part):
    generation_args: _GenerationArgs = _GenerationArgs()
    additional_details: dict[str, str] | None = None


class _Result(Part):
    evaluation_name: str
    generation_config: _Generation | None = None


class _Library(Part):
    name: str
    version: str
    additional_details: dict[str, str] | None = None


class _Engine(Part):
    name: str | None = None
    version: str | None = None


class _Model(Part):
    id: str
    inference_engine: _Engine | None = None


class _Details(Part):
    file_path: str
    hash_algorithm: str | None = None
    checksum: str | None = None
    total_rows: int | None = None


class _Whole(_Version):
    evaluation_id: str
    eval_library: _Library
    model_info: _Model
    evaluation_results: list[_Result]
    detailed_evaluation_results: _Details | None = None


class _Input(Part):
    raw: str
    formatted: str | None = None
    reference: list[str]


class _Output(Part):
    raw: list[str]


class _Attribution(Part):
    extracted_value: str
    is_terminal: bool = True


class _Message(Part):
    role: str
    content: str | None = None


class _Evaluation(Part):
    score: float
    is_correct: bool


class _Usage(Part):
    output_tokens: int


class _Row(_Version):
    evaluation_id: str
    evaluation_name: str
    evaluation_result_id: str | None = None
    sample_id: str
    input: _Input
    output: _Output | None = None
    messages: list[_Message] | None = None
    answer_attribution: list[_Attribution]
    evaluation: _Evaluation
    token_usage: _Usage | None = None
    error: str | None = None
    metadata: dict[str, JsonValue] | None = None


class EveryEvalEver(Reader):
    """Reads files of Every Eval Ever."""

    name = "every-eval-ever"

    def recognises(self, file: Path) -> bool:
        """Whether a file has the keys that every version requires."""
        begins = head(file)
        if re.match(rb"\s*\{", begins) is None or b'"schema_version"' not in begins:
            return False
        return any(all(key in begins for key in keys) for keys in (_OF_A_ROW, _OF_THE_WHOLE))

    def read(self, file: Path) -> ForeignFile:
        """Reads both files."""
        whole, rows = _pair(file)
        first = next(read_lines(_Version, rows), None)
        if first is None:
            raise DamagedError(rows, "", "has no row")
        _check_version(first[1], rows, first[0])
        scorer = next(read_lines(_Row, rows))[1].evaluation_result_id or "is_correct"
        found = None if whole is None else _read_whole(whole, rows)
        if found is None:
            return ForeignFile(entries=_entries(rows, None, is_ours=False), scorer=scorer)
        library = found.eval_library
        block = (library.additional_details or {}).get(BLOCK)
        return ForeignFile(
            entries=_entries(rows, found.evaluation_id, is_ours=block is not None),
            scorer=f"{library.name} {scorer}",
            version=library.version,
            fields=_fields(found),
            subject=_subject(found),
            protocols=exported_protocols(block, file),
        )


def _pair(file: Path) -> tuple[Path | None, Path]:
    """The aggregate, if there is one, and the rows."""
    if file.suffix == ".jsonl":
        whole = file.with_name(f"{file.name.removesuffix(_ROWS)}.json")
        return (whole if file.name.endswith(_ROWS) and whole.is_file() else None), file
    found = _checked(_Whole, file)
    details = found.detailed_evaluation_results
    names = [f"{file.stem}{_ROWS}"]
    if details is not None:
        names.append(Path(details.file_path).name)
    rows = [file.with_name(name) for name in names if name]
    there = next((each for each in rows if each.is_file()), None)
    if there is None:
        raise DamagedError(
            file,
            "",
            f"has scores of whole tasks; the rows of its samples, {names[-1]}, should "
            "lie beside it",
        )
    return file, there


def _checked(kind: type[_Whole], file: Path) -> _Whole:
    _check_version(read_whole(_Version, file), file, "")
    return read_whole(kind, file)


def _check_version(found: _Version, file: Path, place: str) -> None:
    if found.schema_version != VERSION:
        raise DamagedError(
            file, place, f"schema_version: {shown(found.schema_version)}: should be '{VERSION}'"
        )


def _read_whole(file: Path, rows: Path) -> _Whole:
    found = _checked(_Whole, file)
    details = found.detailed_evaluation_results
    if details is not None and details.checksum and details.hash_algorithm in {"sha256", "md5"}:
        digest = _digest(rows, details.hash_algorithm)
        if digest != details.checksum.lower():
            raise DamagedError(
                rows,
                "",
                f"has {details.hash_algorithm} {digest[:12]}; {file.name} says "
                f"{details.checksum[:12]}",
            )
    return found


def _digest(file: Path, algorithm: str) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest()
    except OSError as error:
        raise unreadable(file, error) from error


def _fields(whole: _Whole) -> dict[str, Any]:
    """The protocol fields on which all results agree."""
    each = [_sampling(result.generation_config) for result in whole.evaluation_results]
    if not each:
        return {}
    return {k: v for k, v in each[0].items() if all(k in o and o[k] == v for o in each)}


def _sampling(config: _Generation | None) -> dict[str, Any]:
    if config is None:
        return {}
    fields = protocol_settings(config.generation_args.model_dump(), config.additional_details)
    # No examples are a field that is known to be off.
    return {
        name: None if (name, value) == ("fewshot", 0) else value for name, value in fields.items()
    }


def _subject(whole: _Whole) -> dict[str, Any]:
    engine = whole.model_info.inference_engine or _Engine()
    subject = {
        "model": whole.model_info.id,
        "engine.name": engine.name,
        "engine.version": engine.version,
    }
    return {name: value for name, value in subject.items() if value}


def _entries(rows: Path, evaluation: str | None, *, is_ours: bool) -> Iterator[ForeignEntry]:
    metrics: dict[str, str | None] = {}
    numbers: dict[tuple[str, str], int] = {}
    for place, row in read_lines(_Row, rows):
        _check_version(row, rows, place)
        if evaluation is not None and row.evaluation_id != evaluation:
            raise DamagedError(
                rows,
                place,
                f"evaluation_id: {shown(row.evaluation_id)}: should be "
                f"{shown(evaluation)}, as the aggregate has it",
            )
        task, name = _task(row), row.evaluation_result_id
        if metrics.setdefault(task, name) != name:
            continue
        # Rows are not numbered: those of one problem are its samples, in their order.
        number = numbers[task, row.sample_id] = numbers.get((task, row.sample_id), -1) + 1
        own = (row.metadata or {}).get("sample") if is_ours else None
        if isinstance(own, str) and own.isdecimal():
            number = int(own)
        yield _entry(rows, place, row, number, is_ours=is_ours)


def _task(row: _Row) -> str:
    """Rows that came from lm_eval name its filter too: ``gsm8k/strict-match``."""
    name, _, last = row.evaluation_name.rpartition("/")
    return (
        name
        if name and f"{row.evaluation_result_id}".endswith(f":{last}")
        else f"{row.evaluation_name}"
    )


def _entry(rows: Path, place: str, row: _Row, number: int, *, is_ours: bool) -> ForeignEntry:
    status = _verdict(rows, place, row, is_ours=is_ours)
    outputs = row.output.raw if row.output else _said(row)
    final = next((each for each in reversed(row.answer_attribution) if each.is_terminal), None)
    is_error = status in {"generation_error", "scorer_error"}
    answer = ForeignAnswer(
        status=status,
        output=outputs[0] if outputs else None,
        graded=None if final is None else final.extracted_value,
        completion_tokens=(row.token_usage.output_tokens or None) if row.token_usage else None,
        is_truncated=_is_truncated(row.metadata or {}),
        opened_think=is_ours and own_opened_think(row.metadata),
    )
    return ForeignEntry(
        place=place,
        task_names=(_task(row),),
        problem_names=(row.sample_id,),
        texts=tuple(filter(None, (row.input.raw, row.input.formatted))),
        reference=row.input.reference[0] if row.input.reference else None,
        sample=number,
        answers=(answer,),
        judged=0 if is_error else 1,
        solved=int(status == "correct"),
    )


def _verdict(rows: Path, place: str, row: _Row, *, is_ours: bool) -> VerdictStatus:
    if is_ours and (ours := own_status(row.metadata)) is not None:
        return ours
    if row.error:
        return "generation_error"
    is_right = as_verdict(row.evaluation.score)
    if is_right is None or is_right != row.evaluation.is_correct:
        raise DamagedError(
            rows,
            place,
            f"evaluation.score: {shown(row.evaluation.score)}: should be 1 where "
            "is_correct is true, else 0",
        )
    return "correct" if is_right else "incorrect"


def _said(row: _Row) -> list[str]:
    """The last turn of a conversation."""
    return [each.content or "" for each in row.messages or () if each.role == "assistant"][-1:]


def _is_truncated(metadata: Mapping[str, Any]) -> bool | None:
    """Whether an answer is truncated, by Inspect's ``stop_reason`` or our ``finish_reason``."""
    reason = metadata.get("stop_reason") or metadata.get("finish_reason")
    return reason in {"max_tokens", "model_length", "length"} if reason else None
