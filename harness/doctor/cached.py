"""Which models and problems are on this disk, so that a run needs no network for them."""

import subprocess
import sys
from collections.abc import Mapping

from harness.doctor.finding import Finding
from harness.errors import TaskError, UnavailableError
from harness.models import (
    HubModel,
    LocalModel,
    ModelConfig,
    RemoteModel,
    WheelModel,
    is_here,
)
from harness.models.memory import unquantised_bytes
from harness.tasks import load_spec, planned_origin, task_names

MODELS, TASKS = "models", "tasks"
HERE, TOO_LARGE, FETCHED = "on this disk", "too large", "to be fetched"
_PIP_LIMIT_S = 30.0


def look_at_models(models: Mapping[str, ModelConfig], memory_bytes: int) -> list[Finding]:
    """Which models are here whole and could be loaded, which are not.

    Args:
        models: By name.
        memory_bytes: Of the largest place there is.
    """
    named = {n: m for n, m in models.items() if not isinstance(m, LocalModel | RemoteModel)}
    here = [name for name, model in named.items() if is_here(model)]
    large = [name for name in here if unquantised_bytes(named[name].parameters or 0) > memory_bytes]
    small = [name for name in here if name not in large]
    found = [
        Finding(
            group=MODELS,
            name=HERE,
            status="ok" if small else "missing",
            value=", ".join(small) or "none that fits into memory",
        )
    ]
    if large:
        found.append(
            Finding(
                group=MODELS,
                name=TOO_LARGE,
                status="warn",
                value=", ".join(large),
                remedy="more GPUs and +engine.args.tensor_parallel_size, or "
                "+engine.args.quantization=…",
            )
        )
    for name, model in named.items():
        if isinstance(model, WheelModel) and name not in here:
            found.append(_wheel(name, model))
    absent = [n for n, m in named.items() if isinstance(m, HubModel) and n not in here]
    if absent:
        found.append(
            Finding(
                group=MODELS,
                name=FETCHED,
                status="warn",
                value=", ".join(absent),
                remedy="a run fetches its model once; without network: hf download elsewhere, "
                "then model=local model.path=FOLDER",
            )
        )
    return found


def look_at_tasks() -> list[Finding]:
    """Which tasks' problems can be read without network."""
    here: list[str] = []
    absent: list[str] = []
    found: list[Finding] = []
    for name in task_names():
        try:
            where, needs_network = planned_origin(load_spec(name))
        except (TaskError, UnavailableError) as error:
            found.append(Finding(group=TASKS, name=name, status="missing", value=str(error)))
            continue
        if needs_network:
            absent.append(name)
        else:
            here.append(f"{name} ({where})")
    if absent:
        found.insert(
            0,
            Finding(
                group=TASKS,
                name=FETCHED,
                status="warn",
                value=", ".join(absent),
                remedy="without network: a folder of mirrors named NAME.jsonl, and "
                "data_dir=FOLDER or HARNESS_DATA_DIR",
            ),
        )
    value = ", ".join(here) or "none"
    first = Finding(group=TASKS, name=HERE, status="ok" if here else "missing", value=value)
    return [first, *found]


def _wheel(name: str, model: WheelModel) -> Finding:
    command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check"]
    what = f"{model.package}=={model.version}"
    try:
        done = subprocess.run(
            [*command, "--timeout", "5", "--retries", "0", model.package],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PIP_LIMIT_S,
        )
    except subprocess.TimeoutExpired:  # nothing is known: it may only be slow
        value = f"{what}, and pip did not say within {_PIP_LIMIT_S:.0f} s if it can reach it"
        return Finding(
            group=MODELS, name=name, status="warn", value=value, remedy="pip config list"
        )
    if done.returncode == 0 and model.version in done.stdout:
        value = f"{what}, fetched by pip when first used"
        remedy = f"harness run experiment=demo model={name}"
        return Finding(group=MODELS, name=name, status="warn", value=value, remedy=remedy)
    value = f"{what}, which pip cannot reach"
    return Finding(group=MODELS, name=name, status="missing", value=value, remedy="pip config list")
