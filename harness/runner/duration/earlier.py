"""Finds an earlier run whose answer lengths and speed predict the next one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.config.settings import RunConfig
from harness.errors import StoreError
from harness.machine.provenance import Provenance
from harness.store.manifest import RunManifest
from harness.store.result import RunResult, load
from harness.store.run_files import Run, runs_dir

MOST_LOOKED_AT = 50
"""How many of the newest runs are read: a folder may hold thousands."""
_PROTOCOL = ("temperature", "top_p", "top_k", "max_new_tokens", "chat", "force_think", "options")


class Earlier(NamedTuple):
    """Measurements of an earlier run of the same model and engine on this machine."""

    run_id: str
    generation_s: float
    answers: Mapping[str, Sequence[int]]
    """Tokens of each answer, by task; failed requests left out."""
    prompt_tokens: float
    """Mean tokens of a prompt."""
    load_s: float | None
    """Loading time of its last session: a resumed run loaded several times."""
    is_same_protocol: bool
    """Whether the protocol is the same, so that its lengths apply and not only its speed."""


def find_earlier(config: RunConfig, here: Provenance, results_dir: Path) -> Earlier | None:
    """The newest complete run of this model, engine and machine; None without one."""
    files = sorted(runs_dir(results_dir).glob("*/result.json"), reverse=True)
    for file in files[:MOST_LOOKED_AT]:
        try:
            if not _is_alike(Run(file.parent).read_manifest(), config, here):
                continue
            result = load(file.parent)
        except StoreError:
            continue  # damaged, or of another version
        if (found := _read(result, config)) is not None:
            return found
    return None


def _is_alike(manifest: RunManifest, config: RunConfig, here: Provenance) -> bool:
    was = manifest.provenance
    return (
        manifest.engine is not None
        and not manifest.merged_from
        and manifest.config.model == config.model
        and manifest.config.engine == config.engine
        and (was.host, was.cpu, was.cpu_count) == (here.host, here.cpu, here.cpu_count)
        and [gpu.name for gpu in was.gpus] == [gpu.name for gpu in here.gpus]
    )


def _read(result: RunResult, config: RunConfig) -> Earlier | None:
    generation_s = result.estimate("generation_s").value
    ended = [each for each in result.outcomes if each.finish_reason != "error"]
    if not generation_s or not ended:
        return None
    answers: dict[str, list[int]] = defaultdict(list)
    prompt_tokens = 0
    for each in ended:
        if each.completion_tokens is None or each.prompt_tokens is None:
            return None
        answers[each.task].append(each.completion_tokens)
        prompt_tokens += each.prompt_tokens
    was, now = result.manifest.config.protocol, config.protocol
    return Earlier(
        run_id=result.manifest.run_id,
        generation_s=generation_s,
        answers=answers,
        prompt_tokens=prompt_tokens / len(ended),
        load_s=result.manifest.sessions[-1].engine.load_s,
        is_same_protocol=all(getattr(was, name) == getattr(now, name) for name in _PROTOCOL),
    )
