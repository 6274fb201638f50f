"""The verdict on a claim: evidence, an opinion for each kind of it, and how they are combined.

Three kinds are kept apart, so that a document is never taken for a measurement: what runs show
(``measured``), what arithmetic on published figures shows (``derived``), and what people read in
the sources (``documentary``).
"""

from typing import Literal

from pydantic import Field, computed_field

from harness.claims.article import Article
from harness.claims.claim import (
    Category,
    Contradiction,
    Date,
    Forecast,
    Method,
    Rule,
    Tag,
)
from harness.io.sourced import Grade
from harness.records import Count, Record

ALPHA = 0.05
"""The significance level of every test."""
Decision = Literal["reproduced", "challenged", "inconclusive", "not_testable", "untested"]
"""``untested``: a run is missing that could decide."""
Column = Literal["measured", "derived", "documentary"]
DECISIONS: tuple[Decision, ...] = (
    "reproduced",
    "challenged",
    "inconclusive",
    "not_testable",
    "untested",
)


class Bounds(Record):
    """A confidence interval."""

    low: float | None
    high: float | None
    """The upper bound; None: no bound on this side."""
    confidence: float
    of: str
    """What the interval is for, with its error model."""


class Evidence(Record):
    """One piece of evidence for or against a claim, or why a run gives none."""

    kind: Literal["run", "quantity", "document"]
    text: str
    """One line for people."""
    verdict: Decision | Literal["not comparable"] | None = None
    """The verdict of this evidence alone; None where it only adds to others."""
    tag: Tag | None = None
    run_ids: tuple[str, ...] = ()
    model: str | None = None
    quantity: str | None = None
    sources: tuple[str, ...] = ()
    numbers: dict[str, float | int | str | None] = Field(default_factory=dict)
    arithmetic: str | None = None
    intervals: tuple[Bounds, ...] = ()
    p: float | None = None
    """The p-value of a challenge by a run: the smallest level at which it challenges."""
    p_holm: float | None = None
    """Adjusted for all such tests of all claims."""
    grade: Grade | None = None
    """The grade of a figure's source; M is from memory and counts as unverified."""
    date: Date | None = None
    caveats: tuple[str, ...] = ()

    @property
    def is_unverified(self) -> bool:
        """Whether it must be marked as unverified wherever it is shown."""
        return self.grade == "M"

    @property
    def decides(self) -> bool:
        """Whether it can count towards a verdict."""
        return self.verdict not in (None, "not comparable")


class Opinion(Record):
    """The opinion from one kind of evidence on a claim."""

    verdict: Decision | None
    """The verdict; None where there is something to report that decides nothing."""
    tag: Tag | None = None
    reason: str
    figure: str | None = None
    """The figure to compare with the claim's, with its unit; None where there is none."""
    evidence: tuple[Evidence, ...] = ()
    decide: str | None = None
    """The command that makes the missing runs, where the verdict is ``untested``."""


class Judgement(Record):
    """The judgement of a claim or a published score."""

    id: str
    article: Article | None
    """The article; None for a published score."""
    lines: tuple[int, ...] = ()
    """The lines in the article's file."""
    title: str
    subject: str
    category: Category
    figure: str | None
    """The claim's figure as printed."""
    verdict: Decision
    tag: Tag | None
    method: Method
    """The method that decides first."""
    rule: Rule | Literal["published_score"]
    stands_on: Column
    """The column whose verdict this is, or was before the documents were heard."""
    reason: str
    measured: Opinion | None
    derived: Opinion | None
    documentary: Opinion | None
    caveats: tuple[str, ...]
    contradictions: tuple[Contradiction, ...] = ()
    forecast: Forecast | None = None
    """Written down before anything was run."""
    unverified: Count
    """How many of the figures shown are from memory."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All evidence, of all three kinds."""
        columns = (self.measured, self.derived, self.documentary)
        return tuple(each for column in columns if column for each in column.evidence)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def headline(self) -> str:
        """All three kinds side by side, so that a missing run hides nothing that is known."""
        columns: tuple[tuple[Column, Opinion | None], ...] = (
            ("measured", self.measured),
            ("derived", self.derived),
            ("documentary", self.documentary),
        )
        return " | ".join(f"{name}: {_in_brief(opinion)}" for name, opinion in columns)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def decide(self) -> str | None:
        """The command that makes the missing runs."""
        return self.measured.decide if self.measured else None


def _in_brief(opinion: Opinion | None) -> str:
    """``challenged (value), 97.3 percent``."""
    if opinion is None:
        return "-"
    verdict = (opinion.verdict or "context").replace("_", " ")
    tag = f" ({opinion.tag})" if opinion.tag else ""
    return f"{verdict}{tag}" + (f", {opinion.figure}" if opinion.figure else "")


class Overall(Record):
    """One verdict of three opinions."""

    verdict: Decision
    tag: Tag | None
    reason: str
    stands_on: Column


_STANDS_ON: dict[Method, Column] = {
    "measured": "measured",
    "ablation": "measured",
    "derived": "derived",
    "documentary": "documentary",
    "not_testable": "documentary",
}


def overall(
    method: Method,
    measured: Opinion | None,
    derived: Opinion | None,
    documentary: Opinion | None,
) -> Overall:
    """The verdict on the whole claim.

    *Documentary, not testable*: what the documents say. *Measured, ablation*: what the runs say,
    ``untested`` without any; but a figure that they reproduce is challenged where the documents
    say that it is another party's, has a smaller scope, or has no source, which no run can show.
    *Derived*: arithmetic and documents must agree. Where the documents challenge, the claim is
    challenged, since arithmetic shows that a number is right and not whose it is (rule R3); where
    they differ otherwise, it is inconclusive.
    """
    column = _STANDS_ON[method]
    mine = {"measured": measured, "derived": derived, "documentary": documentary}[column]
    assert mine is not None, "a claim has the block that its method names"
    own = mine.verdict or "inconclusive"
    verdict, tag, reason = own, mine.tag, mine.reason
    if documentary is not None and documentary is not mine:
        read = documentary.verdict or "inconclusive"
        combine = _with_measured if column == "measured" else _with_derived
        verdict = combine(own, read, documentary.tag)
        if verdict != own:
            tag, reason = documentary.tag or "scope", f"{reason}; but {documentary.reason}"
        elif column == "derived":
            tag, reason = documentary.tag or tag, documentary.reason
    if verdict == "untested":
        reason += _meanwhile(derived, documentary)
    return Overall(verdict=verdict, tag=tag, reason=reason, stands_on=column)


def _meanwhile(derived: Opinion | None, documentary: Opinion | None) -> str:
    """What is known while a run is missing, so that it is not overlooked."""
    known = (("arithmetic says", derived), ("documents say", documentary))
    return "".join(
        f"; {name}: {each.verdict}{f' ({each.tag})' if each.tag else ''}, {each.reason}"
        for name, each in known
        if each is not None and each.verdict is not None
    )


def _with_derived(own: Decision, read: Decision, _tag: Tag | None) -> Decision:
    if read in (own, "challenged"):
        return read
    return "inconclusive"


def _with_measured(own: Decision, read: Decision, tag: Tag | None) -> Decision:
    is_elsewhere = own == "reproduced" and read == "challenged" and tag != "value"
    return "challenged" if is_elsewhere else own
