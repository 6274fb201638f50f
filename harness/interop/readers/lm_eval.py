"""Sample logs of lm-evaluation-harness: ``samples_<task>_<date>.jsonl``.

Read from what lm_eval 0.4.13 writes (``loggers/evaluation_tracker.py``): a line for each document
and filter with ``doc``, ``resps``, ``filtered_resps``, ``arguments`` and a key for each metric. A
line says nothing of model, examples or versions; ``results_<date>.json`` beside it does, where
it is.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict

from harness.interop.readers.parts import Part, head, read_lines, read_whole, shown
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)
from harness.records import VerdictStatus

METRICS = ("math_verify", "exact_match", "pass@1", "pass_at_1", "acc")
"""Metrics that count as a verdict, in order of preference."""
_FILE = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT.*)\.jsonl")
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens")


class _Line(Part):
    model_config = ConfigDict(extra="allow")
    doc: dict[str, Any]
    resps: list[list[Any]]
    filtered_resps: list[Any]
    arguments: Any = None
    filter: str | None = None
    target: Any = None

    def metric(self, name: str) -> Any:
        return (self.model_extra or {}).get(name)


class _TaskConfig(Part):
    num_fewshot: int | None = None
    fewshot_as_multiturn: bool | None = None


class _RunConfig(Part):
    model: str | None = None
    model_sha: str | None = None
    model_dtype: str | None = None


class _Results(Part):
    """The content of ``results_<date>.json``."""

    results: dict[str, Any]
    configs: dict[str, _TaskConfig] = {}  # noqa: RUF012 - pydantic copies it
    config: _RunConfig = _RunConfig()
    model_name: str | None = None
    system_instruction: str | None = None
    lm_eval_version: str | None = None


class LmEval(Reader):
    """Reads logs of lm-evaluation-harness."""

    name = "lm-evaluation-harness"

    def recognises(self, file: Path) -> bool:
        """Whether the first line begins as theirs do, or it has the results of whole tasks."""
        begins = head(file)
        return re.match(rb'\s*\{\s*"doc_id"', begins) is not None or (
            re.match(rb'\s*\{\s*"results"\s*:', begins) is not None
            and file.name.startswith("results_")
        )

    def read(self, file: Path) -> ForeignFile:
        """Reads it; of several filters the first counts."""
        if file.suffix == ".json":
            raise DamagedError(
                file,
                "",
                "has the scores of whole tasks and no answers; lm_eval --log_samples writes "
                "samples_<task>_<date>.jsonl beside it",
            )
        named = _FILE.fullmatch(file.name)
        places = read_lines(_Line, file)
        first = next(places, None)
        if first is None:
            raise DamagedError(file, "", "has no line")
        line = first[1]
        metric = next((name for name in METRICS if line.metric(name) is not None), None)
        if metric is None:
            raise DamagedError(file, first[0], f"has no metric {' or '.join(METRICS)}")
        about = _about(file, named["task"], named["date"]) if named else _About()
        names = (named["task"],) if named else ()
        return ForeignFile(
            entries=_entries(file, _all(first, places), metric, names),
            scorer=metric if line.filter in {None, "none"} else f"{metric} {line.filter}",
            version=about.version,
            fields={**about.fields, **_sampling(line.arguments, file, first[0])},
            subject=about.subject,
        )


def _all(
    first: tuple[str, _Line], others: Iterator[tuple[str, _Line]]
) -> Iterator[tuple[str, _Line]]:
    """The lines of the first filter: a log repeats every document for each."""
    yield first
    for place, line in others:
        if line.filter == first[1].filter:
            yield place, line


def _entries(
    file: Path, lines: Iterator[tuple[str, _Line]], metric: str, names: tuple[str, ...]
) -> Iterator[ForeignEntry]:
    for place, line in lines:
        if not line.resps:
            raise DamagedError(file, place, "resps: is empty")
        outputs = line.resps[0]
        graded = _graded(line)
        solved = _solved(line, metric, len(graded), file, place)
        each = _status(solved, len(graded))
        yield ForeignEntry(
            place=place,
            task_names=(*names, *_by_content(line.doc)),
            problem_names=_texts(line.doc, "unique_id", "task_id"),
            texts=(*_texts(line.doc, *line.doc), *_prompt(line.arguments)),
            reference=_reference(line),
            judged=len(graded),
            solved=solved,
            answers=tuple(
                ForeignAnswer(
                    output=str(output),
                    graded=str(graded[number]) if number < len(graded) else None,
                    status=each if number < len(graded) else None,
                )
                for number, output in enumerate(outputs)
            ),
        )


def _status(solved: int, judged: int) -> VerdictStatus | None:
    """The status of each answer, where the entry's single figure determines it."""
    if solved == judged:
        return "correct"
    return None if solved else "incorrect"


