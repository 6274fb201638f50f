"""Throughput of the engine while it generates, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/throughput")``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import datasets
import evaluate

from harness.metrics.pauses import without_pauses
from harness.metrics.samples import NO_COUNTS, known_sum
from harness.metrics.steady_state import Served, Window, steady_window
from harness.records import Bound

_DESCRIPTION = "Tokens per second of the whole engine, from raw times of its requests."
_INPUTS = """
Args:
    sessions: Which process lifetime of a resumed run made the request; the time between two
        of them does not count.
    queued_s: When the request was handed to the engine; later than the others of its session where
        it had failed and was tried again.
    started_s: When the engine began with the request.
    first_token_s: When its first token was there.
    finished_s: When its last token was there.
    prompt_tokens: Tokens of the prompt.
    cached_prompt_tokens: Of these, those that were not computed, because their keys and values
        were there already.
    completion_tokens: Generated tokens, thinking included.
    waited_s: How long each request waited before it was sent for the last time; None where
        nothing is known of it. Time in which requests waited and none was under way does not
        count.
    max_concurrency: Requests that the engine serves at once at most; None where unknown.
    whole_sessions: Those of which every request is here. Of others some were under way when the
        session was stopped. None: all.

Times are seconds on one clock, None where unknown.

Returns:
    A figure (value, unit, n, low, high, method, bound) each for
    `generation_s`: last finish - first start, summed over sessions;
    `output_tokens_per_s`: completion tokens / `generation_s`, of the whole run, the end in which
        the last long answers run alone included;
    `mean_concurrency`: requests in flight, averaged over `generation_s`; this and the rate are
        lower bounds where a session is not whole: what it served and lost is not in them;
    `steady_state_s`: how long the engine was full: from the first token of as many requests as it
        serves at once, until the first request ended when none was left to begin; of whole
        sessions alone, since of others it is not known how much the engine served;
    `output_tokens_per_s.steady_state`, `mean_concurrency.steady_state`: the two within that time;
    `computed_prefill_tokens_per_s`: prompt tokens that were computed / time in which any request
        was between its start and its first token. Other requests may decode meanwhile, so it is a
        lower bound; unknown where the engine does not tell what it had in its cache.
