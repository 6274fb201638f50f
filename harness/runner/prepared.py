"""A prepared run: everything about it is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.config.settings import RunConfig
from harness.records import GenerationRequest, Problem, Prompt
from harness.scorers.base import Scorer
from harness.store.manifest import RunManifest
from harness.store.run_files import Run


@dataclass(frozen=True)
class PreparedRun:
    """A new or resumed run, whole or a shard. Its folder is locked and its scorers run.

    ``manifest.config`` is the configuration that it is made with.

    ``manifest.config`` is the configuration that it is made with.
    """

    run: Run
    manifest: RunManifest
    """The manifest as it is on disk."""
    problems: Mapping[str, Problem]
    """Problems by id."""
    prompts: Mapping[str, Prompt]
    """Prompts by problem id."""
    scorers: Mapping[str, Scorer]
    """Scorers by task."""
    recording: Run | None = None
    """The run whose answers are replayed; None if an engine generates."""
    regrade: bool = False
    """Whether the recorded verdicts come from other scorers than these."""
    retries: bool = False
    """Whether failed requests are sent again."""
    requests: Sequence[GenerationRequest] = ()
    """All requests of this run or shard."""
    missing: Sequence[GenerationRequest] = ()
    """The requests that are still to be generated."""
    clock_start_s: float = 0.0
    """The time at which the run's clock continues, in seconds."""


@dataclass(frozen=True)
class PreparedShards:
    """A run of several shards, all at once on this machine."""

    config: RunConfig
    """The configuration of the whole run, with its engine chosen."""
