"""Judges a claim by arithmetic and sources, without runs.

Rule R3 sets derived quantities against a figure, rule R5 two models' published scores against each
other, rule R7 the move of a price against documented moves; rule R6 hands on what people read in
the sources.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from harness.claims.claim import (
    Claim,
    PrintedFigure,
    PublishedComparison,
    Reference,
    Relation,
    Tag,
    Unit,
    Value,
)
from harness.claims.market import market_verdict
from harness.claims.study_quantities import StudyQuantities
from harness.claims.verdict import ALPHA, Decision, Evidence, Opinion
from harness.quantities import Quantity
from harness.quantities.scores import two_proportions
from harness.quantities.sourced import shown, worst
from harness.stats.paired import holm

_WORDS = {
    "more_than": "more than",
    "at_least": "at least",
    "less_than": "less than",
    "at_most": "at most",
}


@cache
def derived_opinion(claim: Claim, known: StudyQuantities) -> Opinion | None:
    """Rules R3 and R5; None for a claim of which nothing can be computed."""
    opinions = []
    if claim.published is not None:
        opinions.append(_published(claim.published, known))
    if claim.derived:
        opinions.append(_relations(claim, known))
    if len(opinions) < 2:  # noqa: PLR2004 - both blocks
        return opinions[0] if opinions else None
    first, second = opinions
    # Relations that only put into proportion decide nothing.
    agreed = second.verdict in (None, first.verdict)
    return Opinion(
        verdict=first.verdict if agreed else "inconclusive",
        tag=first.tag if agreed else "scope",
        reason=f"{first.reason}; {second.reason}",
        evidence=first.evidence + second.evidence,
    )


def documentary_opinion(claim: Claim) -> Opinion | None:
    """Rules R6 and R7; None where no conclusion from the sources is recorded."""
    read = claim.documentary
    if claim.market is not None:
        verdict, tag, reason, figure = market_verdict(claim)
    elif read is not None:
        verdict, tag, reason, figure = read.verdict, read.tag, read.reason, _documented(claim)
    else:
        return None
    return Opinion(
        verdict=verdict,
        tag=tag,
        reason=reason,
        figure=figure,
        evidence=tuple(_document(each) for each in claim.references),
    )


def _documented(claim: Claim) -> str | None:
    """The first verified figure of a source that is in the claim's own unit."""
    if claim.figure is None:
        return None
    for each in claim.references:
        if each.role == "figure" and each.is_verified and each.unit == claim.figure.unit:
            return in_words(each.value, claim.figure.unit)
    return None


def in_words(value: Value | None, unit: Unit) -> str:
    """A figure for people: ``97.3 percent``, ``2025-01-27``."""
    return f"{shown(value)} {unit}" if isinstance(value, int | float) else str(value)


def _document(reference: Reference) -> Evidence:
    value = reference.value
    numbers: dict[str, float | int | str | None] = {}
    if value is not None:
        number = value if isinstance(value, int | float) else str(value)
        numbers = {"value": number, "unit": reference.unit}
    return Evidence(
        kind="document",
        text=reference.text,
        sources=(reference.source,),
        numbers=numbers,
        grade=reference.grade,
        date=reference.date,
    )


# --- R3: what follows by arithmetic -----------------------------------------------------------


def _relations(claim: Claim, known: StudyQuantities) -> Opinion:
    evidence = tuple(_relation(each, claim.figure, known) for each in claim.derived)
    verdict, tag, reason = _all_of([each for each in evidence if each.decides])
    figure = _computed(claim, known)
    return Opinion(verdict=verdict, tag=tag, reason=reason, figure=figure, evidence=evidence)


def _all_of(deciding: Sequence[Evidence]) -> tuple[Decision | None, Tag | None, str]:
    """One verdict of several relations: all must hold."""
    if not deciding:
        return None, None, "the figures put the claim into proportion and decide nothing"
    verdicts = [each.verdict for each in deciding]
    reason = "; ".join(each.text for each in deciding)
    held = verdicts.count("reproduced")
    if "inconclusive" in verdicts:
        return "inconclusive", "source", reason
    if held == len(verdicts):
        return "reproduced", None, reason
    return ("inconclusive", "scope", reason) if held else ("challenged", "value", reason)


def _computed(claim: Claim, known: StudyQuantities) -> str | None:
    """The first quantity that is set against the claim's own figure."""
    for each in claim.derived:
        if claim.figure is not None and each.to is None and each.relation != "context":
            found = known.quantity(each.quantity)
            value = None if found.value is None else found.value * each.times
            return f"{shown(value)} {claim.figure.unit}"
    return None


def _relation(each: Relation, figure: PrintedFigure | None, known: StudyQuantities) -> Evidence:
    mine = known.quantity(each.quantity)
    other = known.quantity(each.to) if isinstance(each.to, str) else None
    against = other.value if other else each.to if isinstance(each.to, float) else figure
    value = None if mine.value is None else mine.value * each.times
    shown_value = f"{shown(value)}{'' if each.times != 1 else f' {mine.unit}'}"
    numbers: dict[str, float | int | str | None] = {"value": value}
    numbers["unit"] = mine.unit if each.times == 1 else f"{mine.unit} x {each.times:g}"
    numbers["relation"] = each.relation
    if each.relation == "context":
        verdict, words = None, shown_value
    else:
        target = against.number if isinstance(against, PrintedFigure) else against
        numbers["against"] = target
        holds = None if value is None or against is None else each.holds(mine.number, against)
        words = f"{shown_value} {_relation_words(each, holds=holds, is_figure=against is figure)}"
        words += f" {shown(target)}"
        verdict = _held(holds)
    return Evidence(
        kind="quantity",
        text=f"{each.note}: {words}",
        verdict=verdict,
        tag="value" if verdict == "challenged" else None,
        quantity=each.quantity,
        sources=_sources(mine, other),
        numbers=numbers,
        arithmetic="; ".join(each.arithmetic for each in (mine, other) if each),
        grade=worst(q.grade for q in (mine, other) if q),
    )


