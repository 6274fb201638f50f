"""The common part of the `evaluate` modules: columns in, figures out, by a plain function.

``evaluate.load`` takes the first metric that it finds among a module's names, so the modules import
this one and not the class in it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, get_args

import datasets
import evaluate

from harness.records import Completion, Estimate, RequestId, Sample, Verdict, VerdictStatus

_KINDS = {
    "problem_ids": "string",
    "statuses": "string",
    "answers": "string",
    "costs_usd": "float64",
    "sessions": "int64",
    "queued_s": "float64",
    "sent_s": "float64",
    "waited_s": "float64",
    "started_s": "float64",
    "first_token_s": "float64",
    "finished_s": "float64",
    "prompt_tokens": "int64",
    "cached_prompt_tokens": "int64",
    "completion_tokens": "int64",
    "reasoning_tokens": "int64",
}
"""Arrow types of all that the metrics take with a value for each sample."""
_APART = {"costs_usd"}
"""Columns that are no field of a sample: the function takes them separately."""
_NO_COUNTS = {"prompt_tokens": None, "completion_tokens": None, "reasoning_tokens": None}


class EvaluateModule(evaluate.Metric):  # type: ignore[misc]
    """A metric for `evaluate`; its docstring describes the columns and options.

    Returns a figure ``{"value", "unit", "n", "low", "high", "method", "bound"}`` for each name.
    """

    columns: ClassVar[Sequence[str]]
    function: ClassVar[Callable[..., list[Estimate]]]
    citation: ClassVar[str] = ""

    def _info(self) -> evaluate.MetricInfo:
        about = inspect.getdoc(self.function) or ""
        return evaluate.MetricInfo(
            description=about.partition("\n")[0],
            citation=self.citation,
            inputs_description=inspect.getdoc(type(self)),
            features=datasets.Features(
                {name: datasets.Value(_KINDS[name]) for name in self.columns}
            ),
        )

    def _compute(self, **given: Any) -> dict[str, dict[str, Any]]:
        known = {name: values for name, values in given.items() if values is not None}
        columns = {name: known.pop(name) for name in known.keys() & _KINDS.keys() - _APART}
        estimates = type(self).function(samples_of(columns), **known)
        return {each.metric: each.model_dump(exclude={"metric", "task"}) for each in estimates}


def samples_of(columns: Mapping[str, Sequence[Any]]) -> list[Sample]:
    """Samples built from columns, one per row, with no other fields.

    Raises:
        ValueError: A column is longer than another, or a status is unknown.
    """
    if unknown := sorted(set(columns.get("statuses", ())) - set(get_args(VerdictStatus))):
        raise ValueError(f"unknown statuses {unknown}, known are {get_args(VerdictStatus)}")
    rows = zip(*columns.values(), strict=True)
    return [_sample(dict(zip(columns, row, strict=True)), index) for index, row in enumerate(rows)]


def _sample(row: Mapping[str, Any], index: int) -> Sample:
    """The row's numbers have the types of their columns, and are not checked any further."""
    fields = {name: row[name] for name in Completion.model_fields.keys() & row.keys()}
    name = RequestId.of("evaluate/row", index)
    return Sample(
        task="",
        problem_id=row.get("problem_ids", ""),
        index=index,
        session=row.get("sessions", 0),
        completion=Completion.model_construct(
            request_id=name, text="", finish_reason="stop", **_NO_COUNTS | fields
        ),
        verdict=Verdict.model_construct(
            request_id=name,
            status=row.get("statuses", "no_answer"),
            extracted=row.get("answers"),
            scorer="",
            wall_s=0.0,
        ),
    )
