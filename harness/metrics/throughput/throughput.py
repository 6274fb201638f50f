"""Throughput of the engine while it generates, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/throughput")``.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import datasets
import evaluate

_DESCRIPTION = "Tokens per second of the whole engine, from raw times of its requests."
_INPUTS = """
Args:
    sessions: Which process lifetime of a resumed run made the request; the time between two
        of them does not count.
    started_s: When the engine began with the request.
    first_token_s: When its first token was there.
    finished_s: When its last token was there.
    prompt_tokens: Tokens of the prompt.
    completion_tokens: Generated tokens, thinking included.

Times are seconds on one clock, None where unknown.

Returns:
    A figure (value, unit, n, low, high, method) each for
    `generation_s`: last finish - first start, summed over sessions;
    `output_tokens_per_s`: completion tokens / `generation_s`;
    `output_tokens_per_s.saturated`: the same, only while requests were still waiting to start,
        so without the tail in which the last long answers leave the device half idle;
    `prefill_tokens_per_s`: prompt tokens / time in which any request was between its start and
        its first token. Other requests may decode meanwhile, so it is a lower bound;
    `mean_concurrency`: requests in flight, averaged over `generation_s`.
"""


class _Row(NamedTuple):
    session: int
    start: float
    first: float | None
    finish: float
    prompt_tokens: int
    completion_tokens: int


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
                    "started_s": time,
                    "first_token_s": time,
                    "finished_s": time,
                    "prompt_tokens": whole,
                    "completion_tokens": whole,
                }
            ),
        )

    def _compute(
        self,
        sessions: Sequence[int],
        started_s: Sequence[float | None],
        first_token_s: Sequence[float | None],
        finished_s: Sequence[float | None],
        prompt_tokens: Sequence[int],
        completion_tokens: Sequence[int],
    ) -> dict[str, dict[str, Any]]:
        columns = (sessions, started_s, first_token_s, finished_s, prompt_tokens, completion_tokens)
        given = list(zip(*columns, strict=True))
        rows = [_Row(*row) for row in given if row[1] is not None and row[3] is not None]
        untimed = len(given) - len(rows)
        spans = _spans(rows)
        span = sum(finish - start for start, finish in spans.values())
        n, note = len(rows), f"{len(spans)} sessions, {untimed} requests without times left out"
        busy = sum(row.finish - row.start for row in rows)
        output = sum(row.completion_tokens for row in rows)
        return {
            "generation_s": _figure(
                span if rows else None, "s", n, f"last finish - first start; {note}"
            ),
            "output_tokens_per_s": _figure(
                _ratio(output, span), "tokens/s", n, f"{output} tokens / {span:.3f} s; {note}"
            ),
            "output_tokens_per_s.saturated": _saturated(rows, spans),
            "prefill_tokens_per_s": _prefill(rows),
            "mean_concurrency": _figure(
                _ratio(busy, span), "requests", n, f"request-seconds / {span:.3f} s; {note}"
            ),
        }


def _spans(rows: Iterable[_Row]) -> dict[int, tuple[float, float]]:
    """First start and last finish of each session."""
    spans: dict[int, tuple[float, float]] = {}
    for row in rows:
        start, finish = spans.get(row.session, (row.start, row.finish))
        spans[row.session] = (min(start, row.start), max(finish, row.finish))
    return spans


def _saturated(rows: list[_Row], spans: dict[int, tuple[float, float]]) -> dict[str, Any]:
    """Tokens per second until the last request of each session started."""
    last_start = {s: max(r.start for r in rows if r.session == s) for s in spans}
    span = sum(last_start[s] - start for s, (start, _) in spans.items())
    tokens = sum(
        row.completion_tokens * _elapsed_share(row, last_start[row.session]) for row in rows
    )
    method = f"{tokens:.0f} tokens / {span:.3f} s until the last request started, interpolated"
    if span <= 0:
        method = "undefined: all requests started at once"
    return _figure(_ratio(tokens, span), "tokens/s", len(rows), method)


def _elapsed_share(row: _Row, now: float) -> float:
    """Share of a request's tokens that were there at a time, if they came evenly."""
    first = row.start if row.first is None else row.first
    if now >= row.finish:
        return 1.0
    if now <= first:  # also where the first token is the last
        return 0.0
    return (now - first) / (row.finish - first)


def _prefill(rows: list[_Row]) -> dict[str, Any]:
    known = sorted((r.start, r.first, r.prompt_tokens) for r in rows if r.first is not None)
    seconds, reached = 0.0, float("-inf")
    for start, first, _ in known:
        seconds += max(0.0, first - max(start, reached))
        reached = max(reached, first)
    tokens = sum(count for _, _, count in known)
    method = f"{tokens} prompt tokens / {seconds:.3f} s with a request in prefill; a lower bound"
    if seconds <= 0:
        method = "undefined: first-token times are unknown or equal the starts"
    return _figure(_ratio(tokens, seconds), "tokens/s", len(known), method)


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom > 0 else None


def _figure(value: float | None, unit: str, n: int, method: str) -> dict[str, Any]:
    if value is None and not method.startswith("undefined"):
        method = f"undefined: no time passed, or none is known ({method})"
    return {"value": value, "unit": unit, "n": n, "low": None, "high": None, "method": method}
