"""The aggregate of Every Eval Ever: one task of one run, its scores and all that they rest on."""

import hashlib
import uuid
from collections import Counter
from typing import Any, Literal, NamedTuple

from harness.interop.export.block import NAME, block
from harness.interop.export.named_model import hub_name
from harness.interop.export.plain import known, texts
from harness.interop.export.task_data import hub_source, prompt_template
from harness.records import Estimate
from harness.scorers.build import runs_code
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

SCHEMA_VERSION = "0.3.0"
Relationship = Literal["first_party", "third_party", "collaborative", "other"]


class Evaluator(NamedTuple):
    """Who ran the evaluation."""

    organisation: str
    relationship: Relationship
    """The evaluator's relationship to the model's makers."""


class EeeRecord(NamedTuple):
    """One task of a result on its way into the datastore."""

    result: RunResult
    task: TaskInfo
    model_id: str

    @property
    def evaluation_id(self) -> str:
        """Which every row repeats."""
        return f"{self.task.name}/{self.model_id}/{finished(self.result)}"

    def result_id(self, metric: str) -> str:
        """Names one score of it."""
        return f"{self.result.manifest.run_id}/{self.task.name}/{metric}"

    @property
    def stem(self) -> str:
        """The path in the datastore, without the file's ending."""
        name = f"{self.result.manifest.run_id}/{self.task.name}".encode()
        number = uuid.UUID(bytes=hashlib.sha256(name).digest()[:16], version=4)
        return f"data/{self.task.name}/{self.model_id}/{number}"

    @property
    def samples_path(self) -> str:
        """The path of the rows in the datastore."""
        return f"{self.stem}_samples.jsonl"


class RowsFile(NamedTuple):
    """A file of rows that was written."""

    rows: int
    sha256: str


def aggregate(record: EeeRecord, evaluator: Evaluator, rows: RowsFile | None) -> dict[str, Any]:
    """The whole file as one object; ``rows``: None where it has no rows."""
    manifest = record.result.manifest
    return known(
        {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": record.evaluation_id,
            "evaluation_timestamp": manifest.started_at.isoformat(),
            "retrieved_timestamp": finished(record.result),
            "source_metadata": {
                "source_name": f"gegenprobe run {manifest.run_id}",
                "source_type": "evaluation_run",
                "source_organization_name": evaluator.organisation,
                "evaluator_relationship": evaluator.relationship,
            },
            "eval_library": {
                "name": "gegenprobe",
                "version": manifest.provenance.harness_version,
                "additional_details": texts(
                    {
                        "git_commit": manifest.provenance.git_commit,
                        NAME: block(record.result, record.task),
                    }
                ),
            },
            "model_info": _model(record),
            "evaluation_results": [
                _score(record, estimate) for estimate in _estimates(record.result, record.task)
            ],
            "detailed_evaluation_results": rows
            and {
                "format": "jsonl",
                "file_path": record.samples_path,
                "hash_algorithm": "sha256",
                "checksum": rows.sha256,
                "total_rows": rows.rows,
            },
        }
    )


def finished(result: RunResult) -> str:
    """Seconds of the Unix epoch."""
    manifest = result.manifest
    return str((manifest.finished_at or manifest.started_at).timestamp())


def _model(record: EeeRecord) -> dict[str, Any]:
    manifest = record.result.manifest
    engine, model = manifest.engine, manifest.config.model
    is_local = engine is not None and engine.device != "remote"
    is_open = hub_name(record.result) is not None and model.licence is not None
    details = {
        "deployment_type": "self_deployed" if is_local else "unknown",
        "model_availability": "open_weights" if is_open else "unknown",
        "revision": manifest.model.revision,
        "weights_sha256": manifest.model.sha256,
        "parameters": model.parameters,
        "base": model.base,
        "precision": engine.precision if engine else None,
        "device": engine.device_name if engine and is_local else None,
    }
    return known(
        {
            "name": manifest.model.name,
            "id": record.model_id,
            "developer": record.model_id.partition("/")[0],
            "inference_engine": {"name": engine.name, "version": engine.version}
            if engine and is_local
            else None,
            "additional_details": texts(details),
        }
    )


