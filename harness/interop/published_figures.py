"""Reads published scores from the file formats in which the field publishes them.

Three formats are read:

- ``.eval_results/*.yaml`` of a model repository (``docs/hub/eval-results.md`` of
  huggingface/hub-docs): a list of entries with ``dataset.id``, ``dataset.task_id`` and ``value``;
- ``model-index`` in the front matter of a model card, or in a YAML file;
- aggregate JSON of Every Eval Ever, schema 0.3.

Most files say little of how a score came about. What they say in words (``5-shot``, ``greedy``) is
read too; what they leave out stays unknown here.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.errors import UserError
from harness.interop.eee_settings import protocol_settings
from harness.io.mistakes import first_mistake
from harness.io.yamlfile import read_yaml, yaml_mistake
from harness.records import Count, Record

EVAL_RESULTS = ".eval_results"
CARD = "README.md"
_YAML = (".yaml", ".yml")
_EEE_VERSION = "0.3."
_OURS = re.compile(r"\bgegenprobe \d")
"""Units in this harness's exports: per cent in ``.eval_results``, a fraction in a model-index."""

Kind = TypeVar("Kind", bound=BaseModel)


class PublishedFigure(Record):
    """One score, with everything that its file states; the unknown is None or left out."""

    place: str
    """The file and entry."""
    model: str | None
    """The model as the file names it, usually a repository on the hub."""
    dataset: str
    """The data set as the file names it: ``openai/gsm8k``."""
    part: str | None = None
    """The part of the data set: a configuration, or the hub's id of a task."""
    split: str | None = None
    metric: str | None = None
    """The metric as the file names it."""
    value: float
    """The value as published."""
    percent: float | None
    """The value in per cent; None where it is no share."""
    reading: str | None = None
    """How ``value`` was read, where the file does not give its unit."""
    is_unit_unsure: bool = False
    """``value`` was read as a fraction and may be per cent."""
    problems: int | None = None
    """How many it rests on."""
    standard_error_percent: float | None = None
    protocol: dict[str, Any] = Field(default_factory=dict)
    """Protocol settings under the names of ``conf/protocol``, as far as known."""
    made_with: str | None = None
    """The harness that made it."""
    grader: str | None = None
    source: str | None = None
    date: str | None = None
    notes: str | None = None
    is_signed: bool = False
    """Whether it has a ``verifyToken``, which only its issuer can check."""


def read_figures(target: Path) -> list[PublishedFigure]:
    """Every figure of a file, or of a model repository on this disk.

    Raises:
        UserError: There is no such file, it is none of the formats, or it has no figures.
    """
    if target.is_dir():
        return _of_folder(target)
    if not target.is_file():
        raise UserError(
            f"TARGET={target}: no such file or folder; give a model card, an {EVAL_RESULTS} YAML, "
            "an Every Eval Ever JSON, or a table of a study"
        )
    figures = _of_file(target)
    if not figures:
        raise UserError(
            f"TARGET={target}: no figures in it; harness check --help names the files that "
            "have some"
        )
    return figures


def _of_folder(folder: Path) -> list[PublishedFigure]:
    inner = folder if folder.name == EVAL_RESULTS else folder / EVAL_RESULTS
    files = [each for each in sorted(inner.glob("*")) if each.suffix in _YAML]
    figures = [figure for file in files for figure in _of_file(file)]
    card = folder / CARD
    if card.is_file() and "model-index" in (_front_matter(card) or {}):
        figures += _of_file(card)
    if not figures:
        raise UserError(
            f"TARGET={folder}: no figures in it; looked for {EVAL_RESULTS}/*.yaml and for a "
            f"model-index in the front matter of {CARD}"
        )
    return figures


