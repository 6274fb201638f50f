"""Times of one request, computed from its raw times. Imports neither `evaluate` nor `datasets`."""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Timed(Protocol):
    """A request with its raw times, in seconds of one clock, None where unknown."""

    @property
    def queued_s(self) -> float | None:
        """When the engine could have begun."""

    @property
    def started_s(self) -> float | None:
        """When the engine began."""

    @property
    def first_token_s(self) -> float | None:
        """When the first token arrived."""

    @property
    def finished_s(self) -> float | None:
        """When the last token arrived."""

    @property
    def completion_tokens(self) -> int | None:
        """Generated tokens, thinking included."""


class Measure(NamedTuple):
    """One of the times."""

    seconds: Callable[[Timed], float | None]
    method: str


def since(later: float | None, earlier: float | None) -> float | None:
    """The seconds between; None where one of the two is unknown."""
    return None if later is None or earlier is None else later - earlier


def per_token(request: Timed) -> float | None:
    """Seconds a token after the first; None for a request that has none."""
    decoding = since(request.finished_s, request.first_token_s)
    gaps = (request.completion_tokens or 0) - 1
    return None if decoding is None or gaps < 1 else decoding / gaps


REQUEST_TIMES = {
    "queue_wait_s": Measure(lambda each: since(each.started_s, each.queued_s), "started - queued"),
    "time_to_first_token_s": Measure(
        lambda each: since(each.first_token_s, each.started_s), "first token - started"
    ),
    "time_per_output_token_s": Measure(per_token, "(finished - first token) / (tokens - 1)"),
    "request_latency_s": Measure(
        lambda each: since(each.finished_s, each.started_s), "finished - started"
    ),
}
"""By metric. An outcome is enough input, so older results have these times too."""
