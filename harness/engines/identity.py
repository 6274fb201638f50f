"""Whether two runs were made by engines that behave alike, judged by the recorded facts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.engines.recorded_environment import PLACES, THREAD_VARIABLES
from harness.records import EngineInfo, Setting

VARYING = frozenset({"settings.kv_cache_blocks", "settings.kv_cache_tokens"})
"""Facts that depend on what was free when the engine started: shown, but not part of its
identity."""
_THREADS = frozenset({"settings.threads", *(f"environment.{name}" for name in THREAD_VARIABLES)})
"""Facts that change how fast a CPU is, and no answer."""
_SIZES = frozenset(
    {
        "settings.gpu_memory_utilization",
        "settings.max_num_batched_tokens",
        "settings.max_num_seqs",
    }
)
"""Sizes of batch and memory. They change answers only through the order of sums, as threads do."""
_PLACES = frozenset(f"environment.{name}" for name in PLACES)


class Unlike(NamedTuple):
    """A fact in which two engines differ; None: a variable that was not set."""

    name: str
    """Such as ``settings.attention_backend`` or ``environment.VLLM_BATCH_INVARIANT``."""
    one: Setting
    other: Setting

    @property
    def is_speed_alone(self) -> bool:
        """Whether answers are the same on both, so that their runs may be joined."""
        return self.name in _THREADS | _SIZES


def known_facts(engine: EngineInfo) -> dict[str, Setting]:
    """All known facts about how an engine runs, by name; unknown settings are left out."""
    settings: dict[str, Setting] = {
        f"settings.{n}": v for n, v in engine.settings.items() if v is not None
    }
    return settings | {f"environment.{n}": v for n, v in engine.environment.items()}


def identity(engine: EngineInfo) -> dict[str, Setting]:
    """The facts that must agree for two engines to count as alike."""
    left_out = VARYING | _PLACES
    return {name: value for name, value in known_facts(engine).items() if name not in left_out}


def unlike(one: EngineInfo, other: EngineInfo) -> list[Unlike]:
    """The facts of identity that both engines record and in which they differ."""
    ours, theirs = identity(one), identity(other)
    return [
        Unlike(name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and is_told(name, ours, theirs)
    ]


def is_told(name: str, one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> bool:
    """Whether both engines record a fact; if not, they are neither equal nor different in it.

    A setting that is left out is unknown. A variable that is left out was not set, if settings were
    recorded; an older engine's facts have neither. Any other fact counts as recorded.

    A setting that is left out is unknown. A variable that is left out was not set, if settings were
    recorded: an older engine's facts have neither. Any other fact counts as recorded.

    Args:
        name: Of the fact, as in ``known_facts`` behind the prefix.
        one: Facts of an engine by name, and perhaps others.
        other: Likewise.
        prefix: Of all names.
    """
    settings = f"{prefix}settings."
    if name.startswith(settings):
        return name in one and name in other
    if name.startswith(f"{prefix}environment."):
        return all(any(each.startswith(settings) for each in facts) for facts in (one, other))
    return True
