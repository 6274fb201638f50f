"""What arithmetic and the sources say of a claim; no run is asked.

Rule R3 sets derived quantities against a figure, rule R5 two models' published scores against each
other, rule R6 hands on what people read in the sources.
"""

from functools import cache

from harness.claims.claim import Claim, Figure, PublishedComparison, Reference, Relation
from harness.claims.verdict import ALPHA, Decision, Evidence, Opinion
from harness.derive import Quantity, quantity
from harness.derive.sourced import shown
from harness.paired import holm

_WORDS = {
    "more_than": "more than",
    "at_least": "at least",
    "less_than": "less than",
    "at_most": "at most",
}


@cache
def derived_opinion(claim: Claim) -> Opinion | None:
    """Rules R3 and R5; None for a claim of which nothing can be computed."""
    opinions = []
    if claim.published is not None:
        opinions.append(_published(claim.published))
    if claim.derived:
        opinions.append(_relations(claim))
    if len(opinions) < 2:  # noqa: PLR2004 - both blocks
        return opinions[0] if opinions else None
    first, second = opinions
    agreed = first.verdict == second.verdict
    return Opinion(
        verdict=first.verdict if agreed else "inconclusive",
        tag=first.tag if agreed else "scope",
        reason=f"{first.reason}; {second.reason}",
        evidence=first.evidence + second.evidence,
    )


def documentary_opinion(claim: Claim) -> Opinion | None:
    """Rule R6; None where nobody has drawn a conclusion from the sources."""
    found = claim.documentary
    if found is None:
        return None
    return Opinion(
        verdict=found.verdict,
        tag=found.tag,
        reason=found.reason,
        evidence=tuple(_document(each) for each in claim.references),
    )


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


def _relations(claim: Claim) -> Opinion:
    evidence = tuple(_relation(each, claim.figure) for each in claim.derived)
    verdicts = [each.verdict for each in evidence if each.decides]
    held = verdicts.count("reproduced")
    reason = "; ".join(each.text for each in evidence if each.decides)
    if not verdicts:
        return Opinion(
            verdict=None,
            reason="the figures put the claim into proportion and decide nothing",
            evidence=evidence,
        )
    if "inconclusive" in verdicts:
        return Opinion(verdict="inconclusive", tag="source", reason=reason, evidence=evidence)
    if held == len(verdicts):
        return Opinion(verdict="reproduced", reason=reason, evidence=evidence)
    if held:
        return Opinion(verdict="inconclusive", tag="scope", reason=reason, evidence=evidence)
    return Opinion(verdict="challenged", tag="value", reason=reason, evidence=evidence)


def _relation(each: Relation, figure: Figure | None) -> Evidence:
    mine = quantity(each.quantity)
    other = quantity(each.to) if isinstance(each.to, str) else None
    against = other.value if other else each.to if isinstance(each.to, float) else figure
    value = None if mine.value is None else mine.value * each.times
    shown_value = f"{shown(value)}{'' if each.times != 1 else f' {mine.unit}'}"
    numbers: dict[str, float | int | str | None] = {"value": value}
    numbers["unit"] = mine.unit if each.times == 1 else f"{mine.unit} x {each.times:g}"
    numbers["relation"] = each.relation
    if each.relation == "context":
        verdict, words = None, shown_value
    else:
        target = against.number if isinstance(against, Figure) else against
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
        grade=max((q.grade for q in (mine, other) if q), key="PDSM".index),
    )


def _relation_words(each: Relation, *, holds: bool | None, is_figure: bool) -> str:
    if holds is None:
        return "cannot be set against"
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


def _published(asked: PublishedComparison) -> Opinion:
    """To keep up is to be ahead somewhere; to beat takes significance, Holm over the rows."""
    ahead, rows = quantity(asked.rows_ahead), quantity(asked.rows_compared)
    tests = [quantity(name) for name in asked.p_values]
    adjusted = holm([each.value for each in tests])
    evidence = [_looked_up(asked.rows_ahead, ahead), _looked_up(asked.rows_compared, rows)]
    evidence += [
        _looked_up(name, each).model_copy(update={"p": None, "p_holm": p})
        for name, each, p in zip(asked.p_values, tests, adjusted, strict=True)
    ]
    significant = sum(p is not None and p < ALPHA for p in adjusted)
    reason = f"ahead on {shown(ahead.value)} of {shown(rows.value)} rows"
    tag = None
    verdict: Decision
    if not ahead.value:
        verdict, tag = "challenged", "value"
    elif asked.question == "keeps_up":
        verdict = "reproduced"
    else:
        verdict = "reproduced" if significant else "inconclusive"
        tag = None if significant else "value"
        lowest = min((p for p in adjusted if p is not None), default=None)
        reason += (
            f", significantly on {significant} of the {len(tests)} whose number of problems is "
            f"known (lowest adjusted p {'unknown' if lowest is None else f'{lowest:.2g}'})"
        )
    return Opinion(verdict=verdict, tag=tag, reason=reason, evidence=tuple(evidence))


def _looked_up(name: str, found: Quantity) -> Evidence:
    return Evidence(
        kind="quantity",
        text=f"{name.replace('_', ' ')}: {shown(found.value)} {found.unit}",
        quantity=name,
        sources=found.sources,
        numbers={"value": found.value, "unit": found.unit},
        arithmetic=found.arithmetic,
        grade=found.grade,
    )
