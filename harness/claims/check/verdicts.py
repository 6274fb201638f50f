"""Judges a figure by runs, under the rule of published scores (R1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.claims.check.protocol import (
    DECISIVE,
    SETTINGS,
    differing,
    unknown_settings,
    value_in,
)
from harness.claims.check.resolve import ModelFound
from harness.claims.published import not_comparable, replication, subset_of
from harness.claims.replication_rules import Column, PublishedScore, Row, ScoreTable
from harness.claims.runs import (
    AnyRun,
    Unfinished,
    is_of_model,
    other_answers,
    other_computation,
    other_model,
    other_task,
    quantization,
)
from harness.claims.verdict import Evidence
from harness.interop.published_figures import PublishedFigure
from harness.models import LocalModel
from harness.models.description import ModelBase
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

MARGIN_POINTS = 3.0
"""The margin for MATH-500 in the studies here: 1.6 times the largest of 14 known differences
between replications and the vendor."""


def default_margin(percent: float) -> float | None:
    """The margin, in points, within which a figure counts as reproduced; None for 0 and 100 %.

    At most half of its distance to 0 and to 100 %: otherwise a model that solves nothing would
    reproduce a low figure, and one that solves everything a high one.
    """
    return min(MARGIN_POINTS, percent / 2, (100 - percent) / 2) or None


def evidence(
    figure: PublishedFigure,
    tasks: Sequence[str],
    model: ModelFound,
    known: Mapping[str, Any],
    margin: float,
    runs: Sequence[AnyRun],
) -> list[Evidence]:
    """The evidence of each run of the figure's model on its benchmark; other runs are left out."""
    found = []
    for run in runs:
        task = next((each for name in tasks if (each := run.manifest.task(name))), None)
        if task is None or not _is_of(run, model):
            continue
        mismatches = _mismatches(run, task, model, known)
        if mismatches:
            found.append(not_comparable(run, "; ".join(mismatches)))
            continue
        assert isinstance(run, RunResult), "_mismatches rejects an unfinished run"
        found.append(_judged(run, task, figure, known, margin))
    return found


def _is_of(run: AnyRun, found: ModelFound) -> bool:
    """Whether a run is of the figure's model, by path, name or repository."""
    model = run.manifest.config.model
    if found.path is not None:
        return isinstance(model, LocalModel) and model.path == str(found.path)
    return is_of_model(run, _wanted(found))


def _wanted(found: ModelFound) -> list[str]:
    return [*found.names, *([] if found.hub_id is None else [found.hub_id])]


def _mismatches(
    run: AnyRun, task: TaskInfo, model: ModelFound, known: Mapping[str, Any]
) -> list[str]:
    """Why nothing may be judged by a run; empty where it fits."""
    manifest = run.manifest
    if isinstance(run, Unfinished) or manifest.status != "complete":
        return [f"unfinished: its status is {manifest.status}"]
    protocol = manifest.config.protocol
    return [
        *(
            f"{name} of the published figure is not known (here {value_in(protocol, name)}); "
            f"--assume {name}=N if you know it"
            for name in DECISIVE
            if name not in known
        ),
        *([] if model.path else other_model(manifest.config.model, _wanted(model))),
        *differing(known, protocol),
        *other_task(task, manifest.protocol_fields.get(task.name, {})),
        *other_answers(manifest),
        *other_computation(run),
        *_other_adapter(manifest.config.model),
    ]


def _other_adapter(model: ModelBase) -> list[str]:
    return [] if model.adapter is None else [f"other model: with the adapter {model.adapter}"]


def _judged(
    run: RunResult,
    task: TaskInfo,
    figure: PublishedFigure,
    known: Mapping[str, Any],
    margin: float,
) -> Evidence:
    found = replication(run, _as_score(figure, task.name, known, margin))
    caveats, causes = [], []
    if (weights := quantization(run)) is not None:
        caveats.append(f"other weights than the published ones: {weights}")
        causes.append("the weights")
    if figure.is_unit_unsure:
        causes.append(f"the unit of {figure.value:g}, which its file does not give")
    update: dict[str, Any] = {}
    if found.verdict == "challenged" and causes:
        caveats.append(f"a difference may come from {' or '.join(causes)}: inconclusive at most")
        update = {"verdict": "inconclusive", "tag": None, "p": None}
    caveats += [*found.caveats, *subset_of(run, task.name), *_unknown(run, task, figure, known)]
    return found.model_copy(update={**update, "caveats": tuple(caveats)})


def _unknown(
    run: RunResult, task: TaskInfo, figure: PublishedFigure, known: Mapping[str, Any]
) -> list[str]:
    """What is unknown about the figure's protocol, beside the run's values."""
    protocol = run.manifest.config.protocol
    here = [f"{name} (here {value_in(protocol, name)!r})" for name in unknown_settings(known)]
    # A setting that no publication states may be set in a run, and moves its score.
    also = {**protocol.options, "force_think": protocol.force_think or None}
    here += [
        f"{name} (here {value!r})"
        for name, value in also.items()
        if name not in SETTINGS and value is not None
    ]
    here += ["the prompt's words"]
    if task.examples:
        here += [f"which examples were shown (here {', '.join(task.examples)})"]
    made_by = " ".join(filter(None, (figure.made_with, figure.grader)))
    here += [f"the grader (here {task.scorer})"] if not made_by else []
    caveats = [f"not known of the published figure: {', '.join(here)}"]
    if made_by:
        caveats.append(f"graded there by {made_by}, here by {task.scorer}")
    return caveats


def _as_score(
    figure: PublishedFigure, task: str, known: Mapping[str, Any], margin: float
) -> PublishedScore:
    """The figure in the form that the rules of published scores take."""
    assert figure.percent is not None, "a figure that is no share is not judged"
    subject, place = _line(figure.model), _line(figure.place)
    column = Column(
        name=_line(figure.dataset),
        task=task,
        metric="accuracy",
        unit="percent",
        problems=figure.problems,
        margin_points=margin,
        margin_reason="see default_margin, unless the user gives one",
        samples_per_problem=known.get("samples_per_problem"),
    )
    row = Row(subject=subject, hub_id=subject, values={column.name: 0})
    table = ScoreTable(
        id="check",
        title=place,
        kind="vendor",
        protocol=None,
        published_protocol="as far as its file states it",
        source=_line(figure.source or place),
        grade="S",
        date="2026-11",
        columns=(column,),
        rows=(row,),
    )
    return PublishedScore(place, table, row, column, figure.percent)


def _line(text: str | None) -> str:
    """A text from a user's file in one line."""
    return " ".join((text or "").split()) or "?"
