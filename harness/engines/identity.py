"""Whether two runs were made by engines that run alike: by what was recorded of both."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.engines.recorded_environment import PLACES, THREAD_VARIABLES
from harness.records import EngineInfo, Setting

VARYING = frozenset({"settings.kv_cache_blocks", "settings.kv_cache_tokens"})
"""Depend on what was free when the engine started: shown, and no part of what a run is."""
_THREADS = frozenset({"settings.threads", *(f"environment.{name}" for name in THREAD_VARIABLES)})
"""Change how fast a CPU is, and no answer."""
_SIZES = frozenset(
    {
        "settings.gpu_memory_utilization",
        "settings.max_num_batched_tokens",
        "settings.max_num_seqs",
    }
)
"""Of batch and memory: answers depend on them only as far as they depend on the order of sums, as
they do on threads."""
_PLACES = frozenset(f"environment.{name}" for name in PLACES)


class Unlike(NamedTuple):
    """A fact in which two engines differ; None: a variable that was not set."""

    name: str
    """``settings.attention_backend``, ``environment.VLLM_BATCH_INVARIANT``."""
    one: Setting
    other: Setting

    @property
    def is_speed_alone(self) -> bool:
        """Whether answers are the same on both: no reason to refuse to join them."""
        return self.name in _THREADS | _SIZES


def known_facts(engine: EngineInfo) -> dict[str, Setting]:
    """All that is known of how an engine runs, by name; a setting that is unknown is left out."""
    settings: dict[str, Setting] = {
        f"settings.{n}": v for n, v in engine.settings.items() if v is not None
    }
    return settings | {f"environment.{n}": v for n, v in engine.environment.items()}


def identity(engine: EngineInfo) -> dict[str, Setting]:
    """Those facts that must agree for two runs to be alike."""
    left_out = VARYING | _PLACES
    return {name: value for name, value in known_facts(engine).items() if name not in left_out}


def unlike(one: EngineInfo, other: EngineInfo) -> list[Unlike]:
    """The facts of identity that both engines tell and in which they differ."""
    ours, theirs = identity(one), identity(other)
    return [
        Unlike(name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and is_told(name, ours, theirs)
    ]


def is_told(name: str, one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> bool:
    """Whether two engines both tell a fact; if not, they are neither equal nor different in it.

    A setting that is left out is unknown. A variable that is left out was not set, if settings were
    recorded at all: an older engine's facts have neither. Any other fact is told.

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
