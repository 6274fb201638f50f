"""A run that is ready to be executed: everything about it is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.config.settings import RunConfig
from harness.records import GenerationRequest, Problem, Prompt
from harness.scorers.base import Scorer
from harness.store.manifest import RunManifest
from harness.store.run_files import Run


@dataclass(frozen=True)
class PreparedRun:
    """A new or a resumed run, whole or a shard, in its locked folder and with its scorers running.

    ``manifest.config`` is the configuration that it is made with.
    """

    run: Run
    manifest: RunManifest
    """As it is on disk."""
    problems: Mapping[str, Problem]
    """By id."""
    prompts: Mapping[str, Prompt]
    """By the id of their problem."""
    scorers: Mapping[str, Scorer]
    """By task."""
    recording: Run | None = None
    """The run whose answers are replayed; None if an engine generates."""
    regrade: bool = False
    """The recorded verdicts are of other scorers than these."""
    retries: bool = False
    """Requests that failed are asked again."""
    requests: Sequence[GenerationRequest] = ()
    """All that this run or shard has to answer."""
    missing: Sequence[GenerationRequest] = ()
    """Those of them that are to be generated."""
    clock_start_s: float = 0.0
    """Where the run's clock goes on, in seconds."""


@dataclass(frozen=True)
class PreparedShards:
    """A run of several shards, all at once on this machine."""

    config: RunConfig
    """Of the whole run, with the engine that is used."""
