"""A result as lm-evaluation-harness writes ``results_*.json``.

Keys and shapes as in ``result_schema.py``, ``evaluator.py`` and ``evaluator_utils.py`` of lm_eval
0.4.13, where every key may be missing; what is not known here is. ``lm_eval_version`` is never
there, for that harness did not make the numbers: prompts, extraction and grading are this
harness's, and ``configs`` and ``gegenprobe`` name them.
"""

from typing import Any

from harness import __version__
from harness.interop.export.plain import known
from harness.interop.export.task_data import hub_source
from harness.models import HubModel
from harness.records import Estimate
from harness.scorers.build import runs_code
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

NOT_KNOWN = "N/A"
"""What lm-evaluation-harness writes for an undefined standard error."""


def to_lm_eval(result: RunResult) -> dict[str, Any]:
    """The whole file as one object."""
    manifest = result.manifest
    tasks = sorted(manifest.tasks, key=lambda task: task.name)
    engine, model = manifest.engine, manifest.config.model
    name = model.hub_id if isinstance(model, HubModel) else manifest.model.name
    config: dict[str, Any] = {
        "model": engine.name if engine else manifest.config.engine.kind,
        "model_args": {"pretrained": name},
        "model_num_parameters": model.parameters,
        "model_dtype": engine.precision if engine else None,
        "model_revision": manifest.model.revision,
        "device": engine.device if engine else None,
        "gen_kwargs": _generation(result),
        "random_seed": manifest.config.seed,
    }
    return known(
        {
            "results": {task.name: _scores(result, task) for task in tasks},
            "group_subtasks": {task.name: [] for task in tasks},
            "configs": {task.name: _task_config(result, task) for task in tasks},
            "versions": {task.name: task.version for task in tasks},
            "n-shot": {task.name: 0 for task in tasks},
            "higher_is_better": {task.name: {_metric(task)[0]: True} for task in tasks},
            "n-samples": {
                task.name: {"original": task.full_size, "effective": _graded(result, task)}
                for task in tasks
            },
            "config": known(config),
            "git_hash": manifest.provenance.git_commit,
            "date": manifest.started_at.timestamp(),
            "transformers_version": manifest.provenance.packages.get("transformers"),
            "model_source": config["model"],
            "model_name": name,
            "model_name_sanitized": name.replace("/", "__"),
            "chat_template_sha": manifest.template_sha256,
            "gegenprobe": {
                "version": manifest.provenance.harness_version,
                "exported_by": __version__,
                "run_id": manifest.run_id,
                "fingerprints": manifest.protocol_fingerprints,
            },
        }
    )


def _metric(task: TaskInfo) -> tuple[str, str]:
    """Metric and filter as lm_eval's own tasks have them, such as humaneval, hendrycks_math500."""
    is_code = runs_code(task.scorer)
    return ("pass@1", "create_test") if is_code else ("exact_match", "none")


def _graded(result: RunResult, task: TaskInfo) -> int:
    """Problems with a verdict."""
    return result.estimate("accuracy", task.name).n


def _scores(result: RunResult, task: TaskInfo) -> dict[str, Any]:
    name, kind = _metric(task)
    accuracy = result.estimate("accuracy", task.name)
    scores: dict[str, Any] = {"alias": task.name}
    if accuracy.value is None:
        return scores  # nothing was graded: no score, rather than one of 0
    # As theirs: the standard deviation of the problems' means over the root of their number.
    scores |= _score(name, kind, accuracy, result.estimate("accuracy_se.new_problems", task.name))
    if name == "pass@1":
        others = [each for each in result.estimates if each.task == task.name]
        for each in others:
            if each.metric.startswith("pass@") and each.metric != name and each.value is not None:
                scores |= _score(each.metric, kind, each, None)
    return scores


def _score(name: str, kind: str, value: Estimate, error: Estimate | None) -> dict[str, Any]:
    spread = None if error is None else error.value
    return {
        f"{name},{kind}": value.value,
        f"{name}_stderr,{kind}": NOT_KNOWN if spread is None else spread,
    }


def _task_config(result: RunResult, task: TaskInfo) -> dict[str, Any]:
    source = hub_source(task.name)
    metric, _ = _metric(task)
    return known(
        {
            "task": task.name,
            "dataset_path": source.hub_id if source else None,
            "dataset_name": source.config if source else None,
            "test_split": source.split if source else None,
            "output_type": "generate_until",
            "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}],
            "generation_kwargs": _generation(result),
            "repeats": result.manifest.config.protocol.samples_per_problem,
            "num_fewshot": result.manifest.config.protocol.fewshot,
            "metadata": {
                "version": task.version,
                "selection": task.selection,
                "scorer": task.scorer,
                "fingerprint": result.manifest.protocol_fingerprints[task.name],
            },
        }
    )


def _generation(result: RunResult) -> dict[str, Any]:
    protocol = result.manifest.config.protocol
    return known(
        {
            "do_sample": protocol.temperature > 0,
            "temperature": protocol.temperature,
            "top_p": protocol.top_p,
            "top_k": protocol.top_k,
            "max_gen_toks": protocol.max_new_tokens,
            "min_p": protocol.min_p,
            "repetition_penalty": protocol.repetition_penalty,
            "until": list(protocol.stop) or None,
        }
    )
