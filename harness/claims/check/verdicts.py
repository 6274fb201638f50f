"""What runs say of a figure, by the rule of published scores (R1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.claims.check.protocol import DECISIVE, differing, unknown_settings, value_in
from harness.claims.check.resolve import ModelFound
from harness.claims.published import not_comparable, replication, subset_of
from harness.claims.replication_rules import Column, PublishedScore, Row, ScoreTable
from harness.claims.runs import AnyRun, Unfinished, other_answers, other_task, quantization
from harness.claims.verdict import Evidence
from harness.interop.published_figures import PublishedFigure
from harness.models import HubModel, LocalModel, WheelModel
from harness.models.description import ModelBase
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

MARGIN_POINTS = 3.0
"""As for MATH-500 in the studies here: 1.6 times the largest of 14 known differences between
replications and the vendor."""


def default_margin(percent: float) -> float:
    """Within so many points a figure counts as reproduced.

    At most half of its distance to 0 and to 100 %: otherwise a model that solves nothing would
    reproduce a low figure, and one that solves everything a high one.
    """
    return min(MARGIN_POINTS, percent / 2, (100 - percent) / 2)


def evidence(
    figure: PublishedFigure,
    tasks: Sequence[str],
    model: ModelFound,
    known: Mapping[str, Any],
    margin: float,
    runs: Sequence[AnyRun],
) -> list[Evidence]:
    """What each run of the figure's model on its benchmark says; other runs are left out."""
    found = []
    for run in runs:
        task = next((each for name in tasks if (each := run.manifest.task(name))), None)
        if task is None or not is_of_model(run, model):
            continue
        misfits = _misfits(run, task, known)
        if misfits:
            found.append(not_comparable(run, "; ".join(misfits)))
            continue
        assert isinstance(run, RunResult), "an unfinished run is a misfit"
        found.append(_judged(run, task, figure, model, known, margin))
    return found


def is_of_model(run: AnyRun, found: ModelFound) -> bool:
    """Whether a run is of the figure's model, or of its weights stored in another way."""
    model = run.manifest.config.model
    match model:
        case HubModel():
            return found.hub_id is not None and model.hub_id == found.hub_id
        case WheelModel():
            return model.name in found.names
        case LocalModel():
            return found.path is not None and str(found.path) == model.path
        case _:
            return False


def _misfits(run: AnyRun, task: TaskInfo, known: Mapping[str, Any]) -> list[str]:
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
        *differing(known, protocol),
        *other_task(task, manifest.protocol_fields.get(task.name, {})),
        *other_answers(manifest),
        *_other_adapter(manifest.config.model),
    ]


def _other_adapter(model: ModelBase) -> list[str]:
    return [] if model.adapter is None else [f"other model: with the adapter {model.adapter}"]


def _judged(
    run: RunResult,
    task: TaskInfo,
    figure: PublishedFigure,
    model: ModelFound,
    known: Mapping[str, Any],
    margin: float,
) -> Evidence:
    found = replication(run, _as_score(figure, task.name, known, margin))
    caveats = [*found.caveats, *subset_of(run, task.name), *_unknown(run, task, figure, known)]
    other = _other_weights(run, model)
    if other is None:
        return found.model_copy(update={"caveats": tuple(caveats)})
    caveats.insert(0, f"other weights than the published ones: {other}")
    update: dict[str, Any] = {"caveats": tuple(caveats)}
    if found.verdict == "challenged":  # the difference may be that of the weights
        caveats.insert(1, "a difference may come from the weights: inconclusive at most")
        update = {"caveats": tuple(caveats), "verdict": "inconclusive", "tag": None, "p": None}
    return found.model_copy(update=update)


def _other_weights(run: RunResult, model: ModelFound) -> str | None:
    """What the run's weights are, where they are not the published ones."""
    return model.other_weights or quantization(run)


def _unknown(
    run: RunResult, task: TaskInfo, figure: PublishedFigure, known: Mapping[str, Any]
) -> list[str]:
    """What nobody says of the figure, beside what the run did."""
    protocol = run.manifest.config.protocol
    here = [f"{name} (here {value_in(protocol, name)!r})" for name in unknown_settings(known)]
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
    column = Column(
        name=figure.dataset or task,
        task=task,
        metric="accuracy",
        unit="percent",
        problems=figure.problems,
        margin_points=margin,
        margin_reason="see default_margin, unless the user gives one",
        samples_per_problem=known.get("samples_per_problem"),
    )
    row = Row(subject=figure.model or "?", hub_id=figure.model or "?", values={column.name: 0})
    table = ScoreTable(
        id="check",
        title=figure.place,
        kind="vendor",
        protocol=None,
        published_protocol="as far as the file gives it",
        source=figure.source or figure.place,
        grade="S",
        date="2026-11",
        columns=(column,),
        rows=(row,),
    )
    return PublishedScore(figure.place, table, row, column, figure.percent)
