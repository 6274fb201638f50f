"""What every engine offers."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from harness.records import Completion, EngineInfo, GenerationRequest


class Clock(Protocol):
    """Seconds on the run's monotonic clock."""

    def __call__(self) -> float:
        """Now."""
        ...


class Engine(Protocol):
    """Loads the model on enter, frees its memory on exit."""

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

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields exactly one completion per request, each as soon as it ends, in any order.

        Closing the iterator early aborts what is still running.

        Raises:
            GenerationError: The engine broke. A request that fails on its own is a completion
                whose ``finish_reason`` is ``error``; running out of tokens is ``length``.
        """
        ...


def tokens_needed(request: GenerationRequest) -> int:
    """Prompt and output budget of a request together."""
    return len(request.prompt_token_ids) + request.sampling.max_new_tokens


def refusal(request: GenerationRequest, max_model_len: int) -> str | None:
    """Why a request cannot be served as it was asked, None when it can.

    One that would leave less than its budget is refused rather than cut short in silence: its
    score would pass for one with the whole budget.
    """
    if tokens_needed(request) <= max_model_len:
        return None
    return (
        f"a prompt of {len(request.prompt_token_ids)} tokens + max_new_tokens="
        f"{request.sampling.max_new_tokens} exceed the context of {max_model_len} tokens"
    )
