"""A run as logs of Inspect: for each task an ``.eval`` file, which ``inspect view`` shows.

The file is a zip (read from the writer ``log/_recorders/eval.py`` of inspect-ai 0.3.285)::

    _journal/start.json        what was evaluated: task, data set, model, settings
    samples/<id>_epoch_<n>.json
    summaries.json             a line of each sample for the list
    header.json                the start again, with the results

Written here without inspect-ai, with the compression that every zip reader has. Their ``epoch`` is
our sample of a problem, counted from 1.
"""

import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from harness.interop.export.answered import answered
from harness.interop.export.block import NAME, block
from harness.interop.export.inspect_sample import (
    LogNames,
    to_inspect_sample,
    to_summary,
    usage_of,
)
from harness.interop.export.named_model import model_name
from harness.interop.export.plain import ascii_json, known
from harness.interop.export.task_data import hub_source, prompt_template
from harness.io.jsonl import aside_for_user
from harness.records import ERROR_STATUSES, Completion
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

LOG_VERSION = 2


class _Log:
    """One file that is being written."""

    def __init__(self, path: Path, result: RunResult, task: TaskInfo, files: ExitStack) -> None:
        self.names = LogNames(
            run_id=result.manifest.run_id,
            model=model_name(result),
            scorer=task.scorer.partition("@")[0],
            max_tokens=result.manifest.config.protocol.max_new_tokens,
        )
        self._result, self._task = result, task
        scratch = files.enter_context(aside_for_user(path))
        archive = zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED)
        self._zip = files.enter_context(archive)
        self._summaries = files.enter_context(_scratch())
        self._usage: Counter[str] = Counter()
        self._is_usage_known = True
        self._write("_journal/start.json", _start(result, task, self.names))

    def add(self, sample: dict[str, Any], completion: Completion) -> None:
        """Writes one sample."""
        self._write(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
        self._summaries.write(f"{ascii_json(to_summary(sample))}\n")
        usage = usage_of(completion)
        self._usage.update(usage or {})
        self._is_usage_known &= usage is not None or completion.is_failure

    def finish(self) -> None:
        """Writes what is known at the end."""
        self._summaries.seek(0)
        member = self._member("summaries.json")
        with self._zip.open(member, "w", force_zip64=True) as stream:
            _write_array(stream, self._summaries)
        usage = {self.names.model: dict(self._usage)} if self._is_usage_known else {}
        self._write("header.json", _header(self._result, self._task, self.names, usage))

    def _write(self, name: str, content: Any) -> None:
        self._zip.writestr(self._member(name), ascii_json(content))

    def _member(self, name: str) -> zipfile.ZipInfo:
        """A member of the archive, dated by the run, so that its bytes are reproducible."""
        member = zipfile.ZipInfo(name, self._result.manifest.started_at.timetuple()[:6])
        member.compress_type = zipfile.ZIP_DEFLATED
        return member


def write_inspect(result: RunResult, folder: Path) -> list[Path]:
    """Writes a log for each task of a run.

    Args:
        result: With its run's folder.
        folder: Where the logs go.

    Returns:
        The files.

    Raises:
        StoreError: The result lies alone, a file of the run is damaged, or one cannot be written.
    """
    sessions = result.manifest.sessions
    paths = {task.name: folder / _file_name(result, task) for task in result.manifest.tasks}
    samples = answered(result)
    with ExitStack() as files:
        logs = {
            task.name: _Log(paths[task.name], result, task, files) for task in result.manifest.tasks
        }
        for each in samples:
            log = logs[each.sample.task]
            session = sessions[each.sample.session] if sessions else None
            log.add(to_inspect_sample(each, session, log.names), each.sample.completion)
        for log in logs.values():
            log.finish()
    return list(paths.values())


def _scratch() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="ascii")


def _file_name(result: RunResult, task: TaskInfo) -> str:
    """The file name in Inspect's form: time, task, id; its viewer reads the task from it."""
    when = re.sub("[:+]", "-", result.manifest.started_at.isoformat(timespec="seconds"))
    return f"{when}_{task.name.replace('_', '-')}_{result.manifest.run_id}.eval"


def _write_array(stream: IO[bytes], lines: Iterable[str]) -> None:
    """A JSON array of documents, each of which is a line."""
    before = b"["
    for line in lines:
        stream.write(before + line.rstrip("\n").encode())
        before = b",\n"
    stream.write(b"[]" if before == b"[" else b"]")


def _start(result: RunResult, task: TaskInfo, names: LogNames) -> dict[str, Any]:
    return {
        "version": LOG_VERSION,
        "eval": _spec(result, task, names),
        "plan": {
            "name": "plan",
            "steps": [{"solver": "generate"}],
            "config": _generation(result),
        },
    }


