"""Replays recorded completions, for scoring, metrics and reports without a GPU."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from pydantic import ValidationError

from harness.engines.base import Clock, EngineInputs
from harness.engines.config import BaseEngineConfig
from harness.errors import ConfigError
from harness.io.mistakes import first_mistake
from harness.models import ResolvedModel
from harness.records import Completion, EngineInfo, GenerationRequest

COMPLETIONS = "completions.jsonl"
MANIFEST = "manifest.json"


class ReplayConfig(BaseEngineConfig):
    """Settings of the replay engine."""

    kind: Literal["replay"]
    run: str
    """A run's folder, or a ``completions.jsonl``."""

    is_local: ClassVar[bool] = False

    def build(self, given: EngineInputs) -> "ReplayEngine":
        """Builds the engine; a recording needs no tokenizer and has no context limit."""
        return ReplayEngine(self, given.model, given.clock)

    @property
    def recording(self) -> str:
        """The setting ``run``."""
        return self.run

    def with_recording(self, folder: str) -> Self:
        """A copy with another path to the recording."""
        return self.model_copy(update={"run": folder})

    @property
    def needs_tokenizer(self) -> bool:
        """False: the prompts were recorded too."""
        return False

    @property
    def unlike_nightly(self) -> frozenset[str]:
        """``run`` too: the rehearsal of a bad night replaces it by another recording."""
        return super().unlike_nightly | {"run"}


class ReplayEngine:
    """Answers every request with what was recorded under its id, times included.

    A rate that is derived from them is the recording's, not this machine's.
    """

    def __init__(self, config: ReplayConfig, model: ResolvedModel, clock: Clock) -> None:
        path = Path(config.run).expanduser()
        self._file = path / COMPLETIONS if path.is_dir() else path
        self._given = config.run
        self._model = model
        self._clock = clock
        self._recorded: dict[str, Completion] = {}
        self._load_s: float | None = None

    def __enter__(self) -> Self:
        """Reads the recording."""
        began = self._clock()
        try:
            # not splitlines: a text may hold characters that Unicode counts as line ends
            lines = self._file.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise ConfigError(
                f"engine.run={self._given}: {self._file} cannot be read ({error.strerror}); "
                f"give a run's directory or a {COMPLETIONS}"
            ) from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                completion = Completion.model_validate_json(line)
            except ValidationError as error:
                raise ConfigError(
                    f"engine.run={self._given}: line {number} of {self._file.name} is no "
                    f"completion: {first_mistake(error)}"
                ) from error
            self._recorded[completion.request_id] = completion
        self._load_s = self._clock() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forgets the recording."""
        self._recorded = {}

    def info(self) -> EngineInfo:
        """The engine of the recording's last session, where it is known."""
        recorded = _recorded_engine(self._file.parent / MANIFEST)
        unknown = EngineInfo(
            name="replay",
            version="unknown recording",
            device="cpu",
            device_name="unknown",
            device_count=1,
            dtype="unknown",
            model_path=self._model.path,
            weights_revision=self._model.revision,
            weights_sha256=self._model.sha256,
            load_s=self._load_s,
            peak_memory_bytes=None,
        )
        if recorded is None:
            return unknown
        was = f"{recorded.name} {recorded.version}"
        return recorded.model_copy(
            update={"name": "replay", "version": f"recording of {was}", "load_s": self._load_s}
        )

    def restart_counters(self) -> None:
        """Does nothing: a replay has no counters."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields the recorded completions in the order of the requests.

        Raises:
            ConfigError: Some were never recorded.
        """
        missing = [each.request_id for each in requests if each.request_id not in self._recorded]
        if missing:
            raise ConfigError(
                f"engine.run={self._given}: {len(missing)} of {len(requests)} requests are not in "
                f"the recording, the first is {missing[0]}; use its own tasks, or another recording"
            )
        for request in requests:
            yield self._recorded[request.request_id]


def _recorded_engine(manifest: Path) -> EngineInfo | None:
    """The engine of the last session in a run's manifest; None where it cannot be read."""
    try:
        content: Any = json.loads(manifest.read_text(encoding="utf-8"))
        return EngineInfo.model_validate(content["sessions"][-1]["engine"])
    except (OSError, ValueError, LookupError, TypeError):  # absent, or of another version
        return None
