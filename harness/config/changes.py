"""What differs between two configurations, and which differences one run may have.

A run that is resumed must keep whatever decides its answers. Everything else may change, and the
manifest lists what did.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.config.settings import RunConfig, flat_config
from harness.records import Count, Record

NOT_RECORDED = frozenset({"resume", "results_dir", "retry"})
"""They say which run is meant, and not how it was made."""
FREE = frozenset(
    {
        *NOT_RECORDED,
        "canary",
        "data_dir",
        "included",
        "limits",
        "machine",
        "offline",
        "plan_for",
        "pricing",
        "purpose",
        "requires",
        "tracker",
        # Another scorer or limit grades every answer again, and the manifest's fingerprint follows.
        "sandbox",
        "scoring",
        # Facts about the weights. Which weights they are is checked by digest when they are loaded.
        "model.base",
        "model.context_tokens",
        "model.licence",
        "model.parameters",
        "model.path",
        "model.shape",
        "model.source",
        # How requests reach a server. Which model it serves is checked when it is asked.
        "engine.api_key_env",
        "engine.base_url",
        "engine.ca_file",
        "engine.concurrency",
        "engine.headers_env",
        "engine.max_retries",
        "engine.max_retry_wait_s",
        "engine.requests_per_minute",
        "engine.served_model",
        "engine.silence_limit_s",
        "engine.start_limit_s",
        "engine.verify",
        # Batch and cache sizes: they move speed, and texts only as far as any order of sums does.
        "engine.args.gpu_memory_utilization",
        "engine.args.max_num_batched_tokens",
        "engine.args.max_num_seqs",
        "engine.batch_tokens",
        "engine.max_batch_size",
    }
)
"""Keys that change no answer; with each key all that lies below it. A key that is not named here
must agree."""
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "engine": ("kind",),
    "model": ("name", "kind"),
    "pricing": ("name",),
    "protocol": ("name",),
    "tracker": ("kind",),
}
"""Groups that are chosen as a whole: another choice is one change, whatever it holds."""
_LONGEST = 80
"""Characters of a value in a message."""


class ConfigChange(Record):
    """One key that had another value from some session on."""

    key: str
    was: Any = None
    """None: null, or not set."""
    now: Any = None
    sessions_before: Count = 0
    """How many sessions ran with the value before."""

    def __str__(self) -> str:
        return f"{self.key}: was {_shown(self.was)}, is {_shown(self.now)}"

    @property
    def is_free(self) -> bool:
        """Whether one run may have both values."""
        return self.key in FREE or any(self.key.startswith(f"{name}.") for name in FREE)


def config_changes(was: RunConfig, now: RunConfig) -> list[ConfigChange]:
    """The differences by key, each as a user would give it: a group that was chosen is one."""
    before, after = flat_config(was), flat_config(now)
    keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    changes = []
    for group, names in _GROUPS.items():
        chosen = next((each for name in names if (each := f"{group}.{name}") in keys), None)
        if chosen is not None:
            keys = {key for key in keys if not key.startswith(f"{group}.")}
            changes.append(ConfigChange(key=group, was=before.get(chosen), now=after.get(chosen)))
    changes += [
        ConfigChange(key=key, was=before.get(key), now=after.get(key))
        for key in keys
        if not _is_empty_parent(key, keys)
    ]
    return sorted(changes, key=lambda change: change.key)


def deciding(changes: Iterable[ConfigChange]) -> list[ConfigChange]:
    """Those that change answers."""
    return [change for change in changes if not change.is_free]


def recorded(changes: Iterable[ConfigChange], sessions: int) -> list[ConfigChange]:
    """Those that a manifest lists, with the number of sessions before them."""
    return [
        change.model_copy(update={"sessions_before": sessions})
        for change in changes
        if change.key not in NOT_RECORDED
    ]


def worded(changes: Sequence[ConfigChange]) -> str:
    """All of them in one line."""
    return "; ".join(map(str, changes))


def _is_empty_parent(key: str, keys: Iterable[str]) -> bool:
    """``engine.args={}`` beside ``engine.args.max_num_seqs``: the second says all."""
    return any(other.startswith(f"{key}.") for other in keys)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
