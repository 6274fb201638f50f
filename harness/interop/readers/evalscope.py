"""Reviews of evalscope: ``reviews/<model>/<benchmark>_<subset>.jsonl`` of a run's folder.

Read from what evalscope 1.14.1 writes (``api/evaluator/cache.py``): a line for each answer with its
score. ``predictions/`` beside it has tokens and how an answer ended, ``configs/task_config.yaml``
has the configuration. A folder means all reviews in it. A score has its main value first.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from harness.errors import UserError
from harness.interop.readers.messages import (
    CUT_OFF,
    Message,
    Sampling,
    protocol_fields,
    said_last,
    text_of,
)
from harness.interop.readers.parts import (
    Part,
    as_verdict,
    describe,
    head,
    read_lines,
    shown,
)
from harness.interop.readers.records import (
    DamagedError,
    ForeignAnswer,
    ForeignEntry,
    ForeignFile,
    Reader,
)
from harness.io.yamlfile import read_yaml
from harness.records import VerdictStatus

_USABLE = {"success", "fallback", "degraded"}
"""States of a score that evalscope counts; the others are no verdict."""
_IDS = ("question_id", "task_id", "unique_id")


class _Score(Part):
    value: dict[str, bool | int | float]
    status: str = "success"
    main_score_name: str | None = None
    extracted_prediction: str | None = None
    prediction: str | None = None


class _SampleScore(Part):
    score: _Score
    sample_id: int | str | None = None
    generation_index: int | None = None
    sample_metadata: dict[str, Any] | None = None


class _Review(Part):
    index: int
    target: list[str] | str | None = None
    messages: list[Message] = []  # noqa: RUF012 - pydantic copies it
    sample_score: _SampleScore


class _Usage(Part):
    output_tokens: int | None = None


class _Choice(Part):
    stop_reason: str | None = None


class _ModelOutput(Part):
    choices: list[_Choice] = []  # noqa: RUF012 - pydantic copies it
    usage: _Usage | None = None
    time: float | None = None


class _Prediction(Part):
    index: int
    model_output: _ModelOutput | None = None


class _Benchmark(Part):
    few_shot_num: int | None = None
    system_prompt: str | None = None


class _Config(Part):
    evalscope_version: str | None = None
    model: str | None = None
    datasets: list[str] = []  # noqa: RUF012 - pydantic copies it
    generation_config: Sampling = Sampling()
    resolved_benchmarks: dict[str, _Benchmark] = {}  # noqa: RUF012 - pydantic copies it


class Evalscope(Reader):
    """Reads logs of evalscope."""

    name = "evalscope"

    def recognises(self, file: Path) -> bool:
        """Whether it is a run's folder, or a line begins as theirs do."""
        if file.is_dir():
            return (file / "reviews").is_dir()
        begins = head(file)
        return begins.lstrip().startswith(b'{"index"') and b'"sample_score"' in begins

    def read(self, file: Path) -> ForeignFile:
        """Reads one file of reviews, or all of a folder."""
        reviews = sorted(file.glob("reviews/*/*.jsonl")) if file.is_dir() else [file]
        if not reviews:
            raise DamagedError(file, "reviews", "has no file")
        models = sorted({each.parent.name for each in reviews})
        if len(models) > 1:
            raise DamagedError(
                file, "reviews", f"is of {len(models)} models; give the files of one: {models[0]}/…"
            )
        run = reviews[0].parent.parent.parent
        config = _config(run)
        return ForeignFile(
            entries=_all_entries(run, reviews, config),
            scorer=_scorer(reviews[0]),
            version=config.evalscope_version,
            fields=_fields(config, reviews),
            subject=_subject(config),
        )


def _config(run: Path) -> _Config:
    """The evaluation's configuration; empty where only the reviews are there."""
    file = run / "configs" / "task_config.yaml"
    if not file.is_file():
        return _Config()
    try:
        return _Config.model_validate(read_yaml(file, str(file), UserError))
    except ValidationError as error:
        raise DamagedError(file, "", describe(error)) from error


def _fields(config: _Config, reviews: list[Path]) -> dict[str, Any]:
    fields = protocol_fields(config.generation_config.model_dump(exclude_none=True))
    used = [config.resolved_benchmarks.get(_benchmark(file, config)) for file in reviews]
    first, *others = [_benchmark_fields(each or _Benchmark()) for each in used]
    shared = {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}
    return {**fields, **shared}


def _benchmark_fields(benchmark: _Benchmark) -> dict[str, Any]:
    """The stated settings: a missing key is unknown, a system prompt of null is none."""
    fields: dict[str, Any] = {}
    if benchmark.few_shot_num is not None:
        fields["fewshot"] = benchmark.few_shot_num or None
    if "system_prompt" in benchmark.model_fields_set:
        fields["system_prompt"] = benchmark.system_prompt
    return fields


