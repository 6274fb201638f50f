"""The engine ``NAME``: harness run engine=NAME."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import ClassVar, Literal, Self

from harness.engines.base import Engine, EngineInputs
from harness.engines.config import BaseEngineConfig
from harness.records import Completion, EngineInfo, GenerationRequest


class NameConfig(BaseEngineConfig):
    """Its settings: ``engine.answer=…`` on the command line. Each needs a default."""

    kind: Literal["NAME"]
    answer: str = "The answer is \\boxed{42}."

    # True, the default, for an engine that loads the model's weights on this machine.
    is_local: ClassVar[bool] = False

    @property
    def renders_prompts(self) -> bool:
        """True: it gets the user's text. False, the default: it gets token ids."""
        return True

    def build(self, given: EngineInputs) -> Engine:
        """Makes the engine; ``given`` has the model, its tokenizer and the run's clock."""
        return NameEngine(self, given)


class NameEngine:
    """Gives every request the same answer; put yours in its place."""

    def __init__(self, config: NameConfig, given: EngineInputs) -> None:
        self._config = config
        self._given = given

    def __enter__(self) -> Self:
        """Load the model here."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free its memory here."""

    def info(self) -> EngineInfo:
        """What was loaded, and onto what; None is unknown."""
        return EngineInfo(
            name="NAME",
            version="0.1.0",
            device="remote",
            device_name="unknown",
            device_count=1,
            dtype="unknown",
            model_path=self._given.model.path,
            weights_revision=None,
            weights_sha256=None,
            load_s=None,
            peak_memory_bytes=None,
        )

    def restart_counters(self) -> None:
        """Nothing is counted."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields one completion for each request, as soon as it ends.

        An engine that takes token ids (``request.prompt_token_ids``) returns
        ``given.codec.completion(request, token_ids, times)``, which decodes and counts.
        """
        for request in requests:
            started_s = self._given.clock()
            text = self._config.answer  # your model's answer to request.user_text
            yield Completion(
                request_id=request.request_id,
                text=text,
                finish_reason="stop",
                prompt_tokens=None,
                completion_tokens=None,
                reasoning_tokens=None,
                started_s=started_s,
                finished_s=self._given.clock(),
            )
