"""Runs as claims see them: which there are, what they say, and whether one fits a claim."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from harness.config.settings import ProtocolConfig
from harness.errors import UserError
from harness.interop.readers import harness_of
from harness.io.paths import CONF_DIR
from harness.models import HubModel, ModelConfig, origin
from harness.records import ERROR_STATUSES, EngineInfo, Estimate
from harness.store.manifest import Outcome, RunManifest, TaskInfo
from harness.store.result import RunResult, load
from harness.store.run_files import find_run, runs_dir
from harness.tasks import TaskSpec, load_spec

MAX_TRUNCATED = 0.02
"""Above it a score depends on the token limit and can decide nothing (rules of the ledger)."""
MAX_ERRORS = 0.02
"""Above it, whatever a run allows itself: what failed is left out, and may be the hardest."""
_WHOLE_CACHES = (None, "auto", "bfloat16", "float16")
_ASKED = ("temperature", "top_p", "top_k", "max_new_tokens", "chat", "force_think", "options")
"""Of a protocol: what a claim's runs must have in common. ``samples_per_problem`` may differ."""


class Counts(NamedTuple):
    """What came of a task's problems, errors left out."""

    solved: tuple[int, ...]
    samples: tuple[int, ...]


class ClaimRun(NamedTuple):
    """A run, finished or not."""

    run_id: str
    manifest: RunManifest
    result: RunResult | None

    @property
    def model(self) -> ModelConfig:
        """As it was configured."""
        return self.manifest.config.model

    @property
    def engine(self) -> EngineInfo | None:
        """What generated; None for a run that never began."""
        return self.manifest.engine

    @property
    def seed(self) -> int:
        """Tells repetitions apart."""
        return self.manifest.config.seed

    @property
    def args(self) -> dict[str, object]:
        """Of the engine's own software, under its names."""
        return dict(self.manifest.config.engine.native_args)

    @property
    def quantization(self) -> str | None:
        """Of the weights, as the engine was told or as it found them in the checkpoint."""
        value = self.args.get("quantization")
        if value is None and self.engine is not None and "weights" in self.engine.dtype:
            return self.engine.dtype.partition(", ")[2].removesuffix(" weights")
        return None if value is None else str(value)

    @property
    def batch_size(self) -> int | None:
        """Answers under way at once at most; None for vLLM's own choice."""
        value = self.args.get("max_num_seqs")
        if value is None:
            value = getattr(self.manifest.config.engine, "max_batch_size", None)
        return int(str(value)) if value is not None else None

    @property
    def concurrency(self) -> int | None:
        """Requests that a server was sent at once; None for an engine that takes all."""
        value = getattr(self.manifest.config.engine, "concurrency", None)
        return None if value is None else int(value)

    def task(self, name: str) -> TaskInfo | None:
        """How the run asked a task; None if it did not."""
        return next((task for task in self.manifest.tasks if task.name == name), None)

    def outcomes(self, task: str) -> list[Outcome]:
        """Of one task."""
        every = self.result.outcomes if self.result else ()
        return [each for each in every if each.request_id.startswith(f"{task}/")]

    def counts(self, task: str) -> Counts:
        """Solved samples and samples of each problem that has any, sorted by problem."""
        solved, samples = self.tallies(task)
        names = sorted(samples)
        return Counts(tuple(solved[name] for name in names), tuple(samples[name] for name in names))

    def tallies(self, task: str) -> tuple[Counter[str], Counter[str]]:
        """The same by problem."""
        solved: Counter[str] = Counter()
        samples: Counter[str] = Counter()
        for each in self.outcomes(task):
            if each.status not in ERROR_STATUSES:
                name = each.request_id.rpartition("#")[0]
                samples[name] += 1
                solved[name] += each.status == "correct"
        return solved, samples

    def truncated_fraction(self, task: str) -> float:
        """Of all answers."""
        every = self.outcomes(task)
        return sum(each.status == "truncated" for each in every) / len(every) if every else 0.0

    def error_fraction(self, task: str) -> float:
        """Of all requests."""
        every = self.outcomes(task)
        failed = sum(each.status in ERROR_STATUSES for each in every)
        return failed / len(every) if every else 0.0

    def has_too_many_errors(self, task: str) -> bool:
        """More than the run allows itself, or than a claim does."""
        allowed = min(MAX_ERRORS, self.manifest.config.limits.max_error_fraction)
        return self.error_fraction(task) > allowed

    def estimate(self, metric: str, task: str) -> Estimate | None:
        """Of the task, or of the run where it asked nothing else."""
        every = self.result.estimates if self.result else ()
        found = {each.task: each for each in every if each.metric == metric}
        if task in found:
            return found[task]
        return found.get(None) if len(self.manifest.tasks) == 1 else None

    def value(self, metric: str, task: str) -> float | None:
        """The same as a number."""
        found = self.estimate(metric, task)
        return None if found is None else found.value


