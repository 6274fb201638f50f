"""Latency of single requests, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/latency")``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import datasets
import evaluate

from harness.metrics.request_times import REQUEST_TIMES, per_token, since
from harness.stats.intervals import percentiles

RANKS = (50, 90, 99)

_DESCRIPTION = "Percentiles of how long single requests waited and took."
_INPUTS = """
Args:
    queued_s: When the engine could have begun with it: it waited from then on.
    sent_s: When the HTTP request was sent, for a server.
    started_s: When the engine began with it.
    first_token_s: When its first token was there.
    finished_s: When its last token was there.
    completion_tokens: Generated tokens, thinking included.
    reasoning_tokens: Of these, up to and including the end of thinking.

Times are seconds on one clock; None where unknown, and a request whose numbers do not suffice
for a figure is left out of that one.

Returns:
    A figure (value, unit, n, low, high, method) for p50, p90 and p99 each of
    `queue_wait_s`: start - queued;
    `time_to_first_token_s` (TTFT): first token - start;
    `time_per_output_token_s` (TPOT): (last token - first token) / (tokens - 1);
    `request_latency_s` (end to end): last token - start;
    `time_to_answer_token_s`: the first token after the thinking - start, interpolated as if
        tokens came evenly;
    `client_ttft_s`, `client_latency_s`: first and last token - sent, as the client of a server
        sees it: with the wait in the server's queue.
"""


class _Row(NamedTuple):
    queued_s: float | None
    sent_s: float | None
    started_s: float | None
    first_token_s: float | None
    finished_s: float | None
    completion_tokens: int | None
    reasoning_tokens: int | None


class Latency(evaluate.Metric):  # type: ignore[misc]
    """Waiting, and from the start: first token, per token, last token, token of the answer."""

    def _info(self) -> evaluate.MetricInfo:
        whole, time = datasets.Value("int64"), datasets.Value("float64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "queued_s": time,
                    "sent_s": time,
                    "started_s": time,
                    "first_token_s": time,
                    "finished_s": time,
                    "completion_tokens": whole,
                    "reasoning_tokens": whole,
                }
            ),
        )

    def _compute(  # noqa: PLR0913, PLR0917 - evaluate hands over each column by its name
        self,
        queued_s: Sequence[float | None],
        sent_s: Sequence[float | None],
        started_s: Sequence[float | None],
        first_token_s: Sequence[float | None],
        finished_s: Sequence[float | None],
        completion_tokens: Sequence[int | None],
        reasoning_tokens: Sequence[int | None],
    ) -> dict[str, dict[str, Any]]:
        columns = (
            *(queued_s, sent_s, started_s, first_token_s, finished_s),
            *(completion_tokens, reasoning_tokens),
        )
        rows = [_Row(*row) for row in zip(*columns, strict=True)]
        figures: dict[str, dict[str, Any]] = {}
        for name, (measure, method) in _MEASURES.items():
            values = [value for row in rows if (value := measure(row)) is not None]
            said = method if values else f"undefined: no request has the times ({method})"
            for rank, value in zip(RANKS, percentiles(values, RANKS), strict=True):
                figures[f"{name}.p{rank}"] = {
                    "value": value,
                    "unit": "s",
                    "n": len(values),
                    "low": None,
                    "high": None,
                    "method": said,
                }
        return figures


def _first_answer_token(row: _Row) -> float | None:
    waited = since(row.first_token_s, row.started_s)
    if waited is None or row.reasoning_tokens is None or row.completion_tokens is None:
        return None
    if row.reasoning_tokens >= row.completion_tokens:
        return None
    if row.reasoning_tokens == 0:
        return waited
    seconds = per_token(row)
    return None if seconds is None else waited + row.reasoning_tokens * seconds


_MEASURES: dict[str, tuple[Callable[[_Row], float | None], str]] = {
    **REQUEST_TIMES,
    "time_to_answer_token_s": (
        _first_answer_token,
        "interpolated between first token and finish by token counts, since started",
    ),
    "client_ttft_s": (
        lambda row: since(row.first_token_s, row.sent_s),
        "first token - HTTP request sent",
    ),
    "client_latency_s": (
        lambda row: since(row.finished_s, row.sent_s),
        "finished - HTTP request sent",
    ),
}
