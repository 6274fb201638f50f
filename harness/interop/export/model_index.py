"""Results as the ``model-index`` of a Hugging Face model card, by the hub's own classes.

The value is a fraction; its interval, the number of problems and the protocol's fingerprint are
in ``args``. ``verified`` is false, because no third party has checked it, and there is no
``source``, which would need a URL of the result.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.interop.export.task_data import hub_source
from harness.records import Estimate
from harness.scorers.build import runs_code
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def to_model_index(results: Sequence[RunResult]) -> str:
    """The front matter of a model card: YAML between two lines of dashes.

    Raises:
        UserError: The runs are of several models, or nothing in them was graded.
    """
    from huggingface_hub import ModelCardData

    names = sorted({result.manifest.model.name for result in results})
    if len(names) > 1:
        raise UserError(
            f"RUN: these are of {', '.join(names)}; a card is of one model, so export each alone"
        )
    entries = [
        entry for result in results for task in result.manifest.tasks for entry in _of(result, task)
    ]
    if not entries:
        raise UserError(
            f"RUN: nothing of {names[0]} was graded, so there is no score; "
            "harness run resume=RUN retry=errors asks again what failed"
        )
    card = ModelCardData(model_name=names[0], eval_results=entries)
    return f"---\n{card.to_yaml()}\n---\n"


def _of(result: RunResult, task: TaskInfo) -> list["EvalResult"]:
    """The score of one task, if it has one."""
    from huggingface_hub import EvalResult

    accuracy = result.estimate("accuracy", task.name)
    if accuracy.value is None:
        return []
    source = hub_source(task.name)
    is_code = runs_code(task.scorer)
    part = "" if task.problems == task.full_size else f" ({task.problems} of {task.full_size})"
    return [
        EvalResult(
            task_type="text-generation",
            task_name="Code Generation" if is_code else "Math Reasoning",
            dataset_type=source.hub_id if source else task.name,
            dataset_name=f"{task.name}{part}",
            dataset_config=source.config if source else None,
            dataset_split=source.split if source else None,
            metric_type="pass@1" if is_code else "accuracy",
            metric_name="pass@1" if is_code else "accuracy",
            metric_value=accuracy.value,
            metric_args=_arguments(result, task, accuracy),
            verified=False,
        )
    ]


def _arguments(result: RunResult, task: TaskInfo, accuracy: Estimate) -> dict[str, Any]:
    manifest = result.manifest
    protocol = manifest.config.protocol
    known = {
        "low_95": accuracy.low,
        "high_95": accuracy.high,
        "problems": accuracy.n,
        "fewshot": protocol.fewshot,
        "samples_per_problem": protocol.samples_per_problem,
        "temperature": protocol.temperature,
        "max_new_tokens": protocol.max_new_tokens,
        "scorer": task.scorer,
        "protocol_fingerprint": manifest.protocol_fingerprints[task.name],
        "revision": manifest.model.revision,
        "run_id": manifest.run_id,
        "harness": f"gegenprobe {manifest.provenance.harness_version}",
    }
    return {name: value for name, value in known.items() if value is not None}