def _graded(line: _Line) -> list[Any]:
    """The judged answers: without a list, the filter took the first of several outputs."""
    if not line.filtered_resps:
        return []
    first = line.filtered_resps[0]
    return first if isinstance(first, list) else [first]


def _solved(line: _Line, metric: str, judged: int, file: Path, place: str) -> int:
    value: Any = line.metric(metric)
    if not 0 < judged <= len(line.resps[0]):
        raise DamagedError(
            file, place, f"filtered_resps: has {judged} answers of {len(line.resps[0])}"
        )
    is_number = isinstance(value, int | float) and 0 <= value <= 1
    if not is_number or abs(value * judged - round(value * judged)) > 1e-6 * judged:
        raise DamagedError(
            file, place, f"{metric}: {shown(value)}: should be a share of {judged} answers"
        )
    solved: int = round(value * judged)
    return solved


def _by_content(doc: Mapping[str, Any]) -> tuple[str, ...]:
    """Users rename files, and a data set has many tasks."""
    if str(doc.get("task_id", "")).startswith("HumanEval/"):
        return ("humaneval",)
    return ("math500",) if {"problem", "solution"} <= doc.keys() else ()


def _texts(doc: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(doc[name] for name in names if isinstance(doc.get(name), str))


def _reference(line: _Line) -> str | None:
    answer = line.doc.get("answer", line.target)
    return answer if isinstance(answer, str) else None


class _Given(NamedTuple):
    prompt: Any
    options: Any


def _given(arguments: Any) -> _Given:
    """Before 0.4.3 a list of lists, since then ``gen_args_0``: ``arg_0``, ``arg_1``."""
    try:
        if isinstance(arguments, dict):
            first = arguments["gen_args_0"]
            return _Given(first["arg_0"], first["arg_1"])
        return _Given(arguments[0][0], arguments[0][1])
    except (KeyError, IndexError, TypeError):
        return _Given(None, None)


def _prompt(arguments: Any) -> tuple[str, ...]:
    prompt = _given(arguments).prompt
    return (prompt,) if isinstance(prompt, str) else ()


def _sampling(arguments: Any, file: Path, place: str) -> dict[str, Any]:
    """The sampling settings, as far as the generation arguments give them."""
    given = _given(arguments).options
    if not isinstance(given, dict):
        return {}
    fields: dict[str, Any] = {}
    if given.get("do_sample") is False:
        fields["temperature"] = 0.0
    elif given.get("temperature") is not None:
        fields["temperature"] = _number(given, "temperature", file, place)
    if fields.get("temperature") and given.get("top_p") is not None:
        fields["top_p"] = _number(given, "top_p", file, place)
    for name in _LIMITS:
        if given.get(name) is not None:
            fields["max_new_tokens"] = int(_number(given, name, file, place))
    if isinstance(until := given.get("until"), list):
        fields["stop"] = [str(each) for each in until] or None
    return fields


def _number(given: Mapping[str, Any], name: str, file: Path, place: str) -> float:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DamagedError(file, place, f"arguments.{name}: {shown(value)}: should be a number")
    return float(value)


class _About(NamedTuple):
    """The facts in the results file beside a log."""

    version: str | None = None
    fields: Mapping[str, Any] = {}
    subject: Mapping[str, Any] = {}


def _about(file: Path, task: str, date: str) -> _About:
    results = file.with_name(f"results_{date}.json")
    if not results.is_file():
        return _About()
    found = read_whole(_Results, results)
    fields: dict[str, Any] = {}
    if (config := found.configs.get(task)) is not None and config.num_fewshot is not None:
        fields["fewshot"] = config.num_fewshot or None
        if config.num_fewshot and config.fewshot_as_multiturn is not None:
            fields["fewshot_as_multiturn"] = config.fewshot_as_multiturn
    if "system_instruction" in found.model_fields_set:
        fields["system_prompt"] = found.system_instruction
    subject = {
        "model": found.model_name,
        "model.revision": found.config.model_sha,
        "engine.name": found.config.model,
        "engine.dtype": found.config.model_dtype,
    }
    known = {name: value for name, value in subject.items() if value}
    return _About(found.lm_eval_version, fields, known)
