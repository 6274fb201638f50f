"""The verdicts on the claims, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from harness.claims.verdict import DECISIONS, Evidence, Judgement, Opinion
from harness.io.printable import printable
from harness.io.terminal import open_console, safe

UNVERIFIED = "unverified"
SCORES = "Published scores"
SCORE_PREFIX = "published/"
COLUMNS = ("measured", "derived", "documentary")
_LEGEND = (
    "measured by runs, derived by arithmetic, documentary as read in sources; - none of the kind",
    "untested: a run is missing; context: puts into proportion and decides nothing; why, below it:",
    "  value the number, attribution whose it is, scope how far it holds, source where it is from,",
    "  snapshot its moment",
)
_WORDS = {"not_testable": "not testable", None: "context"}


def as_json(judgements: Iterable[Judgement]) -> str:
    """A list of objects."""
    listed = [each.model_dump(mode="json") for each in judgements]
    return json.dumps(listed, allow_nan=False, indent=1)


def groups(judgements: Sequence[Judgement]) -> Iterator[tuple[str, list[Judgement]]]:
    """By article, published scores last."""
    for article, members in groupby(judgements, key=lambda each: each.article):
        title = SCORES if article is None else article.title
        yield title, list(members)


def tally(judgements: Iterable[Judgement]) -> str:
    """How many of each verdict."""
    counts = Counter(each.verdict for each in judgements)
    return ", ".join(f"{counts[name]} {verdict_word(name)}" for name in DECISIONS if counts[name])


def verdict_word(verdict: str | None) -> str:
    """A verdict as people read it."""
    return _WORDS.get(verdict) or str(verdict)


# --- for a terminal ---------------------------------------------------------------------------


def print_claims(judgements: Sequence[Judgement]) -> None:
    """Prints tables to stdout; of a single one all that is known."""
    console = open_console()
    if not judgements:
        console.print("no claim fits")
        return
    for title, members in groups(judgements):
        console.print(f"[bold]{safe(title)}[/bold]", soft_wrap=True)
        is_scores = members[0].article is None
        console.print(_scores_table(members) if is_scores else _table(members))
        console.print()
    if len(judgements) == 1:
        _print_details(console, judgements[0])
        return
    commands = dict.fromkeys(each.decide for each in judgements if each.decide)
    if commands:
        console.print("untested: what would decide")
        for command in commands:
            console.print(f"  {safe(str(command))}", soft_wrap=True)
        console.print()
    for is_claim, what in ((True, "claims"), (False, "published scores")):
        some = [each for each in judgements if (each.article is not None) is is_claim]
        if some:
            console.print(f"{len(some)} {what}: {tally(some)}")
    for line in _LEGEND:
        console.print(line, soft_wrap=True)
    console.print("--id ID shows one claim with its evidence")


def _table(members: Sequence[Judgement]) -> Table:
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claim", ratio=1, overflow="fold")
    for name in (*COLUMNS, "verdict"):
        table.add_column(name, no_wrap=True)
    for each in members:
        cells = [_opinion_cell(opinion) for opinion in _opinions(each)]
        mark = f"\n({each.unverified} {UNVERIFIED})" if each.unverified else ""
        lines = "".join(f"\n{safe(line)}" for line in _figures(each))
        table.add_row(
            f"[bold]{safe(each.id)}[/bold]\n{safe(each.title)}{lines}{mark}",
            *cells,
            f"[bold]{_cell(each.verdict, each.tag)}[/bold]",
        )
    return table


def _figures(each: Judgement) -> Iterator[str]:
    """The claim's figure beside those of arithmetic and documents, where they have one."""
    others = (("arithmetic", each.derived), ("documents", each.documentary))
    known = [f"{name} {opinion.figure}" for name, opinion in others if opinion and opinion.figure]
    if each.figure and known:
        yield f"claimed {each.figure}; {', '.join(known)}"


def _scores_table(members: Sequence[Judgement]) -> Table:
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(SCORE_PREFIX)
    table.add_column("published", justify="right")
    table.add_column("verdict", no_wrap=True)
    for each in members:
        figure = f"{safe(each.figure or '')}{f' ({UNVERIFIED})' if each.unverified else ''}"
        verdict = f"[bold]{_in_table(each.verdict, each.tag)}[/bold]"
        table.add_row(f"{safe(each.id.removeprefix(SCORE_PREFIX))}", figure, verdict)
    return table


def _opinions(each: Judgement) -> tuple[Opinion | None, Opinion | None, Opinion | None]:
    return each.measured, each.derived, each.documentary


def _opinion_cell(opinion: Opinion | None) -> str:
    return "-" if opinion is None else _cell(opinion.verdict, opinion.tag)


def _cell(verdict: str | None, tag: str | None) -> str:
    return verdict_word(verdict) + (f"\n  {tag}" if tag else "")


def _print_details(console: Console, each: Judgement) -> None:
    for line in _details(each):
        console.print(safe(line), soft_wrap=True)