"""


class _Row(NamedTuple):
    session: int
    queued: float | None
    start: float
    first: float | None
    finish: float
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    waited: float | None


class Throughput(evaluate.Metric):  # type: ignore[misc]
    """Output and prefill tokens per second, load and warm-up excluded."""

    def _info(self) -> evaluate.MetricInfo:
        whole, time = datasets.Value("int64"), datasets.Value("float64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "sessions": whole,
                    "queued_s": time,
                    "started_s": time,
                    "first_token_s": time,
                    "finished_s": time,
                    "prompt_tokens": whole,
                    "cached_prompt_tokens": whole,
                    "completion_tokens": whole,
                }
            ),
        )

    def _compute(  # noqa: PLR0913, PLR0917 - evaluate hands over each column by its name
        self,
        sessions: Sequence[int],
        queued_s: Sequence[float | None],
        started_s: Sequence[float | None],
        first_token_s: Sequence[float | None],
        finished_s: Sequence[float | None],
        prompt_tokens: Sequence[int | None],
        cached_prompt_tokens: Sequence[int | None],
        completion_tokens: Sequence[int | None],
        waited_s: Sequence[float | None] | None = None,
        max_concurrency: int | None = None,
        whole_sessions: Collection[int] | None = None,
    ) -> dict[str, dict[str, Any]]:
        columns = (
            *(sessions, queued_s, started_s, first_token_s, finished_s),
            *(prompt_tokens, cached_prompt_tokens, completion_tokens),
            waited_s or [None] * len(sessions),
        )
        given = list(zip(*columns, strict=True))
        timed = [_Row(*row) for row in given if row[2] is not None and row[4] is not None]
        untimed = len(given) - len(timed)
        rows = _without_pauses(timed)
        spans = _spans(rows)
        span = sum(finish - start for start, finish in spans.values())
        n, note = len(rows), f"{len(spans)} sessions, {untimed} requests without times left out"
        whole = set(spans if whole_sessions is None else whole_sessions)
        bound: Bound | None = None if spans.keys() <= whole else "lower"
        busy = sum(row.finish - row.start for row in rows)
        output = known_sum(row.completion_tokens for row in rows)
        rate = f"{output} tokens / {span:.3f} s; {note}" if output is not None else NO_COUNTS
        return {
            "generation_s": _figure(
                span if rows else None, "s", n, f"last finish - first start; {note}"
            ),
            "output_tokens_per_s": _figure(
                _ratio(output, span), "tokens/s", n, rate, None if output is None else bound
            ),
            "mean_concurrency": _figure(
                _ratio(busy, span),
                "requests",
                n,
                f"request-seconds / {span:.3f} s; {note}",
                bound,
            ),
            **_steady_state(rows, max_concurrency, whole),
            "computed_prefill_tokens_per_s": _prefill(rows),
        }


def _without_pauses(rows: list[_Row]) -> list[_Row]:
    """The rows on a clock that stands still while requests wait and none is under way."""
    if not any(row.waited for row in rows):
        return rows
    moved = []
    for session in sorted({row.session for row in rows}):
        mine = [row for row in rows if row.session == session]
        on_clock = without_pauses(
            [(row.start - (row.waited or 0.0), row.start) for row in mine],
            [(row.start, row.finish) for row in mine],
        )
        moved += [
            row._replace(
                queued=None if row.queued is None else on_clock(row.queued),
                start=on_clock(row.start),
                first=None if row.first is None else on_clock(row.first),
                finish=on_clock(row.finish),
            )
            for row in mine
        ]
    return moved


def _spans(rows: Iterable[_Row]) -> dict[int, tuple[float, float]]:
    """First start and last finish of each session."""
    spans: dict[int, tuple[float, float]] = {}
    for row in rows:
        start, finish = spans.get(row.session, (row.start, row.finish))
        spans[row.session] = (min(start, row.start), max(finish, row.finish))
    return spans


def _steady_state(
    rows: list[_Row], places: int | None, whole: Collection[int]
) -> dict[str, dict[str, Any]]:
    sessions: dict[int, list[Served]] = defaultdict(list)
    for row in rows:
        generated = row.completion_tokens or 0
        served = Served(row.start, row.first, row.finish, generated, row.queued)
        sessions[row.session].append(served)
    found = {n: steady_window(each, places) for n, each in sessions.items() if n in whole}
    windows = {n: window for n, window in found.items() if isinstance(window, Window)}
    seconds = sum(window.end - window.begin for window in windows.values())
    inside = [(windows[n], row) for n in windows for row in sessions[n]]
    is_counted = all(row.completion_tokens is not None for row in rows)
    tokens = sum(window.tokens(row) for window, row in inside)
    busy = sum(window.request_seconds(row) for window, row in inside)
    n = sum(window.request_seconds(row) > 0 for window, row in inside)
    method = f"{tokens:.0f} tokens in {seconds:.3f} s in which the engine was full, interpolated"
    if len(windows) < len(found):
        method += f"; {len(windows)} of {len(found)} sessions"
    if not windows:
        whys = [why for why in found.values() if isinstance(why, str)]
        method = f"undefined: {whys[-1] if whys else 'no request has the times'}"
    if stopped := len(sessions) - len(found):
        method += f"; {stopped} sessions that served more than is on record do not count"
    return {
        "steady_state_s": _figure(seconds if windows else None, "s", n, method),
        "output_tokens_per_s.steady_state": _figure(
            _ratio(tokens, seconds) if is_counted else None,
            "tokens/s",
            n,
            method if is_counted else NO_COUNTS,
        ),
        "mean_concurrency.steady_state": _figure(_ratio(busy, seconds), "requests", n, method),
    }


def _prefill(rows: list[_Row]) -> dict[str, Any]:
    known = sorted((r.start, r.first) for r in rows if r.first is not None)
    seconds, reached = 0.0, float("-inf")
    for start, first in known:
        seconds += max(0.0, first - max(start, reached))
        reached = max(reached, first)
    tokens, method = 0, "undefined: first-token times are unknown or equal the starts"
    if seconds > 0:
        read = [(r.prompt_tokens, r.cached_tokens) for r in rows if r.first is not None]
        computed = [p - c for p, c in read if p is not None and c is not None]
        tokens = sum(computed)
        cached = sum(p for p, _ in read if p is not None) - tokens
        method = (
            f"{tokens} prompt tokens computed, {cached} read from the cache / {seconds:.3f} s with "
            "a request in prefill; a lower bound"
        )
        if len(computed) < len(read):
            tokens, seconds = 0, 0.0
            method = "undefined: the engine does not tell which prompt tokens it computed"
    return _figure(_ratio(tokens, seconds), "tokens/s", len(known), method, "lower")


def _ratio(top: float | None, bottom: float) -> float | None:
    return top / bottom if top is not None and bottom > 0 else None


def _figure(
    value: float | None, unit: str, n: int, method: str, bound: Bound | None = None
) -> dict[str, Any]:
    if value is None and not method.startswith("undefined"):
        method = f"undefined: no time passed, or none is known ({method})"
    figure = {"value": value, "unit": unit, "n": n, "low": None, "high": None, "method": method}
    return {**figure, "bound": None if value is None else bound}
