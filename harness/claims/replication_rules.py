"""Published scores of models that can be run: tables to be reproduced."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from harness.claims.claim import Date, Line, Unit
from harness.io.sourced import Grade
from harness.records import Record


class Column(Record):
    """A benchmark, one column of the table."""

    name: Line
    task: str | None
    """Our task with the same problems; None where there is none."""
    metric: str | None
    """Our metric with the same definition; None where there is none."""
    unit: Unit
    problems: Annotated[int, Field(ge=1)] | None = None
    """The number of problems behind the published score; None where the source does not give it."""
    margin_points: Annotated[float, Field(gt=0)] | None = None
    """Rule R1: the difference in points that counts as reproduced. None gives no verdict."""
    margin_reason: Line | None = None
    """The reason for this margin, or for none."""
    samples_per_problem: Annotated[int, Field(ge=1)] | None = None
    """Samples per problem behind the published score; None where not published."""

    @model_validator(mode="after")
    def _margin_has_a_reason(self) -> Self:
        if self.margin_points is not None and self.margin_reason is None:
            raise ValueError(f"margin_points={self.margin_points} needs a margin_reason")
        return self


class Row(Record):
    """A model's scores."""

    subject: Line
    """The model, as the source names it."""
    model: str | None = None
    """The model's file in ``conf/model``."""
    hub_id: Line | None = None
    """The model's repository, where there is no such file."""
    values: Annotated[dict[str, float], Field(min_length=1)]
    """Scores by column."""
    needs: Line | None = None
    """Further arguments for the run's command, such as more GPUs for a large model."""
    source: Line | None = None
    """The source, where it differs from the table's."""
    grade: Grade | None = None
    """The grade, where it differs from the table's."""
    note: Line | None = None

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if self.model is None and self.hub_id is None:
            raise ValueError(f"{self.subject}: needs a model or a hub_id")
        return self


class PublishedScore(NamedTuple):
    """One value of a table, with all that it needs to be checked."""

    id: str
    """``distill_table/r1_distill_qwen_7b/math500/accuracy``."""
    table: "ScoreTable"
    row: Row
    column: Column
    value: float

    @property
    def source(self) -> str:
        """The source of the table."""
        return self.row.source or self.table.source

    @property
    def is_verified(self) -> bool:
        """False for what is known from memory only."""
        return (self.row.grade or self.table.grade) != "M"

    @property
    def is_reproducible(self) -> bool:
        """Whether a run could give a verdict."""
        column = self.column
        return None not in (column.task, column.metric, column.margin_points)


class ScoreTable(Record):
    """A table of published scores, as ``score/<id>.yaml`` of a study has it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: Line
    kind: Literal["vendor", "replication", "control"]
    """Scores by the model's maker, by others, or of other models to check the harness with."""
    protocol: str | None
    """The file of ``conf/protocol`` that a compared run must use."""
    experiment: str | None = None
    """The file of ``conf/experiment`` that makes the runs; None: a separate run for each."""
    published_protocol: Line
    """The protocol as the source describes it."""
    source: Line
    grade: Grade
    date: Date
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    caveats: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _values_stand_in_columns(self) -> Self:
        known = [column.name for column in self.columns]
        for row in self.rows:
            if unknown := sorted(row.values.keys() - set(known)):
                raise ValueError(f"{row.subject}: no column '{unknown[0]}'; {', '.join(known)}")
        subjects = [row.subject for row in self.rows]
        if twice := [name for name in subjects if subjects.count(name) > 1]:
            raise ValueError(f"subject '{twice[0]}' has two rows")
        return self

    def scores(self) -> tuple[PublishedScore, ...]:
        """All values, row by row."""
        return tuple(
            PublishedScore(_score_id(self.id, row, column), self, row, column, value)
            for row in self.rows
            for column in self.columns
            if (value := row.values.get(column.name)) is not None
        )


def _score_id(table: str, row: Row, column: Column) -> str:
    parts = (table, row.model or row.hub_id or row.subject, column.task or column.name)
    return "/".join((*parts, column.metric or column.unit))
