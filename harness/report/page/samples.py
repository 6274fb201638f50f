"""Every answer of the runs, for the page's sample browser.

What is needed to list, filter and search is one small index. The long texts are cut into chunks
that the browser unpacks when they are looked at. All of it is base64 of gzip of JSON, so that no
character of what a model wrote can mean anything to the page.

::

    index   {"runs": [...], "problems": [...], "chunks": n}
    chunk   [{"r": reasoning, "a": answer or null, "x": extracted, "d": detail}, ...]
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from harness.io.jsonl import read_jsonl, unwritable
from harness.records import (
    CodeReference,
    Completion,
    MathReference,
    OtherReference,
    Problem,
    Prompt,
    RequestId,
    Verdict,
    task_of,
)
from harness.report.page.render import compressed
from harness.report.page.runs import ReportRun
from harness.scorers.answers.thinking import SplitText, split_thinking
from harness.store.manifest import Outcome

CHUNK_CHARACTERS = 1_000_000
"""Of text in a chunk: unpacked and read in some 20 ms."""
SHORT = 160
"""Characters of an extracted answer, a detail or the end of an answer in the index."""


@dataclass
class Samples:
    """The index, and the files that the chunks wait in until the page takes them up."""

    index: str = ""
    files: list[Path] = field(default_factory=list)
    compressed_bytes: int = 0
    texts: int = 0
    """Answers whose texts there are."""

    def chunks(self) -> Iterator[str]:
        """One at a time."""
        for file in self.files:
            yield file.read_text(encoding="ascii")


def collect_samples(runs: Sequence[ReportRun], folder: Path) -> Samples:
    """Reads the texts of all runs once, from the first to the last, holding one chunk of them.

    Args:
        runs: Their order is that of the index.
        folder: For the chunks; exists and is empty.

    Raises:
        StoreError: A run's files do not fit together, or the folder cannot be written.
    """
    samples = Samples()
    problems: dict[str, int] = {}
    known: dict[str, Problem] = {}
    listed = []
    names = {o.problem_id for run in runs for o in run.result.outcomes}
    for name in sorted(names, key=_by_number):
        problems[name] = len(problems)
    for run in runs:
        known = {**run.problems, **known}
    for run in runs:
        places = _write_chunks(run, folder, samples)
        listed.append(_run_index(run, problems, places))
    samples.index = compressed(
        _json(
            {
                "runs": listed,
                "problems": [_problem(name, known.get(name)) for name in problems],
                "chunks": len(samples.files),
            }
        )
    )
    return samples


def _by_number(name: str) -> list[tuple[int, str]]:
    """For sorting as people do: 9 before 10."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _problem(name: str, problem: Problem | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": name, "task": task_of(name)}
    if problem is None:
        return entry
    entry |= {"subject": problem.subject, "level": problem.level, "question": problem.question}
    match problem.reference:
        case CodeReference(test=test):
            entry["test"] = test.strip()
        case MathReference(answer=answer):
            entry |= {"gold": answer, "formula": True}
        case OtherReference(values=values):
            entry["gold"] = "\n".join(values.values())
    return entry


# --- the texts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where a sample's texts are, and what of them the index shows."""

    chunk: int
    place: int
    end: str
    detail: str
    hash: int
    """Of the whole text; what differs in it is a different text."""


def _write_chunks(run: ReportRun, folder: Path, samples: Samples) -> dict[RequestId, _Place]:
    if run.folder is None:
        return {}
    opened = _opened_think(run)
    verdicts = run.folder.read_verdicts()
    places: dict[RequestId, _Place] = {}
    waiting: list[str] = []
    size = 0
    for completion in run.folder.read_completions():
        verdict = verdicts.get(completion.request_id)
        problem_id = completion.request_id.problem_id
        split = split_thinking(
            completion.text,
            prompt_opened_think=opened.get(problem_id, False),
            reasoning=run.result.manifest.model.reasoning,
        )
        entry = _entry(split, completion, verdict)
        text = _json(entry)
        end = (entry["a"] or entry["r"] or completion.error or "")[-SHORT:]
        detail = "" if verdict is None else verdict.detail[:SHORT]
        places[completion.request_id] = _Place(
            len(samples.files), len(waiting), end, detail, _hash(completion.text)
        )
        waiting.append(text)
        size += len(text)
        if size > CHUNK_CHARACTERS:
            _write_chunk(waiting, folder, samples)
            waiting, size = [], 0
    if waiting:
        _write_chunk(waiting, folder, samples)
    samples.texts += len(places)
    return places


def _hash(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"))


def _opened_think(run: ReportRun) -> dict[str, bool]:
    assert run.folder is not None
    prompts = read_jsonl(run.folder.folder / "prompts.jsonl", Prompt)
    return {prompt.problem_id: prompt.opened_think for prompt in prompts}


def _entry(split: SplitText, completion: Completion, verdict: Verdict | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"r": split.reasoning, "a": split.answer}
    if completion.error is not None:
        entry["error"] = completion.error
    if verdict is not None:
        entry |= {"x": verdict.extracted, "d": verdict.detail}
    return entry


def _write_chunk(entries: Sequence[str], folder: Path, samples: Samples) -> None:
    text = compressed(f"[{','.join(entries)}]")
    file = folder / f"{len(samples.files):04}.b64"
    try:
        file.write_text(text, encoding="ascii")
    except OSError as error:
        raise unwritable(file, error) from error
    samples.files.append(file)
    samples.compressed_bytes += len(text)


# --- the index --------------------------------------------------------------------------------


def _run_index(
    run: ReportRun, problems: dict[str, int], places: dict[RequestId, _Place]
) -> dict[str, Any]:
    """One run's samples, a list for each column, by problem and sample."""
    rows = sorted(_row(outcome, problems, places) for outcome in run.result.outcomes)
    columns = (
        "problem", "sample", "status", "tokens", "thinking", "seconds", "chunk", "place",
        "extracted", "end", "detail", "hash",
    )  # fmt: skip
    lists = zip(*rows, strict=True)
    return {
        "letter": run.letter,
        "name": run.name,
        "id": run.result.manifest.run_id,
        "texts": bool(places),
        "prompts": _prompts(run, problems),
        **{name: list(values) for name, values in zip(columns, lists, strict=True)},
    }


def _prompts(run: ReportRun, problems: dict[str, int]) -> dict[int, str]:
    """What the model was shown, by the problem's place."""
    if run.folder is None:
        return {}
    prompts = read_jsonl(run.folder.folder / "prompts.jsonl", Prompt)
    return {problems[p.problem_id]: p.text for p in prompts if p.problem_id in problems}


def _row(
    outcome: Outcome, problems: dict[str, int], places: dict[RequestId, _Place]
) -> tuple[Any, ...]:
    place = places.get(outcome.request_id)
    seconds = None
    if outcome.finished_s is not None and outcome.started_s is not None:
        seconds = round(outcome.finished_s - outcome.started_s, 3)
    return (
        problems[outcome.request_id.problem_id],
        outcome.request_id.sample,
        outcome.status,
        outcome.completion_tokens,
        outcome.reasoning_tokens,
        seconds,
        None if place is None else place.chunk,
        None if place is None else place.place,
        (outcome.extracted or "")[:SHORT] if outcome.extracted is not None else None,
        "" if place is None else place.end,
        "" if place is None else place.detail,
        None if place is None else place.hash,
    )
