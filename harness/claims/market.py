"""Rule R7: what a price did, against what the sources document of the same day."""

from collections.abc import Mapping, Sequence

from harness.claims.claim import Claim, Moment, Reference, Tag
from harness.claims.verdict import Decision
from harness.derive.sourced import shown

_LAST: Moment = "close"
_WORDS: Mapping[Moment, str] = {
    "before_opening": "before the opening",
    "trading": "in trading",
    "close": "at the close",
}
Found = tuple[Decision, Tag | None, str]
"""Verdict, why, and the reason in words."""


def market_verdict(claim: Claim) -> Found:
    """Whether a move is documented, for the moment that the claim names or for any.

    At a moment the claim holds when it does by all figures documented for it. It is reproduced by
    the close. A claim that names no moment is also reproduced by another one of the day
    (``snapshot``); it is inconclusive when none fits but the price must have passed the figure, and
    challenged when it lies beyond every documented move.
    """
    figures = [each for each in claim.references if each.moment is not None]
    unread = [each for each in figures if not each.is_verified]
    if unread:
        return "inconclusive", "source", f"from memory only, and so unverified: {unread[0].text}"
    at: dict[Moment, list[Reference]] = {}
    for each in figures:
        assert each.moment is not None, "selected above"
        at.setdefault(each.moment, []).append(each)
    holding = [moment for moment, some in at.items() if all(_holds(claim, each) for each in some)]
    known = "; ".join(f"{_WORDS[moment]} {_values(some)}" for moment, some in at.items())
    if _LAST in holding:
        return "reproduced", None, f"holds at the close: {known}"
    assert claim.market is not None, "by rule R7"
    if claim.market.says == "close":
        return "challenged", "value", f"not at the close: {known}"
    if holding:
        return "reproduced", "snapshot", f"held {_WORDS[holding[0]]}, not at the close: {known}"
    if _may_have_passed(claim, figures):
        return (
            "inconclusive",
            "snapshot",
            f"no source for this figure at any moment, and the article names none: {known}",
        )
    return "challenged", "value", f"beyond every documented move: {known}"


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
    """Whether the figure lies between no move at all and the largest that is documented."""
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