def _of_file(file: Path) -> list[PublishedFigure]:
    match file.suffix.lower():
        case ".json":
            return list(_of_eee(file))
        case ".md":
            index = _front_matter(file)
            if index is None or "model-index" not in index:
                raise UserError(
                    f"TARGET={file}: no figures in it: its front matter has no model-index, and "
                    f"tables in the text are not read; write them down as {EVAL_RESULTS} YAML"
                )
            return list(_of_index(file, index))
        case ".yaml" | ".yml":
            raw = read_yaml(file, f"TARGET={file}", UserError)
            if isinstance(raw, dict) and "model-index" in raw:
                return list(_of_index(file, raw))
            if isinstance(raw, list):
                return list(_of_entries(file, raw))
            raise UserError(
                f"TARGET={file}: should be a list of entries with dataset and value "
                f"({EVAL_RESULTS}), or have a model-index"
            )
        case other:
            raise UserError(
                f"TARGET={file}: {other or 'a file without an ending'} is none of .md, .yaml, .json"
            )


def _front_matter(file: Path) -> dict[str, Any] | None:
    """The YAML between the first two lines of dashes; None where there is none."""
    try:
        found = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", file.read_text("utf-8"), re.DOTALL)
        raw = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"TARGET={file}: no YAML: {yaml_mistake(error)}") from error
    return raw if isinstance(raw, dict) else None


# --- a score's unit ---------------------------------------------------------------------------


class _Value(NamedTuple):
    number: float
    most: float | None
    """The value of a perfect score; None: the file does not give it."""


def _value(given: Any) -> _Value:
    """``45``, ``"45.1"``, ``"45.1 %"`` and ``"20.0 ± 1.2"``."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError("should be a number")
    found = re.fullmatch(r"\s*(-?[\d.]+)\s*%?\s*(?:(?:±|\+/-).*)?", str(given))
    try:
        number = float(found[1] if found else str(given))
    except ValueError as error:
        raise ValueError("should be a number") from error
    if not math.isfinite(number):
        raise ValueError("should be a number")
    return _Value(number, 100.0 if "%" in str(given) else None)


Value = Annotated[_Value, BeforeValidator(_value)]


class _Share(NamedTuple):
    percent: float | None
    reading: str | None = None
    is_unsure: bool = False
    """Whether the value may be a hundredth of the assumed one."""


def _as_percent(value: float, most: float | None = None) -> _Share:
    """A share in per cent. Without a stated maximum, up to 1 it is taken for a fraction."""
    if most is not None and most > 0:
        return _Share(100 * value / most if 0 <= value <= most else None)
    if not 0 <= value <= 100:  # noqa: PLR2004
        return _Share(None)
    if value > 1:
        return _Share(value, f"{value:g} read as per cent: its unit is not given")
    reading = f"{value:g} read as {100 * value:g} %: its unit is not given"
    return _Share(100 * value, reading, is_unsure=value > 0)


# --- protocol settings in texts ---------------------------------------------------------------

_IS = r"[\"']?\s*(?:of|[=:])?\s*"
"""Between a setting's name and its value, as in prose, code or JSON."""
_IS_OFF = r"(?:\W{1,4}(?:false|none|null|off|no)\b| (?:is |was )?not\b)"
_EXAMPLES = "(?:solved |worked |in-context )?examples?"
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
_SAYS: tuple[tuple[str, str, type[int] | type[float]], ...] = (
    ("fewshot", r"(\d+)[- ]?shots?\b", int),
    ("fewshot", r"(?:num|n)?_?few_?shots?[^\w.]{1,5}(\d+)", int),
    ("fewshot", rf"\b(\d{{1,2}}) {_EXAMPLES} (?:before|in (?:the )?(?:prompt|context))", int),
    ("temperature", rf"\btemp(?:erature)?{_IS}(\d+(?:\.\d+)?)", float),
    ("top_p", rf"\btop[-_ ]?p{_IS}(0?\.\d+|[01](?:\.0+)?)", float),
    ("top_k", rf"\btop[-_ ]?k{_IS}(\d+)", int),
    ("max_new_tokens", r"(\d[\d,]*) (?:new|output|generated) tokens", int),
    ("max_new_tokens", r"max_?(?:new_|gen_|output_)?(?:tokens|toks)\W{1,4}(\d[\d,]*)", int),
    ("max_new_tokens", r"\bmax (\d[\d,]*) tokens", int),
    ("samples_per_problem", r"(?<!to )\b(\d+) samples? (?:a|per) (?:problem|question)", int),
    ("samples_per_problem", r"\b(?:avg|mean)@(\d+)", int),
    ("samples_per_problem", r"\bmean of (\d+) samples", int),
    ("samples_per_problem", r"\bsamples_per_problem\W{1,4}(\d+)", int),
)
_FLAGS: tuple[tuple[str, str, Any], ...] = (
    ("fewshot", rf"\b(?:without|no) {_EXAMPLES}\b", 0),
    ("temperature", r"(?<!non-)(?<!non )(?<!not )\bgreedy\b", 0.0),
    ("chat", rf"(?<!no )(?<!without )(?<!without a )\bchat[ _]template\b(?!{_IS_OFF})", True),
    ("chat", rf"\b(?:no|without(?: a)?) chat[ _]template\b|\bchat[ _]template{_IS_OFF}", False),
    ("fewshot_as_multiturn", r"(?<!no )(?<!not )(?<!without )\bmulti-?turn\b", True),
)
_OTHER_METRIC = re.compile(
    r"(?<!no )(?<!not )(?<!without )\b"
    r"((?:maj|cons|sc|best)[@-]\d+|best[- ]of[- ]\d+|pass@(?!1\b)\d+|majority[- ]vot\w*"
    r"|self[- ]consistency)",
    re.IGNORECASE,
)
"""Metrics over several samples: one is chosen, or a single right one is enough."""