def _subject(config: _Config) -> dict[str, Any]:
    known = {"model": config.model, "seed": config.generation_config.seed}
    return {name: value for name, value in known.items() if value is not None}


def _benchmark(file: Path, config: _Config) -> str:
    """The configured one that the file's name begins with, the longest; else nothing."""
    found = [each for each in config.datasets if file.name.startswith(f"{each}_")]
    return max(found, key=len, default="")


def _task_names(file: Path, config: _Config) -> tuple[str, ...]:
    """Candidate task names: for ``math_500_Level 1`` without a configuration, all its prefixes."""
    if known := _benchmark(file, config):
        return (known,)
    parts = file.stem.split("_")
    return tuple("_".join(parts[:end]) for end in range(len(parts), 0, -1))


class _Ended(NamedTuple):
    """The end of a prediction: everything besides the text."""

    tokens: int | None
    seconds: float | None
    is_truncated: bool | None


def _endings(run: Path, review: Path) -> Mapping[int, _Ended]:
    file = run / "predictions" / review.parent.name / review.name
    if not file.is_file():
        return {}
    found = {}
    for _, line in read_lines(_Prediction, file):
        output = line.model_output or _ModelOutput()
        reason = output.choices[0].stop_reason if output.choices else None
        tokens = output.usage.output_tokens if output.usage else None
        is_cut = None if reason in {None, "unknown"} else reason in CUT_OFF
        found[line.index] = _Ended(tokens or None, output.time, is_cut)
    return found


def _all_entries(run: Path, reviews: list[Path], config: _Config) -> Iterator[ForeignEntry]:
    for file in reviews:
        names, endings = _task_names(file, config), _endings(run, file)
        for place, review in read_lines(_Review, file):
            ended = endings.get(review.index, _Ended(None, None, None))
            answer = _answer(file, place, review, ended)
            is_error = answer.status == "scorer_error"
            yield ForeignEntry(
                place=f"{file.name}: {place}",
                task_names=names,
                problem_names=tuple(_problem_names(review)),
                texts=tuple(said_last(review.messages)),
                reference=_reference(review),
                sample=_sample(review),
                answers=(answer,),
                judged=0 if is_error else 1,
                solved=int(answer.status == "correct"),
            )


def _scorer(file: Path) -> str:
    """The value that counts, by the first answer that has one."""
    for place, review in read_lines(_Review, file):
        if review.sample_score.score.status in _USABLE:
            return _main(review.sample_score.score, file, place)[0]
    raise DamagedError(file, "", "has no answer with a score")


def _main(score: _Score, file: Path, place: str) -> tuple[str, Any]:
    """The value that counts, with its name."""
    name = score.main_score_name or next(iter(score.value), None)
    if name is None or name not in score.value:
        raise DamagedError(
            file, place, f"sample_score.score.value: {shown(score.value)}: has no {name or 'value'}"
        )
    return name, score.value[name]


def _sample(review: _Review) -> int | None:
    """The sample's number within its problem; None in older versions, which record groups only."""
    score = review.sample_score
    known = score.sample_id if score.generation_index is None else score.generation_index
    return known if isinstance(known, int) else None


def _reference(review: _Review) -> str | None:
    return review.target[0] if isinstance(review.target, list) and review.target else None


def _answer(file: Path, place: str, review: _Review, ended: _Ended) -> ForeignAnswer:
    score = review.sample_score.score
    return ForeignAnswer(
        status=_status(score, file, place),
        output=_output(review),
        graded=score.extracted_prediction,
        completion_tokens=ended.tokens,
        latency_s=ended.seconds,
        is_truncated=ended.is_truncated,
    )


def _status(score: _Score, file: Path, place: str) -> VerdictStatus:
    if score.status not in _USABLE:
        return "scorer_error"
    name, value = _main(score, file, place)
    is_right = as_verdict(value)
    if is_right is None:
        raise DamagedError(
            file, place, f"sample_score.score.value.{name}: {shown(value)}: should be 1 or 0"
        )
    return "correct" if is_right else "incorrect"


def _output(review: _Review) -> str | None:
    """The last message of the assistant; the score's copy has no reasoning."""
    replies = [each for each in review.messages if each.role == "assistant"]
    return text_of(replies[-1]) if replies else review.sample_score.score.prediction


def _problem_names(review: _Review) -> Iterator[str]:
    """An index is the place in a subset, so it names no problem."""
    metadata = review.sample_score.sample_metadata or {}
    yield from (metadata[name] for name in _IDS if isinstance(metadata.get(name), str))
