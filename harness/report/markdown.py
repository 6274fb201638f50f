"""A report for a pull request: the figures, what became of the answers, and where it is from."""

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.io.printable import printable
from harness.report.page.headline import side_by_side
from harness.report.page.outcomes import SIGNS
from harness.report.page.provenance import provenance
from harness.report.page.runs import ReportRun, mismatches
from harness.report.page.write import Report

_FACTS = ("model", "weights", "engine", "device", "dtype", "protocol", "harness", "started")


def as_markdown(report: Report) -> str:
    """All of it, some 40 lines."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    runs = report.runs
    yield f"### {_escape(runs[0].name) if len(runs) == 1 else f'{len(runs)} runs'}"
    yield ""
    for each in mismatches(runs):
        groups = " against ".join(" and ".join(group) for group in each.groups)
        fields = "; ".join(each.fields)
        yield f"> **Not comparable** on {_escape(each.task)}: {groups} ({_escape(fields)})"
        yield ""
    yield from _figures(runs)
    yield from _outcomes(report)
    yield from _claims(report)
    yield from _provenance(runs)


def _figures(runs: Sequence[ReportRun]) -> Iterator[str]:
    yield from _head("", *(f"{run.letter}: {run.name}" if len(runs) > 1 else "" for run in runs))
    for row in side_by_side(runs):
        cells = []
        for figure in row.cells:
            if figure is None:
                cells.append("not asked")
                continue
            value = f"**{_escape(figure.value)}** {figure.unit}".rstrip()
            cells.append("<br>".join([value, *(_escape(note) for note in figure.notes[:2])]))
        yield _row(_escape(row.label), *cells)
    yield ""


def _outcomes(report: Report) -> Iterator[str]:
    yield from _head(
        "outcomes", "run", "solved", "95 %", *(f"{s} {word}" for word, s in SIGNS.items())
    )
    for task, groups in report.groups.items():
        for group in groups:
            if group.kind == "task":
                value = group.accuracy.value
                solved = "unknown" if value is None else f"{100 * value:.1f} %"
                low, high = group.accuracy.low, group.accuracy.high
                interval = "unknown"
                if low is not None and high is not None:
                    interval = f"{100 * low:.1f} to {100 * high:.1f} %"
                counts = (str(count) for count in group.counts.values())
                yield _row(_escape(task), group.run.letter, solved, interval, *counts)
    yield ""


def _claims(report: Report) -> Iterator[str]:
    claims = [each for each in report.judgements if each.article is not None]
    counts = Counter(each.verdict for each in claims)
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.most_common())
    yield f"{len(claims)} claims that runs or arithmetic decide first: {told}."
    decided = [
        each
        for each in report.judgements
        if each.measured and each.stands_on == "measured" and each.verdict != "untested"
    ]
    if not decided:
        yield "None of them by these runs."
    yield ""
    for each in decided:
        yield f"- **{each.verdict}** {_escape(each.title)} (`{each.id}`): {_escape(each.reason)}"
    if decided:
        yield ""


def _provenance(runs: Sequence[ReportRun]) -> Iterator[str]:
    yield "<details><summary>Provenance</summary>"
    yield ""
    yield from _head("", *(run.letter for run in runs))
    for fact in provenance(runs):
        if fact.label in ("run", *_FACTS) or fact.label.endswith("fingerprint"):
            yield _row(_escape(fact.label), *(_escape(value) for value in fact.values))
    yield ""
    yield "</details>"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*(_escape(cell) for cell in cells))
    yield _row(*("---" for _ in cells))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text that Markdown, HTML in it, and a terminal leave as it is."""
    text = printable(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for mark in ("|", "*", "_", "`", "[", "]", "#", "!"):
        text = text.replace(mark, f"\\{mark}")
    return text
