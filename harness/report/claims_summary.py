"""The first screen of ``harness claims``: the verdicts counted, and the claims that matter most."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from rich.table import Table

from harness.claims.study import Study
from harness.claims.verdict import DECISIONS, Decision, Judgement, Opinion
from harness.io.terminal import open_console, safe
from harness.report.claims import verdict_word

SHOWN = 10
_CELL = 14
"""Characters of a column; a longer figure is folded."""
_TAGS = (
    "in brackets why: the value, its attribution, its scope, its source, or the moment (snapshot)"
)
_BY_VERDICT: tuple[Decision, ...] = (
    "challenged",
    "untested",
    "inconclusive",
    "reproduced",
    "not_testable",
)
"""Which claims come first where a study names no headline claims."""


def most_important(judgements: Sequence[Judgement], study: Study) -> list[Judgement]:
    """At most ten claims, by one rule for every study.

    First come those that the runs of this call say something about, then the study's
    ``headline_claims``. A study that names none shows its claims by verdict instead, challenged
    ones first, and published scores after claims. Otherwise the order is that of the articles.
    """
    headline = {name: place for place, name in enumerate(study.headline_claims)}

    def place(each: Judgement) -> tuple[bool, bool, int, int]:
        if each.id in headline:
            return not _is_measured(each), False, headline[each.id], 0
        return not _is_measured(each), True, each.article is None, _BY_VERDICT.index(each.verdict)

    wanted = (
        each
        for each in sorted(judgements, key=place)
        if not headline or each.id in headline or _is_measured(each)
    )
    return list(islice(wanted, SHOWN))


def _is_measured(each: Judgement) -> bool:
    return each.measured is not None and any(found.decides for found in each.measured.evidence)


def print_claims_summary(judgements: Sequence[Judgement], study: Study, command: str) -> None:
    """Prints one screen to stdout.

    Args:
        judgements: Of all claims and published scores of the study.
        study: Whose title and headline claims are shown.
        command: That shows them again, ``harness claims --study mine RUN``; options are added.
    """
    console = open_console()
    shown = most_important(judgements, study)
    console.print(f"[bold]{safe(study.title)}[/bold]\n", soft_wrap=True)
    console.print(_counts(judgements))
    console.print()
    console.print(_table(shown))
    console.print(f"\n{_TAGS}\n", soft_wrap=True)
    for line in _next(judgements, shown, command):
        console.print(safe(line), soft_wrap=True)


def _counts(judgements: Sequence[Judgement]) -> Table:
    """A line for claims and one for published scores, a column for each verdict."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for verdict in DECISIONS:
        table.add_column(verdict_word(verdict), justify="right")
    for is_claim, what in ((True, "claim"), (False, "published score")):
        counts = Counter(each.verdict for each in judgements if (each.article is None) != is_claim)
        if counts:
            numbers = (str(counts[verdict]) for verdict in DECISIONS)
            table.add_row(
                f"[bold]{counts.total()} {what}{'s' * (counts.total() > 1)}[/bold]", *numbers
            )
    return table


def _table(shown: Sequence[Judgement]) -> Table:
    """Two lines for each claim: what it says, and its id; verdicts, and their figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claim", ratio=1, overflow="fold")
    for name in ("runs", "arithmetic", "documents", "verdict"):
        table.add_column(name, max_width=_CELL, overflow="fold")
    for each in shown:
        opinions = (each.measured, each.derived, each.documentary)
        table.add_row(
            f"[bold]{safe(each.title)}[/bold]\n{safe(each.id)}",
            *map(_opinion, opinions),
            f"[bold]{verdict_word(each.verdict)}[/bold]" + (f"\n({each.tag})" if each.tag else ""),
        )
    return table


def _opinion(opinion: Opinion | None) -> str:
    if opinion is None:
        return "-"
    return safe(verdict_word(opinion.verdict)) + (
        f"\n{safe(opinion.figure)}" if opinion.figure else ""
    )


def _next(
    judgements: Sequence[Judgement], shown: Sequence[Judgement], command: str
) -> Iterator[str]:
    """Commands that show more, each with what it shows."""
    verdict = next(name for name in _BY_VERDICT if any(each.verdict == name for each in judgements))
    commands = {
        f"{command} --id {shown[0].id}": "one claim with its evidence",
        f"{command} --verdict {verdict}": "one verdict; also --article, --category",
        f"{command} --all": "everything, and which runs would decide what is untested",
    }
    longest = max(map(len, commands))
    for line, what in commands.items():
        yield f"{line:<{longest}}  {what}"