def _estimates(result: RunResult, task: TaskInfo) -> list[Estimate]:
    """The accuracy first; then what is known of several samples of a problem."""
    accuracy = result.estimate("accuracy", task.name)
    others = [
        each
        for each in result.estimates
        if each.task == task.name
        and each.metric.startswith(("pass@", "cons@"))
        and each.metric != "pass@1"  # which is the accuracy
        and each.value is not None
    ]
    return [accuracy, *others]


def _score(record: EeeRecord, estimate: Estimate) -> dict[str, Any]:
    task = record.task
    return {
        "evaluation_result_id": record.result_id(estimate.metric),
        "evaluation_name": task.name,
        "source_data": _source(task),
        "metric_config": _metric(task, estimate.metric)
        | {
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
            "additional_details": {"scorer": task.scorer},
        },
        "score_details": {
            "score": estimate.value,
            "details": _counts(record, estimate),
            "uncertainty": _uncertainty(record, estimate),
        },
        "generation_config": _generation(record),
    }


def _metric(task: TaskInfo, name: str) -> dict[str, Any]:
    kind, at, k = name.partition("@")
    if not at and not runs_code(task.scorer):
        return {"metric_id": "accuracy", "metric_name": "accuracy", "metric_kind": "accuracy"}
    if kind == "cons":
        named = {"metric_id": "gegenprobe.cons_at_k", "metric_name": name}
    else:
        named = {"metric_id": "pass_at_k", "metric_name": f"pass@{k or 1}"}
    return {**named, "metric_kind": "pass_rate", "metric_parameters": {"k": int(k or 1)}}


def _source(task: TaskInfo) -> dict[str, Any]:
    hub = hub_source(task.name)
    details = {
        "selection": task.selection,
        "problems_asked": task.problems,
        "task_version": task.version,
        "subset_sha256": task.subset_sha256,
        "origin": task.origin,
        "config": hub.config if hub else None,
    }
    if hub is None:
        return {
            "dataset_name": task.name,
            "source_type": "other",
            "additional_details": texts(details),
        }
    return {
        "dataset_name": task.name,
        "source_type": "hf_dataset",
        "hf_repo": hub.hub_id,
        "hf_split": hub.split,
        "samples_number": task.full_size,
        "additional_details": texts(details),
    }


def _counts(record: EeeRecord, estimate: Estimate) -> dict[str, str]:
    """How the number was made, and what became of all requests."""
    statuses = Counter(each.status for each in record.result.outcomes_of(record.task.name))
    counts = {f"requests_{status}": count for status, count in sorted(statuses.items())}
    return texts({"method": estimate.method, **counts})


def _uncertainty(record: EeeRecord, estimate: Estimate) -> dict[str, Any]:
    spread = record.result.estimate("accuracy_se.new_problems", record.task.name)
    has_spread = estimate.metric == "accuracy" and spread.value is not None
    return known(
        {
            "standard_error": {"value": spread.value, "method": spread.method}
            if has_spread
            else None,
            "confidence_interval": {
                "lower": estimate.low,
                "upper": estimate.high,
                "confidence_level": 0.95,
                "method": estimate.method,
            }
            if estimate.low is not None and estimate.high is not None
            else None,
            "num_samples": estimate.n,
        }
    )


def _generation(record: EeeRecord) -> dict[str, Any]:
    protocol = record.result.manifest.config.protocol
    arguments = {
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "top_k": protocol.top_k,
        "max_tokens": protocol.max_new_tokens,
        "prompt_template": prompt_template(record.task),
    }
    others = {
        "samples_per_problem": protocol.samples_per_problem,
        "chat_template": protocol.chat,
        "fewshot": protocol.fewshot,
        "seed": record.result.manifest.config.seed,
        "min_p": protocol.min_p,
        "repetition_penalty": protocol.repetition_penalty,
        "system_prompt": protocol.system_prompt,
        "stop": list(protocol.stop) or None,
    }
    return {"generation_args": known(arguments), "additional_details": texts(others)}
