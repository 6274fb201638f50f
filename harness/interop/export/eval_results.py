"""Results as ``.eval_results/*.yaml`` of a model's repository on the Hugging Face hub.

The hub takes an entry for a data set that is registered as a benchmark, under the task's id in its
``eval.yaml``. The value is in percent, as scores on GSM8K's leaderboard are. The format has no
place for an interval, a count of problems or a protocol: ``notes`` has them in words. There is no
``verifyToken``, which the hub's own jobs give, and no ``source`` unless an address is given.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import yaml

from harness.errors import UserError
from harness.interop.export.task_data import hub_source
from harness.records import ERROR_STATUSES
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

log = logging.getLogger(__name__)


class Benchmark(NamedTuple):
    """A data set of the hub with a leaderboard."""

    dataset: str
    task_id: str
    """The task's id in the data set's ``eval.yaml``."""

    @classmethod
    def parse(cls, text: str) -> "Benchmark":
        """Reads ``ORG/DATASET:TASK_ID``.

        Raises:
            ValueError: It has another form.
        """
        found = re.fullmatch(r"([\w.-]+/[\w.-]+):(\S+)", text)
        if found is None:
            raise ValueError("should be TASK=ORG/DATASET:TASK_ID, such as gsm8k=openai/gsm8k:gsm8k")
        return cls(found[1], found[2])


REGISTERED = {"openai/gsm8k": "gsm8k"}
"""Task ids of the benchmarks among the data sets of our tasks. Source: the page "Evaluation
Results" of the hub's documentation (2026-08-22) names the data set, and every-eval-ever 0.3.0
(``tools/hf_community_evals.py``) its task's id."""


def to_eval_results(
    results: Sequence[RunResult],
    benchmarks: Mapping[str, Benchmark],
    source_url: str | None = None,
) -> str:
    """The file's YAML.

    Args:
        results: Of one model.
        benchmarks: By task, those that the user names, before those that are known.
        source_url: Where the results can be read.

    Raises:
        UserError: The runs are of several models, a task of ``benchmarks`` is in none of them, or
            none of their tasks has a score and a benchmark.
    """
    from huggingface_hub import eval_result_entries_to_yaml

    names = sorted({result.manifest.model.name for result in results})
    if len(names) > 1:
        raise UserError(
            f"RUN: these are of {', '.join(names)}; a file is of one model, so export each alone"
        )
    tasks = {task.name for result in results for task in result.manifest.tasks}
    if unknown := sorted(benchmarks.keys() - tasks):
        raise UserError(
            f"--benchmark {unknown[0]}=…: no such task in the runs; there are "
            f"{', '.join(sorted(tasks))}"
        )
    entries = [
        _entry(result, task, benchmark, source_url)
        for result in results
        for task in result.manifest.tasks
        if (benchmark := _benchmark(result, task, benchmarks)) is not None
    ]
    if not entries:
        raise UserError(
            f"RUN: no task of {', '.join(sorted(tasks))} has a score and a benchmark of the hub; "
            "--benchmark TASK=ORG/DATASET:TASK_ID names one"
        )
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, width=1000)


def _benchmark(
    result: RunResult, task: TaskInfo, given: Mapping[str, Benchmark]
) -> Benchmark | None:
    """The benchmark of a task; None, with a logged reason, for a task that cannot be written."""
    if result.estimate("accuracy", task.name).value is None:
        log.warning("%s: nothing was graded, so it has no entry", task.name)
        return None
    if task.name in given:
        return given[task.name]
    source = hub_source(task.name)
    if source is not None and source.hub_id in REGISTERED:
        return Benchmark(source.hub_id, REGISTERED[source.hub_id])
    data = source.hub_id if source else "its data set"
    log.warning(
        "%s: %s is not known as a benchmark of the hub, so it has no entry; "
        "--benchmark %s=ORG/DATASET:TASK_ID names one",
        task.name,
        data,
        task.name,
    )
    return None


def _entry(
    result: RunResult, task: TaskInfo, benchmark: Benchmark, source_url: str | None
) -> "EvalResultEntry":
    from huggingface_hub import EvalResultEntry

    accuracy = result.estimate("accuracy", task.name).value
    assert accuracy is not None
    finished = result.manifest.finished_at or result.manifest.started_at
    return EvalResultEntry(
        dataset_id=benchmark.dataset,
        task_id=benchmark.task_id,
        value=round(100 * accuracy, 4),
        date=finished.isoformat(timespec="seconds"),
        source_url=source_url,
        notes="; ".join(_notes(result, task)),
    )


def _notes(result: RunResult, task: TaskInfo) -> list[str]:
    """Notes on how to read the value, the most important first."""
    manifest, protocol = result.manifest, result.manifest.config.protocol
    accuracy = result.estimate("accuracy", task.name)
    outcomes = result.outcomes_of(task.name)
    truncated = sum(each.status == "truncated" for each in outcomes)
    errors = sum(each.status in ERROR_STATUSES for each in outcomes)
    is_part = accuracy.n < task.full_size
    interval = None
    if accuracy.low is not None and accuracy.high is not None:
        interval = f"95% interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}"
    samples = protocol.samples_per_problem
    notes = [
        f"{accuracy.n} of {task.full_size} problems" if is_part else None,
        f"{protocol.fewshot}-shot",
        "greedy" if protocol.temperature == 0 else f"temperature {protocol.temperature:g}",
        f"top_p {protocol.top_p:g}" if protocol.temperature and protocol.top_p < 1 else None,
        f"mean of {samples} samples" if samples > 1 else None,
        f"max {protocol.max_new_tokens} tokens",
        f"{truncated} of {len(outcomes)} answers cut off" if truncated else None,
        f"{errors} of {len(outcomes)} requests ended in errors, left out" if errors else None,
        interval,
        f"{manifest.engine.precision}" if manifest.engine else None,
        f"gegenprobe {manifest.provenance.harness_version}, {task.scorer}, "
        f"protocol {manifest.protocol_fingerprints[task.name]}",
    ]
    return [note for note in notes if note is not None]
