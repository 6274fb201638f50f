"""vLLM's serving counters, read from its metrics in Prometheus's text format.

The names are vLLM's (its documentation, "Production Metrics"). A counter rises for as long as the
server lives, so a run's share is the difference of two readings.

The names are vLLM's (its documentation, "Production Metrics"). A counter rises for as long as the
server lives, so what a run did is the difference of two readings.
"""

import contextlib
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from harness.records import ServingStats

# Between two looks at what rises and falls: requests under way, cache in use.
LOOK_S = 1.0
_LINE = re.compile(r"^(vllm:\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)

Reading = Mapping[str, list[float]]
"""By metric name: the value of each engine (data parallelism has several) or of each reason."""


def parse(text: str) -> Reading:
    """Parses all values of vLLM's metrics, by name."""
    reading: dict[str, list[float]] = defaultdict(list)
    for name, value in _LINE.findall(text):
        reading[name].append(float(value))
    return reading


class Meter:
    """The counters of one engine since this object was made."""

    def __init__(self, read: Callable[[], str | None]) -> None:
        """Reads the counters for the first time.

        Args:
            read: Fetches the metrics; returns None where they are not available now.
        """
        self._read = read
        self._first = self._look()
        self._last = self._first
        self._running: list[float] = []
        self._waiting: list[float] = []
        self._cache: list[float] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Samples the gauges in a thread until the context ends."""
        left = threading.Event()
        thread = threading.Thread(target=self._watch, args=(left,), name="metrics", daemon=True)
        if self._first:
            thread.start()
        try:
            yield
        finally:
            left.set()
            if thread.ident is not None:
                thread.join()

    def stats(self) -> ServingStats | None:
        """The counts up to now, or to the engine's death; None where the engine reports nothing."""
        now = self._look()
        if not self._first or (not now and self._last is self._first):
            return None  # an engine that died before the first sample has no counts
        self._last = now or self._last
        steps = self._risen("iteration_tokens_total_count")
        drafted = self._risen("spec_decode_num_draft_tokens_total")
        accepted = self._risen("spec_decode_num_accepted_tokens_total")
        return ServingStats(
            preemptions=self._risen("num_preemptions_total"),
            steps=steps,
            tokens_per_step_mean=_ratio(self._risen("generation_tokens_total"), steps),
            running_mean=_ratio(sum(self._running), len(self._running)),
            running_max=_highest(self._running),
            waiting_max=_highest(self._waiting),
            kv_cache_usage_max_fraction=max(self._cache, default=None),
            looks=len(self._running),
            prefix_cache_queried_tokens=self._risen("prefix_cache_queries_total"),
            prefix_cache_hit_tokens=self._risen("prefix_cache_hits_total"),
            draft_tokens=drafted,
            accepted_draft_tokens=accepted,
            draft_acceptance_fraction=_ratio(accepted, drafted),
        )

    def _watch(self, left: threading.Event) -> None:
        while not left.wait(LOOK_S):
            if not (reading := self._look()):
                continue
            self._last = reading
            running = sum(reading.get("vllm:num_requests_running", ()))
            waiting = sum(reading.get("vllm:num_requests_waiting", ()))
            if running or waiting:  # an idle engine says nothing about a batch
                self._running.append(running)
                self._waiting.append(waiting)
                self._cache += reading.get("vllm:kv_cache_usage_perc", ())

    def _look(self) -> Reading | None:
        text = self._read()
        return None if text is None else parse(text)

    def _risen(self, name: str) -> int | None:
        assert self._first is not None
        assert self._last is not None
        before, after = self._first.get(f"vllm:{name}"), self._last.get(f"vllm:{name}")
        if after is None:
            return None
        risen = round(sum(after) - sum(before or ()))
        return risen if risen >= 0 else None  # the server was started anew meanwhile


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _highest(values: list[float]) -> int | None:
    return round(max(values)) if values else None
