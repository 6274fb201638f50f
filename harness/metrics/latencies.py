"""Percentiles of how long single requests waited and took."""

from collections.abc import Callable, Sequence

from harness.metrics.figures import figure, unknown
from harness.metrics.request_times import REQUEST_TIMES, per_token, since
from harness.records import Completion, Estimate, Sample
from harness.stats.intervals import percentiles

RANKS = (50, 90, 99)


def latency(samples: Sequence[Sample]) -> list[Estimate]:
    """Percentiles of how long single requests waited and took.

    Args:
        samples: Answered requests. One whose times do not suffice for a figure is left out of it.

    Returns:
        p50, p90 and p99 each of
        ``queue_wait_s``: start - queued;
        ``time_to_first_token_s`` (TTFT): first token - start;
        ``time_per_output_token_s`` (TPOT): (last token - first token) / (tokens - 1);
        ``request_latency_s`` (end to end): last token - start;
        ``time_to_answer_token_s``: the first token after the thinking - start, interpolated as if
        tokens came evenly;
        ``client_ttft_s``, ``client_latency_s``: first and last token - sent, as the client of a
        server sees it: with the wait in the server's queue.
    """
    estimates = []
    for name, (measure, method) in _MEASURES.items():
        found = [measure(sample.completion) for sample in samples]
        values = [value for value in found if value is not None]
        if not values:
            why = f"no request has the times ({method})"
            estimates += [unknown(f"{name}.p{rank}", "s", why) for rank in RANKS]
            continue
        estimates += [
            figure(f"{name}.p{rank}", value, "s", len(values), method)
            for rank, value in zip(RANKS, percentiles(values, RANKS), strict=True)
        ]
    return estimates


def _first_answer_token(request: Completion) -> float | None:
    waited, thought = since(request.first_token_s, request.started_s), request.reasoning_tokens
    if waited is None or thought is None or request.completion_tokens is None:
        return None
    if thought >= request.completion_tokens:
        return None
    if thought == 0:
        return waited
    seconds = per_token(request)
    return None if seconds is None else waited + thought * seconds


_MEASURES: dict[str, tuple[Callable[[Completion], float | None], str]] = {
    **REQUEST_TIMES,
    "time_to_answer_token_s": (
        _first_answer_token,
        "interpolated between first token and finish by token counts, since started",
    ),
    "client_ttft_s": (
        lambda request: since(request.first_token_s, request.sent_s),
        "first token - HTTP request sent",
    ),
    "client_latency_s": (
        lambda request: since(request.finished_s, request.sent_s),
        "finished - HTTP request sent",
    ),
}