def _details(each: Judgement) -> Iterator[str]:
    """All that is known of one claim, in lines."""
    yield f"subject     {each.subject}" + (f", {each.figure}" if each.figure else "")
    if each.article:
        place = _place(each.lines)
        file = f" of {each.article.file}" if each.article.file else ""
        yield f"article     {each.article.title}" + (f"; {place}{file}" if place else "")
    yield f"headline    {each.headline}"
    yield f"verdict     {verdict_word(each.verdict)}" + (f" ({each.tag})" if each.tag else "")
    yield f"            {each.reason}"
    yield f"stands on   {each.stands_on}, rule {each.rule}"
    if each.forecast:
        tag = f" ({each.forecast.tag})" if each.forecast.tag else ""
        yield (
            f"forecast    {verdict_word(each.forecast.verdict)}{tag}, {each.forecast.date}: "
            f"{each.forecast.reason}"
        )
    if each.decide:
        yield f"to decide   {each.decide}"
    for name, opinion in zip(COLUMNS, _opinions(each), strict=True):
        if opinion is None:
            continue
        yield ""
        yield f"{name}: {verdict_word(opinion.verdict)}" + (
            f" ({opinion.tag})" if opinion.tag else ""
        )
        yield f"  {opinion.reason}"
        for evidence in opinion.evidence:
            yield f"  - {_evidence_line(evidence)}"
    if each.caveats:
        yield ""
        yield "caveats"
        yield from (f"  - {caveat}" for caveat in each.caveats)
    for other in each.contradictions:
        yield f"against     {other.claim}: {other.note}"


def _place(lines: Sequence[int]) -> str:
    """``line 13``; empty where it is not known."""
    word = "line" if len(lines) == 1 else "lines"
    return f"{word} {', '.join(map(str, lines))}" if lines else ""


def _evidence_line(each: Evidence) -> str:
    """One piece of evidence with where it comes from."""
    parts = [each.text]
    if each.run_ids:
        more = f" and {len(each.run_ids) - 1} more" if len(each.run_ids) > 1 else ""
        parts.append(f"run {each.run_ids[0]}{more}")
    if each.p_holm is not None:
        parts.append(f"adjusted p {each.p_holm:.2g}")
    if each.arithmetic and each.kind == "quantity":
        parts.append(each.arithmetic)
    if each.sources:
        parts.append("; ".join(each.sources))
    if each.grade:
        grade = UNVERIFIED if each.is_unverified else f"grade {each.grade}"
        parts.append(grade + (f", {each.date}" if each.date else ""))
    return " · ".join(parts)


# --- Markdown ---------------------------------------------------------------------------------


def as_markdown(judgements: Sequence[Judgement]) -> str:
    """A table for each article, then the evidence of each claim; a table of published scores."""
    lines: list[str] = []
    for title, members in groups(judgements):
        lines += [f"## {' '.join(title.split())}", ""]
        if members[0].article is None:
            lines += [*_markdown_scores(members), ""]
            continue
        lines += [*_markdown_table(members), ""]
        for each in members:
            lines += [*_markdown_claim(each), ""]
    return "\n".join(lines)


def _markdown_table(members: Iterable[Judgement]) -> Iterator[str]:
    yield _row("claim", "figures", *COLUMNS, "verdict", "forecast")
    yield _row(*["---"] * 7)
    for each in members:
        forecast = each.forecast
        mark = f" **({each.unverified} {UNVERIFIED})**" if each.unverified else ""
        yield _row(
            f"`{each.id}` {_escape(each.title)}{mark}",
            _escape("".join(_figures(each)) or each.figure or ""),
            *(_in_table(found.verdict, found.tag) if found else "-" for found in _opinions(each)),
            f"**{_in_table(each.verdict, each.tag)}**",
            _in_table(forecast.verdict, forecast.tag) if forecast else "-",
        )


def _markdown_scores(members: Iterable[Judgement]) -> Iterator[str]:
    yield _row("score", "published", "verdict", "runs, or what makes them")
    yield _row(*["---"] * 4)
    for each in members:
        mark = f" **({UNVERIFIED})**" if each.unverified else ""
        runs = f"`{each.decide}`" if each.decide else _escape(each.reason)
        verdict = f"**{_in_table(each.verdict, each.tag)}**"
        yield _row(f"{_escape(each.title)}", f"{each.figure}{mark}", verdict, runs)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_claim(each: Judgement) -> Iterator[str]:
    yield f"### `{each.id}`"
    yield ""
    figure = f", {each.figure}" if each.figure else ""
    place = f", {_place(each.lines)}" if each.lines else ""
    yield f"{_escape(each.title)} ({_escape(each.subject)}{figure}{place})."
    yield f"**{_in_table(each.verdict, each.tag)}**: {_escape(each.reason)}."
    yield f"Side by side: {_escape(each.headline.replace(' | ', '; '))}."
    if each.forecast:
        told = _in_table(each.forecast.verdict, each.forecast.tag)
        yield f"Forecast of {each.forecast.date}: {told}, {_escape(each.forecast.reason)}."
    yield ""
    for name, opinion in zip(COLUMNS, _opinions(each), strict=True):
        if opinion is not None:
            yield f"- *{name}*: {_in_table(opinion.verdict, opinion.tag)}" + (
                f"; `{opinion.decide}` decides" if opinion.decide else ""
            )
            yield from (f"  - {_escape(_evidence_line(found))}" for found in opinion.evidence)
    if each.caveats:
        yield "- *caveats*"
        yield from (f"  - {_escape(caveat)}" for caveat in each.caveats)
    if each.contradictions:
        yield "- *at odds with*"
        yield from (f"  - `{other.claim}`: {_escape(other.note)}" for other in each.contradictions)


def _in_table(verdict: str | None, tag: str | None) -> str:
    """``challenged (value)``."""
    return verdict_word(verdict) + (f" ({tag})" if tag else "")


def _escape(text: str) -> str:
    """Text that Markdown leaves as it is, and a terminal too."""
    text = printable(text)
    for mark in ("|", "*", "_", "<", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text