def protocol_in_words(text: str) -> dict[str, Any]:
    """The protocol settings in a text, under the names of ``conf/protocol``.

    What it gives two values for is left out.
    """
    stated: dict[str, set[Any]] = {}
    for number, word in enumerate(_NUMBER_WORDS):
        text = re.sub(rf"\b{word}(?=[- ]shots?\b| {_EXAMPLES}\b)", f"{number}", text, flags=re.I)
    for name, pattern, kind in _SAYS:
        for found in re.findall(pattern, text, re.IGNORECASE):
            stated.setdefault(name, set()).add(kind(found.replace(",", "")))
    for name, pattern, value in _FLAGS:
        if re.search(pattern, text, re.IGNORECASE):
            stated.setdefault(name, set()).add(value)
    if quoted := re.findall(r"\bstops? (?:at|sequence) [\"“]([^\"”]+)[\"”]", text):
        stated["stop"] = {tuple(quoted)}
    return {name: values.pop() for name, values in stated.items() if len(values) == 1}


def _metric_in_words(text: str) -> str | None:
    """A metric that is not the share of samples solved; None where the text names none."""
    found = _OTHER_METRIC.search(text)
    return found[1] if found else None


# --- .eval_results ----------------------------------------------------------------------------


class _Entry(BaseModel):
    """An entry of a file by others; unknown keys are allowed."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Text = Annotated[str, Field(min_length=1)]


class _Dataset(_Entry):
    id: Text
    task_id: Text | None = None


class _Source(_Entry):
    url: str | None = None
    name: str | None = None

    @property
    def words(self) -> str | None:
        """``Model card, https://…``."""
        return ", ".join(filter(None, (self.name, self.url))) or None


class _EvalResult(_Entry):
    dataset: _Dataset
    value: Value
    verify_token: str | None = Field(None, alias="verifyToken")
    date: Any = None
    source: _Source | None = None
    notes: str | None = None
    evaluation_framework: str | None = None


