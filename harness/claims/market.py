"""Rule R7: what a price did, against what the sources document of the same day."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.claims.claim import Claim, Moment, Reference, Tag
from harness.claims.verdict import Decision
from harness.quantities.sourced import shown

_LAST: Moment = "close"
_WORDS: Mapping[Moment, str] = {
    "before_opening": "before the opening",
    "trading": "in trading",
    "close": "at the close",
}


class Found(NamedTuple):
    """What the documents show of a price move."""

    verdict: Decision
    tag: Tag | None
    reason: str
    figure: str | None
    """The documented moves that decide."""


def market_verdict(claim: Claim) -> Found:
    """Whether a move is documented, for the moment that the claim names or for any.

    At a moment the claim holds when it does by all figures documented for it. It is reproduced by
    the close. A claim that names no moment is also reproduced by another one of the day
    (``snapshot``); it is inconclusive when none fits but the price must have passed the figure, and
    challenged when it is larger than every documented move.
    """
    figures = [each for each in claim.references if each.moment is not None]
    unread = [each for each in figures if not each.is_verified]
    if unread:
        reason = f"from memory only, and so unverified: {unread[0].text}"
        return Found("inconclusive", "source", reason, None)
    at: dict[Moment, list[Reference]] = {}
    for each in figures:
        assert each.moment is not None, "selected above"
        at.setdefault(each.moment, []).append(each)
    holding = [moment for moment, some in at.items() if all(_holds(claim, each) for each in some)]
    by_moment = {moment: f"{_values(some)} {_WORDS[moment]}" for moment, some in at.items()}
    known = "; ".join(by_moment.values())
    if _LAST in holding:
        close = by_moment[_LAST]
        return Found("reproduced", None, f"holds at the close: {known}", close)
    assert claim.market is not None, "by rule R7"
    if claim.market.says == "close":
        return Found("challenged", "value", f"not at the close: {known}", by_moment.get(_LAST))
    if holding:
        reason = f"held {_WORDS[holding[0]]}, not at the close: {known}"
        return Found("reproduced", "snapshot", reason, by_moment[holding[0]])
    if _may_have_passed(claim, figures):
        reason = f"no source has it at any moment, and the article names none: {known}"
        return Found("inconclusive", "snapshot", reason, known)
    return Found("challenged", "value", f"larger than every documented move: {known}", known)


def _holds(claim: Claim, reference: Reference) -> bool:
    value = _number(reference)
    assert claim.market is not None, "by rule R7"
    if claim.figure is None:
        assert claim.market.at_least is not None, "without a figure"
        return value >= claim.market.at_least
    figure = claim.figure
    return {
        "equals": figure.rounds(value),
        "about": figure.rounds(value),
        "at_least": value >= figure.lower_edge,
        "at_most": value < figure.upper_edge,
        "more_than": value > figure.number,
        "less_than": value < figure.number,
    }[claim.comparison]


def _may_have_passed(claim: Claim, figures: Sequence[Reference]) -> bool:
    """Whether the figure lies between no move and the largest documented one."""
    if claim.figure is None:
        return False
    moves = [0.0, *(_number(each) for each in figures)]
    return min(moves) <= claim.figure.number <= max(moves)


def _number(reference: Reference) -> float:
    assert isinstance(reference.value, int | float), "a moment has a number"
    return float(reference.value)


def _values(some: Sequence[Reference]) -> str:
    values = [shown(_number(each)) for each in some]
    return f"{' and '.join(dict.fromkeys(values))} {some[0].unit}"
