"""What ``harness check`` prints: a block of lines for each figure."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console

from harness.claims.check import Checked
from harness.claims.verdict import Evidence
from harness.io.terminal import open_console, safe
from harness.runner.summary import duration

_LABEL = 12
"""Columns before the text of a line."""


def print_checked(target: str, found: Sequence[Checked]) -> None:
    """Prints to stdout; the command of each figure stays on one line, to be copied."""
    console = open_console()
    for each in found:
        console.print(f"[bold]{safe(_title(each))}[/bold]", soft_wrap=True)
        for label, text in _lines(each):
            _print(console, label, text)
        console.print()
    runnable = sum(each.is_reproducible for each in found)
    judged = sum(each.verdict != "untested" for each in found)
    noun = "figure" if len(found) == 1 else "figures"
    _print(
        console,
        "",
        f"{len(found)} {noun} in {target}: {runnable} can be run here, {judged} judged by runs",
        indent=0,
    )


def _print(console: Console, label: str, text: str, indent: int = _LABEL) -> None:
    if label == "command":
        console.print(f"{label:<{indent}}{safe(text)}", soft_wrap=True)
        return
    for number, line in enumerate(textwrap.wrap(text, console.width - indent) or [""]):
        console.print(f"{label if number == 0 else '':<{indent}}{safe(line)}", soft_wrap=True)


def _title(each: Checked) -> str:
    figure = each.figure
    value = f"{figure.value:g}" if figure.percent is None else f"{figure.percent:g} %"
    part = f" ({figure.part})" if figure.part and figure.part != figure.dataset else ""
    return f"{figure.model or each.model or 'a model'} on {figure.dataset}{part}: {value}"


def _lines(each: Checked) -> Iterator[tuple[str, str]]:
    """Label and text, in the order in which they are read."""
    figure = each.figure
    made_with = None if figure.made_with is None else f"made with {figure.made_with}"
    said = filter(None, (figure.place, figure.source, figure.date, made_with))
    yield "published", "; ".join(said)
    if figure.notes:
        yield "notes", figure.notes
    yield "here", "; ".join(each.lacks) or f"task {each.task}, model {each.model}"
    yield from _protocol(each)
    if each.takes is not None:
        yield from _takes(each)
    if each.command is not None:
        yield "command", each.command
        yield "verdict", f"{each.verdict}{_reason(each)}"
    for evidence in each.evidence:
        yield from _run(evidence)
    for caveat in each.caveats:
        yield "mind", caveat


def _protocol(each: Checked) -> Iterator[tuple[str, str]]:
    known = [f"{name}={_shown(value)}" for name, value in each.known.items()]
    yield "known", ", ".join(known) or "nothing of the protocol"
    also = [
        name
        for name, value in (
            ("which harness", each.figure.made_with),
            ("grader", each.figure.grader),
            ("problems", each.figure.problems),
            ("split", each.figure.split),
        )
        if value is None
    ]
    yield "not known", ", ".join((*each.unknown, "the prompt's words", *also))


def _shown(value: object) -> str:
    return repr(list(value)) if isinstance(value, tuple) else str(value)


def _takes(each: Checked) -> Iterator[tuple[str, str]]:
    takes = each.takes
    assert takes is not None, "asked for"
    amounts = []
    if takes.requests is not None:
        amounts.append(f"{takes.requests:,} requests")
    if (time := takes.expected) is not None:
        low, middle, high = (
            duration(time.load_s + seconds)
            for seconds in (time.generation_low_s, time.generation_s, time.generation_high_s)
        )
        amounts.append(f"about {middle} ({low} to {high}) by {time.basis}")
        if time.usd is not None:
            amounts.append(f"{time.usd:.2f} USD of rent")
    if takes.memory_bytes is not None:
        amounts.append(f"{takes.memory_bytes / 1e9:.1f} GB for weights and one context")
    if takes.to_fetch:
        amounts.append(f"to fetch: {', '.join(takes.to_fetch)}")
    amounts += [f"unknown: {', '.join(takes.unknown)}"] if takes.unknown else []
    yield "takes", "; ".join(amounts)
    if takes.expected is not None:
        yield "machine", takes.expected.source
    for reason in takes.cannot_run:
        yield "not here", reason


def _reason(each: Checked) -> str:
    if each.margin_points is None:
        return "; there is no margin"
    if each.verdict == "untested":
        return "; no run that fits" if each.evidence else "; no run of this model on this task"
    return f"; within {each.margin_points:g} points counts as reproduced"


def _run(evidence: Evidence) -> Iterator[tuple[str, str]]:
    named = ", ".join(evidence.run_ids)
    if not evidence.decides:
        yield "run", f"{named}: {evidence.text}"
        return
    yield "run", f"{named}: {evidence.verdict}"
    yield "", evidence.text
    if evidence.arithmetic:
        yield "", evidence.arithmetic
    for caveat in evidence.caveats:
        yield "  mind", caveat
