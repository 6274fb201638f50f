"""Throughput of the engine while it generates, load and warm-up excluded."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Self

from harness.metrics.figures import figure, in_words, unknown
from harness.metrics.pauses import without_pauses
from harness.metrics.samples import NO_COUNTS, known_sum
from harness.metrics.steady_state import Served, Window, steady_window
from harness.records import Bound, Estimate, Sample

_UNITS = {
    "generation_s": "s",
    "steady_state_s": "s",
    "output_tokens_per_s": "tokens/s",
    "mean_concurrency": "requests",
    "computed_prefill_tokens_per_s": "tokens/s",
}


class _Row(NamedTuple):
    """A request with times, in seconds of one clock."""

    session: int
    queued: float | None
    start: float
    first: float | None
    finish: float
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    waited: float | None

    @classmethod
    def of(cls, sample: Sample) -> Self | None:
        """The times of a sample; None for a request without a start or an end."""
        request = sample.completion
        if request.started_s is None or request.finished_s is None:
            return None
        return cls(
            session=sample.session,
            queued=request.queued_s,
            start=request.started_s,
            first=request.first_token_s,
            finish=request.finished_s,
            prompt_tokens=request.prompt_tokens,
            cached_tokens=request.cached_prompt_tokens,
            completion_tokens=request.completion_tokens,
            waited=request.waited_s,
        )


def throughput(
    samples: Sequence[Sample],
    max_concurrency: int | None = None,
    whole_sessions: Collection[int] | None = None,
) -> list[Estimate]:
    """Tokens per second of the whole engine, from raw times of its requests.

    Args:
        samples: All requests, failed ones too. Neither the time between two sessions counts, nor
            time in which requests waited and none was under way.
        max_concurrency: Requests that the engine serves at once at most; None where unknown.
        whole_sessions: Those of which every request is here. Of others some were under way when
            the session was stopped. None: all.

    Returns:
        ``generation_s``: last finish - first start, summed over sessions;
        ``output_tokens_per_s``: completion tokens / ``generation_s``, of the whole run, the end in
        which the last long answers run alone included;
        ``mean_concurrency``: requests in flight, averaged over ``generation_s``; this and the rate
        are lower bounds where a session is not whole: what it served and lost is not in them;
        ``steady_state_s``: how long the engine was full: from the first token of as many requests
        as it serves at once, until the first request ended when none was left to begin; of whole
        sessions alone, since of others it is not known how much the engine served;
        ``output_tokens_per_s.steady_state``, ``mean_concurrency.steady_state``: the two within
        that time;
        ``computed_prefill_tokens_per_s``: prompt tokens that were computed / time in which any
        request was between its start and its first token. Other requests may decode meanwhile, so
        it is a lower bound; unknown where the engine does not report its cache hits.
    """
    timed = [row for sample in samples if (row := _Row.of(sample)) is not None]
    untimed = len(samples) - len(timed)
    rows = _without_pauses(timed)
    spans = _spans(rows)
    span = sum(finish - start for start, finish in spans.values())
    n, note = len(rows), f"{len(spans)} sessions, {untimed} requests without times left out"
    whole = set(spans if whole_sessions is None else whole_sessions)
    bound: Bound | None = None if spans.keys() <= whole else "lower"
    busy = sum(row.finish - row.start for row in rows)
    output = known_sum(row.completion_tokens for row in rows)
    rate = f"{output} tokens / {span:.3f} s; {note}"
    concurrency = f"request-seconds / {span:.3f} s; {note}"
    return [
        _figure("generation_s", span if rows else None, n, f"last finish - first start; {note}"),
        _unknown("output_tokens_per_s", n, NO_COUNTS)
        if output is None
        else _figure("output_tokens_per_s", _ratio(output, span), n, rate, bound),
        _figure("mean_concurrency", _ratio(busy, span), n, concurrency, bound),
        *_steady_state(rows, max_concurrency, whole),
        _prefill(rows),
    ]


def _without_pauses(rows: list[_Row]) -> list[_Row]:
    """The rows on a clock that stops while requests wait and none is under way."""
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


def _steady_state(rows: list[_Row], places: int | None, whole: Collection[int]) -> list[Estimate]:
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
    stopped = len(sessions) - len(found)
    left_out = f"{stopped} sessions that served more than is on record do not count" * bool(stopped)
    method = in_words(
        f"{tokens:.0f} tokens in {seconds:.3f} s in which the engine was full, interpolated",
        f"{len(windows)} of {len(found)} sessions" * (len(windows) < len(found)),
        left_out,
    )
    names = ["steady_state_s", "output_tokens_per_s.steady_state", "mean_concurrency.steady_state"]
    if not windows:
        whys = [why for why in found.values() if isinstance(why, str)]
        why = whys[-1] if whys else "no request has the times"
        return [_unknown(name, n, why, left_out) for name in names]
    rate = _ratio(tokens, seconds)
    return [
        _figure(names[0], seconds, n, method),
        _figure(names[1], rate, n, method) if is_counted else _unknown(names[1], n, NO_COUNTS),
        _figure(names[2], _ratio(busy, seconds), n, method),
    ]


def _prefill(rows: list[_Row]) -> Estimate:
    known = sorted((r.start, r.first) for r in rows if r.first is not None)
    seconds, reached = 0.0, float("-inf")
    for start, first in known:
        seconds += max(0.0, first - max(start, reached))
        reached = max(reached, first)
    name, n = "computed_prefill_tokens_per_s", len(known)
    if seconds == 0:
        return _unknown(name, n, "first-token times are unknown or equal the starts")
    read = [(r.prompt_tokens, r.cached_tokens) for r in rows if r.first is not None]
    computed = [p - c for p, c in read if p is not None and c is not None]
    if len(computed) < len(read):
        return _unknown(name, n, "the engine does not report which prompt tokens it computed")
    tokens = sum(computed)
    cached = sum(p for p, _ in read if p is not None) - tokens
    method = (
        f"{tokens} prompt tokens computed, {cached} read from the cache / {seconds:.3f} s with "
        "a request in prefill; a lower bound"
    )
    return _figure(name, tokens / seconds, n, method, "lower")


def _ratio(top: float | None, bottom: float) -> float | None:
    return top / bottom if top is not None and bottom > 0 else None


def _figure(
    metric: str, value: float | None, n: int, method: str, bound: Bound | None = None
) -> Estimate:
    if value is None:
        return _unknown(metric, n, f"no time passed, or none is known ({method})")
    return figure(metric, value, _unit(metric), n, method).model_copy(update={"bound": bound})


def _unknown(metric: str, n: int, why: str, method: str = "") -> Estimate:
    return unknown(metric, _unit(metric), why, n=n, method=method)


def _unit(metric: str) -> str:
    return _UNITS[metric.removesuffix(".steady_state")]
