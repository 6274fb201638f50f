"""Tables of a study as targets: their scores are judged as ``harness claims`` judges them."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.claims.check.figures import Asked, Checked, check_figures
from harness.claims.check.protocol import differing, unknown_settings
from harness.claims.check.takes import Takes, not_planned, plan_of
from harness.claims.judge import opinion_of_runs, score_command, settle
from harness.claims.ledger import load_ledger, table_mistakes
from harness.claims.published import replications
from harness.claims.replication_rules import PublishedScore, ScoreTable
from harness.claims.runs import AnyRun, protocol_named
from harness.claims.study import STUDY_FILE, find_study
from harness.claims.verdict import Evidence
from harness.errors import UserError
from harness.interop.published_figures import (
    PublishedFigure,
    protocol_in_words,
    read_figures,
)
from harness.io.mistakes import first_mistake
from harness.io.yamlfile import read_yaml

_OF_A_TABLE = {
    "--model": "models",
    "--task": "tasks",
    "--assume": "protocol",
    "--margin": "margins",
}


def read_table(target: str) -> ScoreTable | None:
    """A table by ``STUDY:TABLE`` or by its file; None where the target is neither.

    Args:
        target: STUDY is a name in ``conf/study``, or a folder.

    Raises:
        UserError: There is no such study or table.
        ConfigError: The study has mistakes.
    """
    path = Path(target).expanduser()
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return _of_file(path)
    study, mark, name = target.rpartition(":")
    if not mark or path.exists():
        return None
    tables = load_ledger(_folder_of(target, study)).tables
    if name not in tables:
        raise UserError(
            f"TARGET={target}: study {study} has no table {name}; there are {', '.join(tables)}"
        )
    return tables[name]


def _folder_of(target: str, study: str) -> Path:
    try:
        return find_study(study)
    except UserError as error:
        text = str(error).removeprefix(f"--study={study}: ")
        raise UserError(
            f"TARGET={target}: no such file; as STUDY:TABLE, a table of a study: {text}"
        ) from error


def _of_file(file: Path) -> ScoreTable | None:
    raw = read_yaml(file, f"TARGET={file}", UserError)
    if not isinstance(raw, dict) or not {"columns", "rows"} <= raw.keys():
        return None
    study = file.absolute().parent.parent
    if file.absolute().parent == study / "score" and (study / STUDY_FILE).is_file():
        return load_ledger(study).tables[file.stem]
    try:
        table = ScoreTable.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"TARGET={file}: {first_mistake(error)}") from error
    if mistakes := table_mistakes(table):
        raise UserError(f"TARGET={file}: {'; '.join(mistakes)}")
    return table


def check_target(target: str, asked: Asked, runs: Sequence[AnyRun] = ()) -> list[Checked]:
    """For each figure of a target: what it takes to reproduce it, and what runs show.

    Args:
        target: A card, a file, a model's folder, or a table of a study.
        asked: What the user adds.
        runs: What is set against the figures.

    Raises:
        UserError: The target or what is asked is not what it should be, or has no figures.
    """
    margin = asked.margin
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise UserError(f"--margin {margin:g}: should be a number of points, more than 0")
    if (table := read_table(target)) is not None:
        _refuse_for_a_table(asked)
        return check_table(table, asked, runs)
    return check_figures(read_figures(Path(target).expanduser()), asked, runs)


def _refuse_for_a_table(asked: Asked) -> None:
    """A table names its models, tasks, protocol and margins."""
    assumed = " ".join(f"{name}={value}" for name, value in asked.assumed.items())
    given = {
        "--model": asked.model,
        "--task": asked.task,
        "--assume": assumed or None,
        "--margin": asked.margin,
    }
    for option, value in given.items():
        if value is not None:
            raise UserError(
                f"{option} {value}: goes with a card or a file of figures; a study's table has "
                f"its own {_OF_A_TABLE[option]}"
            )


def check_table(table: ScoreTable, asked: Asked, runs: Sequence[AnyRun] = ()) -> list[Checked]:
    """For each score: what it takes to reproduce it, and what runs show."""
    scores = table.scores()
    found = settle([replications(each, runs) if each.is_reproducible else [] for each in scores])
    return [_checked(each, asked, mine) for each, mine in zip(scores, found, strict=True)]


def _lacks(score: PublishedScore) -> tuple[str, ...]:
    """Why it cannot be reproduced here."""
    row, column = score.row, score.column
    found = [
        (column.task is None, f"no task has the problems of {column.name}"),
        (column.metric != "accuracy", f"metric {column.metric} is not checked"),
        (column.unit != "percent", f"unit {column.unit} is no share of problems"),
        (score.table.protocol is None, "the table names no protocol"),
        (row.model is None, f"{row.hub_id} has no file in conf/model"),
    ]
    return tuple(why for is_so, why in found if is_so)


def _checked(score: PublishedScore, asked: Asked, found: tuple[Evidence, ...]) -> Checked:
    lacks = _lacks(score)
    figure = _as_figure(score)
    command = None if lacks else score_command(score)
    no_margin = score.column.margin_points is None
    return Checked(
        figure=figure,
        task=score.column.task,
        model=score.row.model,
        lacks=lacks,
        known=figure.protocol,
        assumed=(),
        unknown=unknown_settings(figure.protocol),
        command=command,
        takes=None if command is None or not asked.with_plan else _takes(score, command, asked),
        margin_points=score.column.margin_points,
        verdict=opinion_of_runs("published_score", found, command).verdict,
        evidence=found,
        caveats=(
            *score.table.caveats,
            *([f"no margin: {score.column.margin_reason}"] if no_margin else []),
            *([] if lacks else _under_its_protocol(score, figure)),
        ),
    )


def _under_its_protocol(score: PublishedScore, figure: PublishedFigure) -> list[str]:
    """The protocol of a compared run, and where the published one differs from it."""
    name = score.table.protocol
    assert name is not None, "a score without a protocol is never compared"
    words = f"compared with runs under protocol={name}"
    return [words, *differing(figure.protocol, protocol_named(name))]


def _takes(score: PublishedScore, command: str, asked: Asked) -> Takes:
    if score.table.experiment is not None:
        return not_planned("an experiment is several runs; the command with --dry-run plans them")
    machine = [] if asked.plan_for is None else [f"plan_for={asked.plan_for}"]
    return plan_of([*shlex.split(command)[2:], *machine])


def _as_figure(score: PublishedScore) -> PublishedFigure:
    table, column = score.table, score.column
    stated = protocol_in_words(table.published_protocol)
    if column.samples_per_problem is not None:
        stated["samples_per_problem"] = column.samples_per_problem
    return PublishedFigure(
        place=score.id,
        model=score.row.subject,
        dataset=column.name,
        metric=column.metric,
        value=score.value,
        percent=score.value if column.unit == "percent" else None,
        problems=column.problems,
        protocol=stated,
        source=score.source,
        date=table.date,
        notes=table.published_protocol,
    )