def _header(
    result: RunResult, task: TaskInfo, names: LogNames, usage: dict[str, Any]
) -> dict[str, Any]:
    manifest = result.manifest
    finished = manifest.finished_at
    stats = {
        "started_at": manifest.started_at.isoformat(),
        "completed_at": finished.isoformat() if finished else None,
        "model_usage": usage,
    }
    return {
        **_start(result, task, names),
        "status": "success",
        "results": _results(result, task, names),
        "stats": known(stats),
    }


def _spec(result: RunResult, task: TaskInfo, names: LogNames) -> dict[str, Any]:
    manifest = result.manifest
    repeats = manifest.config.protocol.samples_per_problem
    return {
        "eval_id": f"{manifest.run_id}/{task.name}",
        "run_id": manifest.run_id,
        "created": manifest.started_at.isoformat(),
        "task": task.name,
        "task_id": f"{manifest.run_id}/{task.name}",
        "task_version": task.version,
        "task_args": {"selection": task.selection},
        "dataset": _dataset(result, task),
        "model": names.model,
        "model_generate_config": {},
        "model_args": _engine(result),
        "config": {"epochs": repeats, **({"epochs_reducer": ["mean"]} if repeats > 1 else {})},
        "packages": {NAME: manifest.provenance.harness_version},
        "metadata": known(
            {
                NAME: block(result, task),
                "protocol": manifest.config.protocol.name,
                "fewshot": manifest.config.protocol.fewshot,
                "prompt_template": prompt_template(task),
            }
        ),
        "scorers": [
            {
                "name": names.scorer,
                "options": {"version": task.scorer.partition("@")[2]},
                "metrics": [{"name": "accuracy"}, {"name": "stderr"}],
            }
        ],
    }


def _dataset(result: RunResult, task: TaskInfo) -> dict[str, Any]:
    hub = hub_source(task.name)
    asked = dict.fromkeys(each.problem_id for each in result.outcomes_of(task.name))
    return known(
        {
            "name": task.name,
            "location": hub.hub_id if hub else None,
            "samples": task.problems,
            "sample_ids": list(asked),
            "shuffled": False,
        }
    )


def _engine(result: RunResult) -> dict[str, Any]:
    manifest = result.manifest
    engine = manifest.engine
    if engine is None:
        return {}
    return known(
        {
            "engine": f"{engine.name} {engine.version}",
            "device": engine.device_name,
            "precision": engine.precision,
            "revision": manifest.model.revision,
            "weights_sha256": manifest.model.sha256,
        }
    )


def _generation(result: RunResult) -> dict[str, Any]:
    config = result.manifest.config
    protocol = config.protocol
    return known(
        {
            "max_tokens": protocol.max_new_tokens,
            "temperature": protocol.temperature,
            "top_p": protocol.top_p,
            "top_k": protocol.top_k,
            "seed": config.seed,
            "stop_seqs": list(protocol.stop) or None,
        }
    )


def _results(result: RunResult, task: TaskInfo, names: LogNames) -> dict[str, Any]:
    outcomes = result.outcomes_of(task.name)
    errors = sum(each.status in ERROR_STATUSES for each in outcomes)
    totals = {"total_samples": len(outcomes), "completed_samples": len(outcomes) - errors}
    metrics = _metrics(result, task)
    if not metrics:  # nothing was graded
        return {**totals, "scores": []}
    graded = result.estimate("accuracy", task.name).n
    is_repeated = result.manifest.config.protocol.samples_per_problem > 1
    score = {
        "name": names.scorer,
        "scorer": names.scorer,
        "reducer": "mean" if is_repeated else None,
        "scored_samples": graded,
        "unscored_samples": task.problems - graded,
        "params": {},
        "metrics": metrics,
    }
    headline = {
        "scorer": names.scorer,
        "score": names.scorer,
        "metric": "accuracy",
        "reducer": score["reducer"],
    }
    return {**totals, "scores": [known(score)], "headline": known(headline)}


def _metrics(result: RunResult, task: TaskInfo) -> dict[str, Any]:
    """Accuracy, its standard error, and what is known of several samples of a problem."""
    theirs = {"accuracy": "accuracy", "accuracy_se.new_problems": "stderr"}
    metrics = {}
    for each in result.estimates:
        name = theirs.get(each.metric, each.metric)
        is_wanted = each.metric in theirs or name.startswith(("pass@", "cons@"))
        if each.task == task.name and is_wanted and each.value is not None:
            method = known({"method": each.method, "low_95": each.low, "high_95": each.high})
            metrics[name] = {"name": name, "value": each.value, "params": {}, "metadata": method}
    return metrics if "accuracy" in metrics else {}