def _of_entries(file: Path, raw: Sequence[Any]) -> Iterator[PublishedFigure]:
    for number, each in enumerate(raw):
        place = f"{file.name}[{number}]"
        entry = _checked(_EvalResult, each, f"TARGET={file}: entry {number}")
        notes = entry.notes or ""
        value, most = entry.value
        share = _as_percent(value, 100.0 if _OURS.search(notes) else most)
        yield PublishedFigure(
            place=place,
            model=_repository_of(file),
            dataset=entry.dataset.id,
            part=entry.dataset.task_id,
            metric=_metric_in_words(notes),
            value=value,
            percent=share.percent,
            reading=share.reading,
            is_unit_unsure=share.is_unsure,
            protocol=protocol_in_words(f"{notes}\n{entry.dataset.task_id or ''}"),
            made_with=entry.evaluation_framework,
            source=entry.source.words if entry.source else None,
            date=None if entry.date is None else str(entry.date),
            notes=entry.notes,
            is_signed=entry.verify_token is not None,
        )


def _repository_of(file: Path) -> str | None:
    """The repository ``org/name`` of a file in the hub's cache; such files do not state it."""
    for folder in file.absolute().parents:
        if found := re.fullmatch(r"models--(.+?)--(.+)", folder.name):
            return f"{found[1]}/{found[2]}"
    return None


# --- model-index ------------------------------------------------------------------------------


class _IndexedData(_Entry):
    name: str | None = None
    type: str | None = None
    config: str | None = None
    split: str | None = None
    args: Any = None


class _IndexedMetric(_Entry):
    type: Text
    value: Value
    name: str | None = None
    args: Any = None
    verify_token: str | None = Field(None, alias="verifyToken")


class _IndexedResult(_Entry):
    dataset: _IndexedData
    metrics: tuple[_IndexedMetric, ...]
    source: _Source | None = None


class _IndexedModel(_Entry):
    name: str | None = None
    results: tuple[_IndexedResult, ...] = ()


class _Index(_Entry):
    models: tuple[_IndexedModel, ...] = Field(alias="model-index")


def _of_index(file: Path, raw: Mapping[str, Any]) -> Iterator[PublishedFigure]:
    index = _checked(_Index, raw, f"TARGET={file}")
    for model in index.models:
        for number, result in enumerate(model.results):
            for metric in result.metrics:
                yield _of_metric(f"{file.name}[{number}]", model.name, result, metric)


def _of_metric(
    place: str, model: str | None, result: _IndexedResult, metric: _IndexedMetric
) -> PublishedFigure:
    data = result.dataset
    number, most = metric.value
    words = [data.name, metric.name, json.dumps([data.args, metric.args], default=str)]
    text = "\n".join(filter(None, words))
    share = _as_percent(number, 1.0 if _OURS.search(text) else most)
    return PublishedFigure(
        place=place,
        model=model,
        dataset=data.type or data.name or "",
        part=data.config,
        split=data.split,
        metric=_metric_in_words(text) or metric.type,
        value=number,
        percent=share.percent,
        reading=share.reading,
        is_unit_unsure=share.is_unsure,
        protocol=protocol_in_words(text),
        grader=metric.name,
        source=result.source.words if result.source else None,
        notes=data.name,
        is_signed=metric.verify_token is not None,
    )


# --- Every Eval Ever --------------------------------------------------------------------------


class _Named(_Entry):
    name: str | None = None
    id: str | None = None
    version: str | None = None


class _EeeSource(_Entry):
    source_name: str | None = None
    source_organization_name: str | None = None
    evaluator_relationship: str | None = None


class _EeeData(_Entry):
    dataset_name: Text
    hf_repo: str | None = None
    hf_split: str | None = None
    samples_number: Count | None = None


class _EeeMetric(_Entry):
    metric_id: str | None = None
    metric_name: str | None = None
    metric_parameters: dict[str, Any] | None = None
    metric_unit: str | None = None
    lower_is_better: bool
    max_score: float | str | None = None
    evaluation_description: str | None = None

    @property
    def name(self) -> str | None:
        """``pass_at_k`` is one id for every ``k``."""
        k = (self.metric_parameters or {}).get("k")
        if self.metric_id == "pass_at_k" and k is not None:
            return f"pass@{k}"
        return self.metric_id or self.metric_name