class Wanted(NamedTuple):
    """What a run must be to say something of a claim."""

    task: str
    metric: str
    protocol: str
    models: Sequence[str]
    """Names of ``conf/model``, or of repositories."""
    is_score: bool = True
    """The figure is a score: it takes the whole benchmark and unquantised weights."""


def read_runs(given: Sequence[str], results_dir: Path) -> list[ClaimRun]:
    """Reads runs by id, folder or ``result.json``; unfinished ones too.

    Raises:
        StoreError: There is no such run, or its files are none of ours.
        UserError: A file is another harness's, or a run is given twice.
    """
    runs = [_read_run(each, results_dir) for each in given]
    names = Counter(run.run_id for run in runs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"RUN={twice[0]}: given twice; it would count for two")
    return runs


def _read_run(given: str, results_dir: Path) -> ClaimRun:
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
            result = load(file)
            return ClaimRun(result.manifest.run_id, result.manifest, result)
    run = find_run(given, results_dir)
    run.refuse_shard()
    return ClaimRun(run.run_id, run.read_manifest(), None)


# --- does a run fit ---------------------------------------------------------------------------


def unfit(run: ClaimRun, wanted: Wanted) -> str | None:
    """Why a run says nothing of a claim, in a few words; None if it does."""
    if run.result is None or run.manifest.status != "complete":
        return f"unfinished: its status is {run.manifest.status}"
    task = run.task(wanted.task)
    if task is None:
        asked = ", ".join(each.name for each in run.manifest.tasks)
        return f"other task: {asked} and not {wanted.task}"
    mistakes = [
        *_other_model(run.model, wanted.models),
        *_other_task(task, run.manifest.protocol_fields.get(wanted.task, {})),
        *_other_protocol(run.manifest.config.protocol, _protocol(wanted.protocol)),
    ]
    mistakes += _other_answers(run)
    if wanted.is_score:
        mistakes += _not_the_whole(run, task)
    elif run.value(wanted.metric, wanted.task) is None:
        mistakes.append(f"it has no {wanted.metric} of {wanted.task} alone")
    return "; ".join(mistakes) or None


def is_of_model(run: ClaimRun, models: Sequence[str]) -> bool:
    """Whether it ran one of them, or says so."""
    hub_id = run.model.hub_id if isinstance(run.model, HubModel) else None
    return run.model.name in models or hub_id in models


def _other_model(model: ModelConfig, wanted: Sequence[str]) -> list[str]:
    hub_id = model.hub_id if isinstance(model, HubModel) else None
    if model.name not in wanted:
        return [] if hub_id in wanted else [f"other model: {model.name}"]
    if "/" in model.name:
        return [] if hub_id == model.name else [f"not of the hub: {model.name}"]
    # A name can be given to anything; the repository and its revision say which weights they are.
    known = _conf("model", model.name)
    if not isinstance(model, HubModel) or hub_id != known["hub_id"]:
        return [f"only named {model.name}: {origin(model)} and not {known['hub_id']}"]
    if model.revision != known["revision"]:
        return [f"other revision of {model.name}: {model.revision[:12]}"]
    return []


def _other_answers(run: ClaimRun) -> list[str]:
    """Answers that this run's engine did not generate from weights that are known."""
    engine = run.engine
    if engine is None:
        return ["no engine: nothing was generated"]
    if run.manifest.config.engine.recording is not None:
        return ["replayed answers: give the run that generated them"]
    if engine.weights_sha256 is None:
        return ["weights unknown: a server says what it has, and nothing shows it"]
    return []


def _other_task(task: TaskInfo, fields: dict[str, object]) -> list[str]:
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


def _not_the_whole(run: ClaimRun, task: TaskInfo) -> list[str]:
    mistakes = []
    if task.problems < task.full_size:
        mistakes.append(f"subset: {task.problems} of {task.full_size} problems")
    if run.quantization is not None:
        mistakes.append(f"quantised weights: {run.quantization}")
    cache = run.args.get("kv_cache_dtype", "auto")
    if cache not in _WHOLE_CACHES:
        mistakes.append(f"quantised cache: {cache}")
    if run.args.get("hf_overrides"):
        mistakes.append("engine.args.hf_overrides: another model than the repository's")
    return mistakes


@cache
def _spec(name: str) -> TaskSpec:
    return load_spec(name)


@cache
def _protocol(name: str) -> ProtocolConfig:
    return ProtocolConfig.model_validate(_conf("protocol", name))


@cache
def _conf(group: str, name: str) -> dict[str, object]:
    text = (CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, object] = yaml.safe_load(text)
    return loaded
