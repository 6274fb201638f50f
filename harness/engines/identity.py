"""Whether two runs were made by engines that run alike: by what was recorded of both."""

from typing import NamedTuple

from harness.engines.recorded_environment import PLACES
from harness.records import EngineInfo, Setting

VARYING = frozenset({"settings.kv_cache_blocks", "settings.kv_cache_tokens"})
"""Depend on what was free when the engine started: shown, and no part of what a run is."""
THREADS = frozenset(
    {
        "settings.threads",
        "environment.DNNL_NUM_THREADS",
        "environment.KMP_BLOCKTIME",
        "environment.MKL_DYNAMIC",
        "environment.MKL_NUM_THREADS",
        "environment.OMP_DYNAMIC",
        "environment.OMP_NUM_THREADS",
        "environment.OMP_PROC_BIND",
        "environment.OMP_WAIT_POLICY",
        "environment.OPENBLAS_NUM_THREADS",
    }
)
"""Change how fast a CPU is: part of what a run is, and no reason to refuse to go on with one."""
_PLACES = frozenset(f"environment.{name}" for name in PLACES)


class Unlike(NamedTuple):
    """A fact in which two engines differ; None: a variable that was not set."""

    name: str
    """``settings.attention_backend``, ``environment.VLLM_BATCH_INVARIANT``."""
    one: Setting
    other: Setting


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
    """The facts of identity in which two engines differ.

    A setting that one of them does not tell is neither equal nor different, nor is anything where
    one of them has no settings on record.
    """
    if not one.settings or not other.settings:
        return []
    ours, theirs = identity(one), identity(other)
    return [
        Unlike(name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
        and (name.startswith("environment.") or (name in ours and name in theirs))
    ]