class _EeeError(_Entry):
    value: float


class _EeeUncertainty(_Entry):
    standard_error: _EeeError | None = None
    num_samples: Count | None = None


class _EeeScore(_Entry):
    score: float
    uncertainty: _EeeUncertainty | None = None


class _EeeGeneration(_Entry):
    generation_args: dict[str, Any] | None = None
    additional_details: dict[str, Any] | None = None


class _EeeResult(_Entry):
    evaluation_name: Text
    source_data: _EeeData
    metric_config: _EeeMetric
    score_details: _EeeScore
    evaluation_timestamp: str | None = None
    generation_config: _EeeGeneration | None = None


class _EeeFile(_Entry):
    schema_version: Text
    model_info: _Named
    eval_library: _Named
    source_metadata: _EeeSource
    evaluation_timestamp: str | None = None
    evaluation_results: tuple[_EeeResult, ...]


def _of_eee(file: Path) -> Iterator[PublishedFigure]:
    try:
        raw = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"TARGET={file}: no JSON: {error}") from error
    if not isinstance(raw, dict) or "schema_version" not in raw:
        raise UserError(
            f"TARGET={file}: no schema_version; a JSON target should be an aggregate file of "
            "Every Eval Ever"
        )
    if not str(raw["schema_version"]).startswith(_EEE_VERSION):
        raise UserError(
            f"TARGET={file}: schema_version={raw['schema_version']}: should be {_EEE_VERSION}x"
        )
    found = _checked(_EeeFile, raw, f"TARGET={file}")
    for number, result in enumerate(found.evaluation_results):
        yield _of_eee_result(f"{file.name}[{number}]", found, result)


def _of_eee_result(place: str, file: _EeeFile, result: _EeeResult) -> PublishedFigure:
    data, metric, score = result.source_data, result.metric_config, result.score_details
    most = metric.max_score if isinstance(metric.max_score, float | int) else None
    most = {"percent": 100.0, "proportion": 1.0}.get(metric.metric_unit or "", most)
    share = _Share(None, None) if metric.lower_is_better else _as_percent(score.score, most)
    uncertainty = score.uncertainty or _EeeUncertainty()
    error = uncertainty.standard_error
    named = f"{result.evaluation_name}\n{metric.metric_name or ''}"
    source = file.source_metadata
    sources = (source.source_organization_name, source.source_name, source.evaluator_relationship)
    return PublishedFigure(
        place=place,
        model=file.model_info.id or file.model_info.name,
        dataset=data.hf_repo or data.dataset_name,
        part=result.evaluation_name,
        split=data.hf_split,
        metric=_metric_in_words(named) or metric.name,
        value=score.score,
        percent=share.percent,
        reading=share.reading,
        is_unit_unsure=share.is_unsure,
        problems=uncertainty.num_samples or data.samples_number or None,
        standard_error_percent=_in_percent(error, score.score, share.percent),
        protocol=_eee_protocol(result),
        made_with=" ".join(filter(None, (file.eval_library.name, file.eval_library.version))),
        grader=metric.evaluation_description,
        source=", ".join(filter(None, sources)) or None,
        date=result.evaluation_timestamp or file.evaluation_timestamp,
    )


def _in_percent(error: _EeeError | None, score: float, percent: float | None) -> float | None:
    """A standard error in the unit of its score; a score of 0 does not show it."""
    return error.value * percent / score if error and percent and score else None


def _eee_protocol(result: _EeeResult) -> dict[str, Any]:
    config = result.generation_config or _EeeGeneration()
    details = config.additional_details or {}
    # A system prompt may mention settings that are not the protocol's.
    words = {name: text for name, text in details.items() if name != "system_prompt"}
    stated = protocol_in_words(f"{result.evaluation_name}\n{json.dumps(words)}")
    return {**stated, **protocol_settings(config.generation_args, details)}


def _checked(kind: type[Kind], raw: Any, where: str) -> Kind:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {first_mistake(error)}") from error