def _relation_words(each: Relation, *, holds: bool | None, is_figure: bool) -> str:
    if holds is None:
        return "cannot be compared with"
    if each.relation == "equals":
        equals = "rounds to" if is_figure else "is"
        return (
            equals if holds else equals.replace("rounds", "does not round").replace("is", "is not")
        )
    words = _WORDS[each.relation]
    return f"is {words}" if holds else f"is not {words}"


def _held(holds: bool | None) -> Decision:
    if holds is None:
        return "inconclusive"
    return "reproduced" if holds else "challenged"


def _sources(*quantities: Quantity | None) -> tuple[str, ...]:
    found = [source for each in quantities if each for source in each.sources]
    return tuple(dict.fromkeys(found))


# --- R5: two models by their published scores -------------------------------------------------


class _Row(NamedTuple):
    """One benchmark on which two models are published."""

    name: str
    this: Quantity
    other: Quantity
    p: Quantity | None
    """The p-value; None where the number of problems is unknown, or the score is no share of
    them."""

    @property
    def is_ahead(self) -> bool:
        """Whether the model is ahead of the other."""
        return self.this.number > self.other.number

    @property
    def place(self) -> str:
        """The position in words."""
        level = self.this.number == self.other.number
        return "level" if level else "ahead" if self.is_ahead else "behind"


def _published(asked: PublishedComparison, known: StudyQuantities) -> Opinion:
    """Whether one keeps up (ahead somewhere) or beats (significantly, Holm over all tests)."""
    rows = [_row(asked, benchmark, known) for benchmark in asked.benchmarks]
    tested = [row for row in rows if row.p is not None]
    adjusted = dict(
        zip(
            (row.name for row in tested),
            holm([row.p.value for row in tested if row.p]),
            strict=True,
        )
    )
    significant = [row for row in tested if _is_significant(adjusted[row.name])]
    ahead = [row for row in rows if row.is_ahead]
    won, lost = (
        [row.name for row in significant if row.is_ahead is side] for side in (True, False)
    )
    verdict, tag = _comparison(asked.question, len(ahead), won, lost)
    reason = (
        f"ahead on {len(ahead)} of {len(rows)} benchmarks, significantly on {_listed(won)}; behind "
        f"significantly on {_listed(lost)} (tested where the number of problems is known: "
        f"{len(tested)})"
    )
    evidence = [_row_evidence(asked, row, adjusted.get(row.name)) for row in rows]
    return Opinion(verdict=verdict, tag=tag, reason=reason, evidence=tuple(evidence))


def _is_significant(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _comparison(
    question: str, ahead: int, won: Sequence[str], lost: Sequence[str]
) -> tuple[Decision, Tag | None]:
    """``scope``: some of the leads are nominal, or the other model leads elsewhere."""
    if not ahead:
        return "challenged", "value"
    if question == "keeps_up":
        return "reproduced", None
    if not won:
        return "inconclusive", "value"
    return "reproduced", "scope" if lost or len(won) < ahead else None


def _row(asked: PublishedComparison, benchmark: str, known: StudyQuantities) -> _Row:
    this, other = (known.quantity(name) for name in asked.scores(benchmark))
    return _Row(benchmark, this, other, _test(asked, benchmark, known))


def _test(asked: PublishedComparison, benchmark: str, known: StudyQuantities) -> Quantity | None:
    """The catalogue's test, or the same one where a score is the study's own."""
    name, size = asked.p_value(benchmark), f"{benchmark}_problems"
    if name in known:
        return known.quantity(name)
    if size not in known or known.own().isdisjoint(asked.scores(benchmark)):
        return None
    this, other = (known.quantity(each) for each in asked.scores(benchmark))
    problems = known.quantity(size)
    if problems.value is None or {this.unit, other.unit} != {"percent"}:
        return None
    return two_proportions(this, other, problems)


def _row_evidence(asked: PublishedComparison, row: _Row, p_holm: float | None) -> Evidence:
    this, other = row.this, row.other
    inputs = [each for each in (this, other, row.p) if each is not None]
    return Evidence(
        kind="quantity",
        text=f"{row.name.replace('_', ' ')}: {shown(this.value)} against {shown(other.value)} "
        f"{this.unit}, {row.place}" + ("" if row.p is None else f", p {row.p.number:.2g}"),
        quantity=asked.scores(row.name)[0] if row.p is None else asked.p_value(row.name),
        sources=_sources(*inputs),
        numbers={"this": this.value, "other": other.value, "p": row.p.value if row.p else None},
        arithmetic=row.p.arithmetic if row.p else "not tested: number of problems unknown",
        p_holm=p_holm,
        grade=worst(each.grade for each in inputs),
    )


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})".replace("_", " ") if names else "none"
