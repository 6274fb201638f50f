"""The interface of an engine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self, runtime_checkable

from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec, Times
from harness.records import Completion, EngineInfo, GenerationRequest


class Clock(Protocol):
    """Seconds on the run's monotonic clock."""

    def __call__(self) -> float:
        """The current time in seconds."""
        ...


class Engine(Protocol):
    """An inference engine. Entering it loads the model; leaving it frees the memory."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def info(self) -> EngineInfo:
        """What was loaded, and onto what. Peak memory is the highest seen so far."""
        ...

    def restart_counters(self) -> None:
        """Resets the counters of ``info().serving``, so that earlier work is in no figure."""
        ...

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields exactly one completion per request, each as soon as it ends, in any order.

        Closing the iterator early aborts what is still running.

        Raises:
            GenerationError: The engine broke. A request that fails on its own is a completion
                whose ``finish_reason`` is ``error``; running out of tokens is ``length``.
        """
        ...


@runtime_checkable
class Stoppable(Protocol):
    """An engine whose requests are lost, and may be paid for, when they are aborted."""

    def stop(self) -> None:
        """Begins no further request: ``generate`` ends with those that are under way."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An engine that knows how far its unfinished requests are."""

    def tokens_under_way(self) -> int | None:
        """Output tokens of unfinished requests; None where unknown. Thread-safe."""
        ...


@runtime_checkable
class Doubting(Protocol):
    """An engine that ends the run when a server refuses its first requests."""

    def expect_refusals(self) -> None:
        """Marks a resumed run: it has answers, so a first refusal concerns its request alone."""
        ...


class EngineInputs(NamedTuple):
    """Everything that an engine is built from, besides its settings."""

    model: ResolvedModel
    """The model on this disk; for a recording, the model that it names."""
    known_codec: Codec | None
    """The model's tokenizer; None for a recording."""
    clock: Clock
    """The run's clock."""
    max_model_len: int
    """The largest sum of prompt and output tokens of a request."""
    log_folder: Path | None = None
    """The folder for the log of an engine that writes one."""

    @property
    def codec(self) -> Codec:
        """The tokenizer, for an engine that needs one.

        Raises:
            ValueError: There is none.
        """
        if self.known_codec is None:
            raise ValueError("this engine needs the model's codec")
        return self.known_codec


def tokens_needed(request: GenerationRequest) -> int:
    """Prompt and output budget of a request together."""
    return len(request.prompt_token_ids) + request.sampling.max_new_tokens


def refusal(request: GenerationRequest, max_model_len: int) -> str | None:
    """Why a request cannot be served in full; None when it can.

    One that would leave less than its budget is refused rather than cut short in silence: its
    score would pass for one with the whole budget.
    """
    if tokens_needed(request) <= max_model_len:
        return None
    return (
        f"a prompt of {len(request.prompt_token_ids)} tokens + max_new_tokens="
        f"{request.sampling.max_new_tokens} exceed the context of {max_model_len} tokens"
    )


def refuse_unfit(
    requests: Iterable[GenerationRequest],
    max_model_len: int,
    failed: Callable[[GenerationRequest, str, Times], Completion],
    now: float,
) -> tuple[list[GenerationRequest], list[Completion]]:
    """Parts the requests that can be served from those that cannot.

    An engine yields the failed ones last: a share of failed requests that is taken meanwhile is
    then one of requests that were computed.

    Args:
        requests: All.
        max_model_len: Tokens of prompt and output together.
        failed: The codec's.
        now: On the run's clock.

    Returns:
        The requests that can be served, in their order, and a failed completion of each other.
    """
    fitting, unfit = [], []
    for request in requests:
        if (reason := refusal(request, max_model_len)) is not None:
            unfit.append(failed(request, reason, Times(now, None, None, now)))
        else:
            fitting.append(request)
    return fitting, unfit
